import type { StreamMode } from "../config/streaming.ts";
import type { Encoded } from "../recognition/acoustic.ts";
import type { Head } from "../recognition/head-decoder.ts";
import type { Lane } from "./lane.ts";
import type { StreamChunk } from "./stream-encoder.ts";

/** How the work of streams is put into batches. */
export interface BatchRules {
  /** Streams in one batch, at most. */
  readonly maxRows: number;
  /** Steps in one batch with its padding, at most (but for one stream alone). */
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
  readonly encodeSec: number;
  readonly decodeSec: number;
  /** From the arrival of the sound that completed a chunk to its result, a value a chunk. */
  readonly latenciesSec: readonly number[];
  /** The latency mode of each chunk. */
  readonly modes: readonly StreamMode[];
}

/** A chunk that waits. */
export interface Work<S> {
  readonly stream: S;
  readonly lane: Lane;
  readonly chunk: StreamChunk;
  readonly since: number;
  /** The frame up to which the whole chunk hears: chunks of one stream are done in this order, whatever comes when. */
  readonly turn: number;
}

/**
 * As many of the chunks that wait, in their order, as fit beside the first without much padding. Who waits for longer
 * than the first takes as many whole chunks as it has.
 */
export function chooseBatch<S>(waiting: readonly Work<S>[], { maxRows, maxSteps, maxPadding }: BatchRules): Work<S>[] {
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

/** Steps `[firstStep, endStep)` of one chunk among the steps of a work. */
export function stepsOfChunk({ chunk }: Work<unknown>, index: number): { firstStep: number; endStep: number } {
  const { chunkSteps } = chunk.mode;
  return { firstStep: index * chunkSteps, endStep: Math.min((index + 1) * chunkSteps, chunk.numSteps) };
}

/** Chunks of a work; the last one of a recording counts even where it is short. */
export const numChunks = ({ chunk }: Work<unknown>): number => Math.ceil(chunk.numSteps / chunk.mode.chunkSteps);

/**
 * Decodes one chunk of the rows of a batch that have it, all that share a decoder together. Rows without numbers (of
 * sound that the model cannot take) are left out and returned: they must not stop their batch mates.
 * @param index which chunk of each row
 */
export async function decodeBatch<S>(
  encoded: Encoded,
  batch: readonly Work<S>[],
  isOut: (work: Work<S>) => boolean,
  index: number,
): Promise<Work<S>[]> {
  const rows = batch.map((work, row) => ({ work, row })).filter(({ work }) => index < numChunks(work) && !isOut(work));
  const failed = rows.filter(({ work, row }) => !hasNumbers(encoded, work.lane.decoder.head, row, work.chunk.numSteps));
  for (const decoder of new Set(rows.map(({ work }) => work.lane.decoder))) {
    const ranges = rows.flatMap((entry) => {
      const { work, row } = entry;
      if (work.lane.decoder !== decoder || failed.includes(entry)) return [];
      return [{ state: work.lane.state, row, ...stepsOfChunk(work, index) }];
    });
    if (ranges.length > 0) await decoder.push(encoded, ranges);
  }
  return failed.map(({ work }) => work);
}

/** True where the head's input of every step is a number. One value a step tells: a linear layer spreads what is none. */
function hasNumbers(
  { logProbs, projected, numSteps, lengths }: Encoded,
  head: Head,
  row: number,
  count: number,
): boolean {
  const values = (head === "ctc" ? logProbs : projected) as Float32Array;
  const size = values.length / (lengths.length * numSteps);
  for (let step = row * numSteps; step < row * numSteps + count; step++) {
    if (!Number.isFinite(values[step * size])) return false;
  }
  return true;
}
