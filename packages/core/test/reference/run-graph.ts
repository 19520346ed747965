import type { Graph } from "../../src/onnx/graph.ts";
import { modelBytes } from "../../src/onnx/write.ts";
import type { Tensor, TensorData, TensorType } from "../../src/tensor.ts";

/** The part of ONNX Runtime's JavaScript interface that tests use; both packages have it. */
interface Ort {
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<Session>;
  };
  readonly Tensor: new (type: string, data: TensorData, dims: readonly number[]) => OrtTensor;
  readonly env: { logLevel?: string; wasm: { numThreads?: number } };
}

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

interface Session {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/** `GRAPH_RUNTIME=wasm` runs the graphs in `onnxruntime-web` instead of `onnxruntime-node`. */
const packageName = process.env.GRAPH_RUNTIME === "wasm" ? "onnxruntime-web" : "onnxruntime-node";

const ort: Ort | undefined = await import(packageName).then(
  (module) => module.default ?? module,
  () => undefined,
);

/** Whether graphs can be run here; the workspace brings both runtimes, a copy of core alone neither. */
export const hasRuntime = ort !== undefined;

/** A graph ready to be run. */
export interface LoadedGraph {
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}

/** Loads a graph into ONNX Runtime. */
export async function loadGraph(graph: Graph): Promise<LoadedGraph> {
  if (!ort) throw new Error(`expected \`${packageName}\` in node_modules`);
  const runtime = ort;
  runtime.env.logLevel = "fatal";
  runtime.env.wasm.numThreads = 1;
  const session = await runtime.InferenceSession.create(await modelBytes(graph), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  return {
    async run(feeds) {
      const ortFeeds = Object.entries(feeds).map(([name, t]) => [name, new runtime.Tensor(t.type, t.data, t.dims)]);
      const results = await session.run(Object.fromEntries(ortFeeds));
      return Object.fromEntries(
        Object.entries(results).map(([name, { type, dims, data }]) => [
          name,
          { type: type as TensorType, dims, data: data as TensorData },
        ]),
      );
    },
    close: () => session.release(),
  };
}
