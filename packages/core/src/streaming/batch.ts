import { SpeechError } from "../errors.ts";
import type { Encoded } from "../recognition/acoustic.ts";
import type { Head, HeadDecoder, StepRange } from "../recognition/head-decoder.ts";
import type { Lane } from "./lane.ts";
import type { LatencyMode } from "./stream.ts";
import type { StreamChunk } from "./stream-encoder.ts";

/** How the work of streams is put into batches. */
export interface BatchRules {
  /** Streams in one batch, at most. */
  readonly maxRows: number;
  /** Steps in one batch with its padding, at most (but for one stream alone; see `rulesBeside` and `chooseBatch`). */
  readonly maxSteps: number;
  /** Padding steps for each step of sound, at most. */
  readonly maxPadding: number;
}

/** Large enough that weights are read once for many streams, small enough that no stream waits long for others. */
export const DEFAULT_BATCH_RULES: BatchRules = { maxRows: 32, maxSteps: 64, maxPadding: 0.25 };

/** What one batch did. */
export interface BatchReport {
  readonly numRows: number;
  readonly numSteps: number;
  /** From samples to frames (resampling and features) since the batch before, of all streams. */
  readonly featuresSec: number;
  readonly encodeSec: number;
  readonly decodeSec: number;
  /** From the arrival of the sound that completed a chunk to its result, a value a chunk. */
  readonly latenciesSec: readonly number[];
  /** The latency mode of each chunk. */
  readonly modes: readonly LatencyMode[];
}

/** What a batch took of its thread. */
export const busySec = ({ featuresSec, encodeSec, decodeSec }: BatchReport): number =>
  featuresSec + encodeSec + decodeSec;

/** The next chunks of a lane that wait. */
export interface Work<S> {
  readonly stream: S;
  readonly lane: Lane;
  readonly chunk: StreamChunk;
  readonly since: number;
}

/**
 * The rules while the shortest chunk of any open stream has so many steps: where all chunks are long a batch may take
 * longer, because nobody waits for a short one.
 */
export function rulesBeside(rules: BatchRules, shortestChunk: number): BatchRules {
  return { ...rules, maxSteps: Math.max(rules.maxSteps, STREAMS_OF_LONG_CHUNKS * shortestChunk) };
}

const STREAMS_OF_LONG_CHUNKS = 16;

/** A batch may have so many times its steps where all that wait lag behind: throughput brings them back. */
const STEPS_OF_LAGGING = 2;

/**
 * As many of the chunks that wait, in their order, as fit beside the first without much padding. Who waits for longer
 * than the first takes as many whole chunks as it has.
 */
export function chooseBatch<S>(waiting: readonly Work<S>[], rules: BatchRules): Work<S>[] {
  const { maxRows, maxPadding } = rules;
  const allLag = waiting.every(({ chunk }) => numChunksOf(chunk) > 1);
  const maxSteps = rules.maxSteps * (allLag ? STEPS_OF_LAGGING : 1);
  const batch: Work<S>[] = [];
  let width = 0;
  let sum = 0;
  for (const work of waiting) {
    if (batch.length === maxRows) break;
    const numSteps = batch.length === 0 ? work.chunk.numSteps : stepsWithin(work.chunk, width);
    const newWidth = Math.max(width, numSteps);
    const padded = newWidth * (batch.length + 1);
    const isTooMuch = padded > maxSteps || padded > (sum + numSteps) * (1 + maxPadding);
    if (batch.length > 0 && isTooMuch) continue;
    batch.push({ ...work, chunk: { ...work.chunk, numSteps } });
    width = newWidth;
    sum += numSteps;
  }
  return batch;
}

/** The steps of a stream's whole chunks that fit into a width, but one chunk at least. */
function stepsWithin({ numSteps, mode }: StreamChunk, width: number): number {
  if (numSteps <= width) return numSteps;
  return Math.min(numSteps, Math.max(1, Math.floor(width / mode.chunkSteps)) * mode.chunkSteps);
}

/** Chunks of a run, the last of which may be shorter. */
export const numChunksOf = ({ numSteps, mode }: StreamChunk): number => Math.ceil(numSteps / mode.chunkSteps);

/**
 * Decodes one chunk of every row that has so many, all rows that share a decoder together. Rows without numbers (of sound
 * that the model cannot take) are left out and returned: they must not stop their batch mates.
 * @param place the chunk's number in its run
 */
export async function decodeChunks<S>(encoded: Encoded, batch: readonly Work<S>[], place: number): Promise<Work<S>[]> {
  const failed: Work<S>[] = [];
  const byDecoder = new Map<HeadDecoder, StepRange[]>();
  for (const [row, work] of batch.entries()) {
    const { decoder, state, mode } = work.lane;
    const firstStep = place * mode.chunkSteps;
    const endStep = Math.min(firstStep + mode.chunkSteps, work.chunk.numSteps);
    if (firstStep >= endStep) continue;
    const range = { state, row, firstStep, endStep };
    if (hasNumbers(encoded, decoder.head, range)) byDecoder.set(decoder, [...(byDecoder.get(decoder) ?? []), range]);
    else failed.push(work);
  }
  for (const [decoder, ranges] of byDecoder) await decoder.push(encoded, ranges);
  return failed;
}

/** True where the head's input of every step is a number. One value a step tells: a linear layer spreads what is none. */
export function hasNumbers(
  { logProbs, projected, numSteps, lengths }: Encoded,
  head: Head,
  range: Omit<StepRange, "state">,
): boolean {
  const values = (head === "ctc" ? logProbs : projected) as Float32Array;
  const size = values.length / (lengths.length * numSteps);
  const begin = range.row * numSteps;
  for (let step = begin + range.firstStep; step < begin + range.endStep; step++) {
    if (!Number.isFinite(values[step * size])) return false;
  }
  return true;
}

/** What a stream ends with whose sound the encoder makes nothing of. */
export function noNumbers(id: number, step: number): SpeechError {
  return new SpeechError(
    "AUDIO_INVALID",
    `stream ${id}: expected numbers from the encoder, got none at step ${step}. Its sound is damaged: check how it is decoded, and open another stream.`,
  );
}
