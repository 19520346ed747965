import { ortGraphSession, type Runtime, runtimeFailed } from "@nemo-stt/core";
import * as ort from "onnxruntime-web/wasm";

/** Options of `webRuntime`. */
export interface WebRuntimeOptions {
  /** Where `ort-wasm-simd-threaded.wasm` and `.mjs` are served, with a `/` at the end; beside the bundle unless told. */
  readonly wasmPaths?: string;
  /** `all` unless told. */
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "all";
}

/**
 * ONNX Runtime as WebAssembly, in browsers and in Node. Graphs are loaded from bytes; a run takes the calling thread.
 *
 * `numThreads` of `load` counts for the first graph of a page, and in browsers only where it is cross-origin isolated
 * (`SharedArrayBuffer`). The graph's metadata is not shown: the manifest of an exported folder holds the same.
 */
export function webRuntime(options: WebRuntimeOptions = {}): Runtime {
  ort.env.logLevel = "fatal";
  if (options.wasmPaths !== undefined) ort.env.wasm.wasmPaths = options.wasmPaths;
  return {
    name: "onnxruntime-web",
    async load(graph, graphOptions = {}) {
      if (!("bytes" in graph)) {
        throw new TypeError(
          `graph.path: expected \`bytes\` in a browser, got the path ${graph.path}. Read the file first.`,
        );
      }
      if (graph.externalDataFolder !== undefined) {
        throw new TypeError("graph.externalDataFolder: expected a graph with its weights inside, got a folder.");
      }
      ort.env.wasm.numThreads = graphOptions.numThreads ?? 1;
      try {
        const session = await ort.InferenceSession.create(graph.bytes, {
          executionProviders: ["wasm"],
          graphOptimizationLevel: options.graphOptimizationLevel ?? "all",
          logSeverityLevel: 4,
        });
        return ortGraphSession(session, {
          name: "graph",
          metadata: {},
          createTensor: ({ type, data, dims }) => new ort.Tensor(type, data, dims),
        });
      } catch (error) {
        throw runtimeFailed("graph: the graph was refused", error);
      }
    },
  };
}
