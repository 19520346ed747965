import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import type { StreamGeometry, StreamMode } from "../config/streaming.ts";
import type { Encoded } from "../recognition/acoustic.ts";
import type { GraphSession } from "../runtime.ts";
import { float32, int32, int64, type Tensor } from "../tensor.ts";
import type { CachePool, CacheSlot } from "./cache-pool.ts";
import type { FrameBuffer } from "./frame-buffer.ts";

/** The next steps of one stream: whole chunks, but for the last one of a recording. */
export interface StreamChunk {
  readonly slot: CacheSlot;
  readonly frames: FrameBuffer;
  readonly numSteps: number;
  readonly mode: StreamMode;
  /** Frames of the whole recording where it has ended; undefined while more may come. */
  readonly endFrame: number | undefined;
}

/** Runs chunks of many streams through the encoder and keeps what it has to remember of each. */
export interface StreamEncoder {
  readonly pool: CachePool;
  /** Encodes the next chunk of each stream in one batch. */
  encode(chunks: readonly StreamChunk[]): Promise<Encoded>;
}

/** Makes the encoder of streams around the loaded `streaming` graph. */
export function createStreamEncoder(spec: ModelSpec, session: GraphSession, pool: CachePool): StreamEncoder {
  const encoder = spec.encoder as ConformerSpec;
  const { geometry } = pool;
  return {
    pool,
    async encode(chunks) {
      const width = Math.max(...chunks.map((chunk) => chunk.numSteps));
      const out = await session.run(feedsOf(encoder, pool, chunks, width));
      const cache = out.cache.data as Float32Array;
      chunks.forEach(({ slot, numSteps }, row) => {
        pool.push(slot, cache, { row, numRows: chunks.length, width }, numSteps);
      });
      const floats = (name: string) => out[name]?.data as Float32Array | undefined;
      return {
        numSteps: width,
        lengths: chunks.map((chunk) => chunk.numSteps),
        encoded: out.encoded.data as Float32Array,
        logProbs: floats("log_probs"),
        projected: floats("encoder_projected"),
      };
    },
  };

  function feedsOf(
    { numMels, modelSize }: ConformerSpec,
    { data, numRows }: CachePool,
    chunks: readonly StreamChunk[],
    width: number,
  ): Record<string, Tensor> {
    const batch = chunks.length;
    const numFrames = chunkFrames(geometry, width);
    const counts = chunks.map(({ slot, mode }) => Math.min(mode.leftSteps, slot.numSteps));
    const numCached = Math.max(...counts);
    const frames = new Float32Array(batch * numFrames * numMels);
    const begins: number[] = [];
    const ends: number[] = [];
    const attentionRows = new Int32Array(batch * numCached);
    const convRows = new Int32Array(batch * geometry.convLeft);
    chunks.forEach((chunk, row) => {
      const { begin, end } = writeFrames(geometry, chunk, frames, row * numFrames * numMels, numMels);
      begins.push(begin);
      ends.push(end);
      pool.attentionRows(chunk.slot, counts[row], attentionRows, row * numCached, numCached);
      pool.convRows(chunk.slot, convRows, row * geometry.convLeft);
    });
    return {
      frames: float32(frames, [batch, numFrames, numMels]),
      frame_begin: int64(begins),
      frame_end: int64(ends),
      pool: float32(data, [numRows, modelSize]),
      attention_rows: int32(attentionRows, [batch, numCached]),
      cached_steps: int64(counts),
      chunk_steps: int64(chunks.map(({ mode }) => mode.chunkSteps)),
      left_steps: int64(chunks.map(({ mode }) => mode.leftSteps)),
      ...(geometry.convLeft > 0 && { conv_rows: int32(convRows, [batch, geometry.convLeft]) }),
    };
  }
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
