import { isSpeechError, SpeechError } from "./errors.ts";
import type { Tensor, TensorData, TensorType } from "./tensor.ts";

/**
 * A graph to load: ONNX bytes, or a path where the platform has files. External data is found beside the path, or in
 * `externalDataFolder` where the platform has files (ONNX Runtime refuses data outside of that folder).
 */
export type GraphLocation =
  | { readonly bytes: Uint8Array; readonly externalDataFolder?: string }
  | { readonly path: string; readonly externalDataFolder?: string };

/** Options of a graph session. */
export interface GraphOptions {
  /** Threads inside one operator; 1 unless told. */
  readonly numThreads?: number;
}

/** What executes graphs: ONNX Runtime on Node or in browsers. */
export interface Runtime {
  readonly name: string;
  /** @throws SpeechError `RUNTIME_FAILED` when the graph is refused. */
  load(graph: GraphLocation, options?: GraphOptions): Promise<GraphSession>;
}

/** The name, type and shape of one graph input or output; unknown axes are `-1`. */
export interface ValueInfo {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly number[];
}

/** A loaded graph. */
export interface GraphSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** The graph's `metadata_props`, where the runtime shows them. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * Runs the graph. Asks only for `outputs` when given, for all otherwise. Results belong to the caller.
   * @throws SpeechError `RUNTIME_FAILED`.
   */
  run(feeds: Readonly<Record<string, Tensor>>, outputs?: readonly string[]): Promise<Record<string, Tensor>>;
  /**
   * Frees the memory of a result at once, where the platform can; its data is gone then. Left to garbage collection, large
   * results bring that about, and the next run writes to memory that no cache holds.
   */
  release?(result: Tensor): void;
  /** Frees the graph; idempotent. */
  close(): Promise<void>;
}

/** The part of ONNX Runtime's JavaScript sessions that is used; `onnxruntime-node` and `onnxruntime-web` both fit. */
export interface OrtSession {
  readonly inputMetadata: readonly OrtValueMetadata[];
  readonly outputMetadata: readonly OrtValueMetadata[];
  run(feeds: Record<string, OrtTensor>, outputs: readonly string[]): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/** What ONNX Runtime tells of an input or output; unknown axes are strings. */
export interface OrtValueMetadata {
  readonly name: string;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

/** A tensor as ONNX Runtime gives it: `float16` is a `Float16Array` where the platform has one. */
export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

const TENSOR_TYPES: ReadonlySet<string> = new Set<TensorType>([
  "float32",
  "int32",
  "int64",
  "uint8",
  "int8",
  "bool",
  "float16",
]);

/**
 * Makes a `GraphSession` of an ONNX Runtime session: errors get their code and the graph's name, `close` waits for the
 * runs under way and may be called twice, `run` after it is refused.
 * @throws SpeechError `RUNTIME_FAILED` when the graph has an input or output that is not a tensor of a `TensorType`.
 */
export function ortGraphSession(
  session: OrtSession,
  graph: {
    readonly name: string;
    readonly metadata: Readonly<Record<string, string>>;
    /** Makes the platform's own tensor object. */
    readonly createTensor: (tensor: Tensor) => OrtTensor;
    /** Frees memory at once, where the platform can. */
    readonly giveBack?: (buffer: ArrayBufferLike) => void;
  },
): GraphSession {
  const inputs = session.inputMetadata.map((value) => toValueInfo(value, graph.name));
  const outputs = session.outputMetadata.map((value) => toValueInfo(value, graph.name));
  const outputNames = outputs.map((output) => output.name);
  const pending = new Set<Promise<unknown>>();
  let closing: Promise<void> | undefined;

  async function freeGraph(): Promise<void> {
    await Promise.allSettled(pending);
    await session.release();
  }

  return {
    inputs,
    outputs,
    metadata: graph.metadata,
    async run(feeds, names) {
      if (closing) {
        throw new SpeechError(
          "CLOSED",
          `${graph.name}: expected an open graph, got one after \`close()\`. Load it again.`,
        );
      }
      const ortFeeds = Object.fromEntries(
        Object.entries(feeds).map(([name, value]) => [name, graph.createTensor(value)]),
      );
      const run = session.run(ortFeeds, names ?? outputNames);
      pending.add(run);
      try {
        const results = await run;
        return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromOrt(value)]));
      } catch (error) {
        throw runtimeFailed(`${graph.name}: run failed`, error);
      } finally {
        pending.delete(run);
      }
    },
    release: ({ data }) => graph.giveBack?.(data.buffer),
    close() {
      closing ??= freeGraph();
      return closing;
    },
  };
}

/** Wraps whatever ONNX Runtime threw; an error that has a code already passes. */
export function runtimeFailed(where: string, error: unknown): SpeechError {
  if (isSpeechError(error)) return error;
  const reason = (error instanceof Error ? error.message : String(error)).trim().replace(/\.$/, "");
  return new SpeechError("RUNTIME_FAILED", `${where}: ${reason}.`, { cause: error });
}

function toValueInfo(value: OrtValueMetadata, graphName: string): ValueInfo {
  if (value.type === undefined || value.shape === undefined || !TENSOR_TYPES.has(value.type)) {
    const types = [...TENSOR_TYPES].join(", ");
    throw new SpeechError(
      "RUNTIME_FAILED",
      `${graphName}: expected \`${value.name}\` to be a tensor of ${types}, got ${value.type ?? "no tensor"}. Export the graph again with such a type.`,
    );
  }
  const dims = value.shape.map((dim) => (typeof dim === "number" ? dim : -1));
  return { name: value.name, type: value.type as TensorType, dims };
}

function fromOrt(tensor: OrtTensor): Tensor {
  const data = tensor.data as TensorData;
  if (tensor.type !== "float16" || data instanceof Uint16Array) {
    return { type: tensor.type as TensorType, dims: tensor.dims, data };
  }
  // A Float16Array, which Node 24 and newer browsers have: the same bits under the type that all platforms have.
  const { buffer, byteOffset, length } = tensor.data as Uint16Array<ArrayBuffer>;
  return { type: "float16", dims: tensor.dims, data: new Uint16Array(buffer, byteOffset, length) };
}
