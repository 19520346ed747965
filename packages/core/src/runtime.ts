import type { Tensor, TensorType } from "./tensor.ts";

/** A graph to load: ONNX bytes, or a path where the platform has files (external data is then found beside it). */
export type GraphLocation = { readonly bytes: Uint8Array } | { readonly path: string };

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
  /** Frees the graph; idempotent. */
  close(): Promise<void>;
}
