import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import {
  type GraphLocation,
  memorySource,
  ortGraphSession,
  type Runtime,
  runtimeFailed,
  SpeechError,
  type Tensor,
} from "@nemo-stt/core";
import * as ort from "onnxruntime-node";
import { openFileSource } from "./file-source.ts";
import { giveBack } from "./give-back.ts";
import { readOnnxMetadata } from "./onnx-metadata.ts";

/** The choices that ONNX Runtime leaves and that are worth making. */
export interface NodeRuntimeOptions {
  /** Threads inside one operator, where `load` is not told otherwise; 1 unless told. */
  readonly intraOpNumThreads?: number;
  /** Threads for operators that do not depend on each other; 1 unless told. */
  readonly interOpNumThreads?: number;
  /** `all` unless told. */
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "all";
  /** Keeps freed memory for the next run; true unless told. Without it a run is a third slower and peaks 30 % lower. */
  readonly enableCpuMemArena?: boolean;
}

/**
 * ONNX Runtime on the calling thread, by `onnxruntime-node`. A run blocks the event loop until it is done
 * (`onnxruntime-node` runs in a `setImmediate`); `workerRuntime` does not block.
 */
export function nodeRuntime(options: NodeRuntimeOptions = {}): Runtime {
  quietOrt();
  return {
    name: "onnxruntime-node",
    async load(graph, graphOptions = {}) {
      const name = graphName(graph);
      const metadata = await graphMetadata(graph);
      try {
        const { model, sessionOptions } = await ortArguments(graph, options, graphOptions.numThreads);
        const session = await createSession(model, sessionOptions);
        return ortGraphSession(session, { name, metadata, createTensor: ortTensor, giveBack });
      } catch (error) {
        throw runtimeFailed(`${name}: the graph was refused`, error);
      }
    },
  };
}

/** Which name a graph has in messages. */
export function graphName(graph: GraphLocation): string {
  return "path" in graph ? basename(graph.path) : "graph";
}

/**
 * The graph's `metadata_props`, without reading the graph.
 * @throws SpeechError `NOT_FOUND`, or `RUNTIME_FAILED` when the file is no ONNX model.
 */
export async function graphMetadata(graph: GraphLocation): Promise<Record<string, string>> {
  try {
    if ("bytes" in graph) return await readOnnxMetadata(memorySource(graph.bytes, graphName(graph)));
    const source = await openFileSource(graph.path);
    try {
      return await readOnnxMetadata(source);
    } finally {
      await source.close();
    }
  } catch (error) {
    if (!(error instanceof SpeechError) || error.code !== "FORMAT_INVALID") throw error;
    throw new SpeechError("RUNTIME_FAILED", error.message, { cause: error });
  }
}

/** What `InferenceSession.create` is given, as plain data that can cross to a worker. */
export interface OrtArguments {
  readonly model: string | Uint8Array;
  readonly sessionOptions: ort.InferenceSession.SessionOptions;
}

/**
 * The arguments of `InferenceSession.create` for a graph.
 *
 * Memory patterns are off: they fit fixed shapes, and cost 5 to 20 % where every batch has another length. No thread
 * spins: with a session per core, spinning threads take time from those that work.
 */
export async function ortArguments(
  graph: GraphLocation,
  options: NodeRuntimeOptions,
  numThreads = options.intraOpNumThreads ?? 1,
): Promise<OrtArguments> {
  const externalData: Record<string, string> =
    graph.externalDataFolder === undefined
      ? {}
      : { model_external_initializers_file_folder_path: graph.externalDataFolder };
  // ONNX Runtime minds the folder for external data only when it is given bytes.
  const readsPath = "path" in graph && graph.externalDataFolder === undefined;
  return {
    model: readsPath ? graph.path : "path" in graph ? await readFile(graph.path) : graph.bytes,
    sessionOptions: {
      executionProviders: ["cpu"],
      executionMode: "sequential",
      intraOpNumThreads: numThreads,
      interOpNumThreads: options.interOpNumThreads ?? 1,
      graphOptimizationLevel: options.graphOptimizationLevel ?? "all",
      enableCpuMemArena: options.enableCpuMemArena ?? true,
      enableMemPattern: false,
      logSeverityLevel: 4,
      extra: {
        session: { intra_op: { allow_spinning: "0" }, inter_op: { allow_spinning: "0" }, ...externalData },
      },
    },
  };
}

function createSession(
  model: string | Uint8Array,
  options: ort.InferenceSession.SessionOptions,
): Promise<ort.InferenceSession> {
  return typeof model === "string"
    ? ort.InferenceSession.create(model, options)
    : ort.InferenceSession.create(model, options);
}

function ortTensor({ type, data, dims }: Tensor): ort.Tensor {
  return new ort.Tensor(type, data, dims);
}

/** Every error reaches the caller as an exception with its text; ONNX Runtime would also print it on standard error. */
function quietOrt(): void {
  ort.env.logLevel = "fatal";
}
