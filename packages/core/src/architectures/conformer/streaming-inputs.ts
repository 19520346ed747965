import type { ConformerSpec } from "../../config/spec.ts";
import type { StreamGeometry } from "../../config/streaming.ts";
import type { Value } from "../../onnx/graph.ts";

/**
 * Inputs of a streaming Conformer. Everything in which latency modes and positions of streams differ is data, so that any
 * streams share a batch.
 *
 * What attention looks back on are rings that the runtime reads in place, nothing is gathered or joined: the key of step
 * `t` stands at place `t mod ring`, whatever stood there before is `ring` steps older and no longer seen.
 */
export interface StreamingInputs {
  /** `[batch, frame, mel]`: the frames that a chunk's steps hear, zero outside of the recording. */
  readonly frames: Value;
  /** int64 `[batch]`: frames `[begin, end)` of each row are of the recording; what lies outside is masked in every stage. */
  readonly frameBegin: Value;
  readonly frameEnd: Value;
  /** int64 `[batch]`: steps of the stream before this call. */
  readonly pastSteps: Value;
  /** int64 `[batch]`: steps of one chunk, to whose end each of its steps looks ahead. */
  readonly chunkSteps: Value;
  /** int64 `[batch]`: steps before a chunk that its steps look back on. */
  readonly leftSteps: Value;
  /** Keys and values of each layer, float32 `[batch, head, 1, ring, headSize]`; none where nothing is looked back on. */
  readonly keys: readonly Value[];
  readonly values: readonly Value[];
  /**
   * int32 `[3, batch, ordered]` where a row has several chunks: ring and new steps in the order in which they are summed
   * up, and the first and the end of the new steps that look at each there, see `weightedValues`; `[3, batch, 0]` where all
   * have one chunk.
   */
  readonly valueOrder: Value | undefined;
  /** The convolutions' inputs that are kept, and the rows of them that the first layer's takes, oldest first. */
  readonly conv: { readonly pool: Value; readonly rows: Value } | undefined;
}

/** Steps whose products the runtime adds to each other before it adds them to a sum, where one row is multiplied. */
export const SUMMED_STEPS = 4;

/** How what the layers remember of one stream is laid out. */
export interface CacheLayout {
  /** Steps that a ring of attention has: what is looked back on, filled up to groups of `SUMMED_STEPS`. */
  readonly ringSteps: number;
  readonly convLeft: number;
  /** Rows of one model width: keys, values and convolution input of all layers. */
  readonly numRows: number;
}

/** The layout of a stream's caches. */
export function cacheLayout(spec: ConformerSpec, { maxLeft, convLeft }: StreamGeometry): CacheLayout {
  const ringSteps = SUMMED_STEPS * Math.ceil(maxLeft / SUMMED_STEPS);
  return { ringSteps, convLeft, numRows: spec.numLayers * (2 * ringSteps + convLeft) };
}
