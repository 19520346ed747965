import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import type { StreamGeometry, StreamMode } from "../config/streaming.ts";
import type { Encoded } from "../recognition/acoustic.ts";
import type { GraphSession } from "../runtime.ts";
import { float32, int32, int64, type Tensor } from "../tensor.ts";
import type { CachePool, CacheSlot } from "./cache-pool.ts";
import type { FrameBuffer } from "./frame-buffer.ts";
import { valueOrder } from "./value-order.ts";

/** The next steps of one stream: whole chunks, but for the last one of a recording. */
export interface StreamChunk {
  readonly slot: CacheSlot;
  readonly frames: FrameBuffer;
  readonly numSteps: number;
  readonly mode: StreamMode;
  /** Frames of the whole recording where it has ended; undefined while more may come. */
  readonly endFrame: number | undefined;
}

/** What a batch gives. */
export interface EncodedChunks extends Encoded {
  /** Frees it when nobody will read it any more: results that stay spread the runtime's memory over what no cache holds. */
  release(): void;
}

/** Runs chunks of many streams through the encoder and keeps what it has to remember of each. */
export interface StreamEncoder {
  readonly pool: CachePool;
  /** Encodes the next chunks of each stream in one batch; rows of the result are in the order of `chunks`. */
  encode(chunks: readonly StreamChunk[]): Promise<EncodedChunks>;
}

/** Makes the encoder of streams around the loaded `streaming` graph. */
export function createStreamEncoder(
  spec: ModelSpec,
  session: Pick<GraphSession, "run" | "release">,
  pool: CachePool,
): StreamEncoder {
  const encoder = spec.encoder as ConformerSpec;
  let room = new Float32Array(0);

  /** Memory of zeros for a batch's frames, the same for all. */
  function roomFor(size: number): Float32Array {
    if (room.length < size) room = new Float32Array(size);
    return room.subarray(0, size).fill(0);
  }

  return {
    pool,
    async encode(chunks) {
      const firstPlace = pool.bringTogether(chunks.map(({ slot }) => slot));
      // The graph's rows are places of the pool.
      const rowOf = ({ slot }: StreamChunk) => slot.place - firstPlace;
      const inPlace = [...chunks].sort((a, b) => rowOf(a) - rowOf(b));
      const width = Math.max(...chunks.map((chunk) => chunk.numSteps));
      const feeds = feedsOf(encoder, pool, inPlace, firstPlace, width, roomFor);
      const out = await session.run(feeds);
      const added = {
        attention: out.new_attention.data as Float32Array,
        conv: out.new_conv.data as Float32Array,
        numRows: chunks.length,
        width,
      };
      const rows = chunks.map(rowOf);
      chunks.forEach(({ slot, numSteps }, i) => {
        pool.push(slot, added, rows[i], numSteps);
      });
      session.release?.(out.new_attention);
      session.release?.(out.new_conv);
      const kept = ["encoded", "log_probs", "encoder_projected"].map((name) => out[name]);
      const [encoded, logProbs, projected] = kept.map((t) => t && rowsInOrder(t.data as Float32Array, rows));
      return {
        numSteps: width,
        lengths: chunks.map((chunk) => chunk.numSteps),
        encoded,
        logProbs,
        projected,
        release() {
          for (const result of kept) if (result) session.release?.(result);
        },
      };
    },
  };
}

/** The rows of a batch in another order; the same memory where it is the order they have. */
function rowsInOrder(data: Float32Array, rows: readonly number[]): Float32Array {
  if (rows.every((row, i) => row === i)) return data;
  const size = data.length / rows.length;
  const ordered = new Float32Array(data.length);
  rows.forEach((row, i) => {
    ordered.set(data.subarray(row * size, (row + 1) * size), i * size);
  });
  return ordered;
}

function feedsOf(
  encoder: ConformerSpec,
  pool: CachePool,
  chunks: readonly StreamChunk[],
  firstPlace: number,
  width: number,
  roomFor: (size: number) => Float32Array,
): Record<string, Tensor> {
  const { numMels } = encoder;
  const batch = chunks.length;
  const numFrames = chunkFrames(pool.geometry, width);
  const frames = roomFor(batch * numFrames * numMels);
  const spans = chunks.map((chunk, row) =>
    writeFrames(pool.geometry, chunk, frames, row * numFrames * numMels, numMels),
  );
  return {
    frames: float32(frames, [batch, numFrames, numMels]),
    frame_begin: int64(spans.map(({ begin }) => begin)),
    frame_end: int64(spans.map(({ end }) => end)),
    past_steps: int64(chunks.map(({ slot }) => slot.numSteps)),
    chunk_steps: int64(chunks.map(({ mode }) => mode.chunkSteps)),
    left_steps: int64(chunks.map(({ mode }) => mode.leftSteps)),
    ...attentionFeeds(encoder, pool, chunks, firstPlace),
    ...convFeeds(encoder, pool, chunks, firstPlace),
  };
}

/** What the attention of every layer looks back on, as it lies in the pool. */
function attentionFeeds(
  { numLayers, numHeads, modelSize }: ConformerSpec,
  pool: CachePool,
  chunks: readonly StreamChunk[],
  firstPlace: number,
): Record<string, Tensor> {
  const { ringSteps } = pool;
  if (ringSteps === 0) return {};
  const batch = chunks.length;
  const dims = [batch, numHeads, 1, ringSteps, modelSize / numHeads];
  const feeds: Record<string, Tensor> = { value_order: valueOrder(chunks, ringSteps) };
  for (let layer = 0; layer < numLayers; layer++) {
    for (const part of ["keys", "values"] as const) {
      feeds[`${part}.${layer}`] = float32(pool.rings(layer, part, firstPlace, batch), dims);
    }
  }
  return feeds;
}

function convFeeds(
  { modelSize }: ConformerSpec,
  pool: CachePool,
  chunks: readonly StreamChunk[],
  firstPlace: number,
): Record<string, Tensor> {
  const { convLeft } = pool.geometry;
  if (convLeft === 0) return {};
  const rings = pool.convRings(firstPlace, chunks.length);
  const rows = new Int32Array(chunks.length * convLeft);
  chunks.forEach(({ slot }, row) => {
    pool.convRows(slot, firstPlace, rows, row * convLeft);
  });
  return {
    conv_pool: float32(rings, [rings.length / modelSize, modelSize]),
    conv_rows: int32(rows, [chunks.length, convLeft]),
  };
}

/** The frames that `numSteps` steps hear. */
export function chunkFrames({ factor, lookbackFrames, lookaheadFrames }: StreamGeometry, numSteps: number): number {
  return factor * (numSteps - 1) + lookbackFrames + lookaheadFrames + 1;
}

/** Copies the frames of a chunk into a batch; those outside of the recording stay zero. */
function writeFrames(
  geometry: StreamGeometry,
  { slot, frames, numSteps, endFrame }: StreamChunk,
  out: Float32Array,
  offset: number,
  numMels: number,
): { begin: number; end: number } {
  const { factor, lookbackFrames } = geometry;
  const first = factor * slot.numSteps - lookbackFrames;
  const begin = Math.max(0, -first);
  const heard = chunkFrames(geometry, numSteps);
  const end = Math.min(heard, (endFrame ?? Number.POSITIVE_INFINITY) - first);
  out.set(frames.view(first + begin, first + end), offset + begin * numMels);
  // Stacked frames become a step where one of them is of the recording.
  const isStacked = lookbackFrames === 0;
  return { begin, end: isStacked ? Math.ceil(end / factor) * factor : end };
}

/** Steps of a whole recording of `numFrames` valid frames (NeMo `calc_length`). */
export function totalSteps(
  { encoder }: ModelSpec,
  { factor, lookbackFrames, lookaheadFrames }: StreamGeometry,
  numFrames: number,
): number {
  if (numFrames === 0 || encoder.kind !== "conformer") return 0;
  const isCausalConv = lookbackFrames > 0 && lookaheadFrames === 0;
  const { kind } = encoder.subsampling;
  if (kind === "stacking" || kind === "stacking_norm") {
    // NeMo fills up the matrix, which has a column more than the recording, and counts what fills it as sound.
    const filling = (factor - ((numFrames + 1) % factor)) % factor;
    return Math.floor((numFrames + filling) / factor);
  }
  if (!isCausalConv) return Math.ceil(numFrames / factor);
  let length = numFrames;
  for (let stage = 1; stage < factor; stage *= 2) length = Math.floor(length / 2) + 1;
  return length;
}
