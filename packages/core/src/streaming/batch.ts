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

/** As many of the chunks that wait, in their order, as fit beside the first without much padding. */
export function chooseBatch<S>(waiting: readonly Work<S>[], { maxRows, maxSteps, maxPadding }: BatchRules): Work<S>[] {
  const batch: Work<S>[] = [];
  let width = 0;
  let sum = 0;
  for (const work of waiting) {
    if (batch.length === maxRows) break;
    const { numSteps } = work.chunk;
    const newWidth = Math.max(width, numSteps);
    const padded = newWidth * (batch.length + 1);
    const isTooMuch = padded > maxSteps || padded > (sum + numSteps) * (1 + maxPadding);
    if (batch.length > 0 && isTooMuch) continue;
    batch.push(work);
    width = newWidth;
    sum += numSteps;
  }
  return batch;
}

/**
 * Decodes the rows of a batch, all that share a decoder together. Rows without numbers (of sound that the model cannot
 * take) are left out and returned: they must not stop their batch mates.
 */
export async function decodeBatch<S>(encoded: Encoded, batch: readonly Work<S>[]): Promise<Work<S>[]> {
  const failed = batch.filter(({ lane, chunk }, row) => !hasNumbers(encoded, lane.decoder.head, row, chunk.numSteps));
  for (const decoder of new Set(batch.map(({ lane }) => lane.decoder))) {
    const ranges = batch.flatMap((work, row) =>
      work.lane.decoder === decoder && !failed.includes(work)
        ? [{ state: work.lane.state, row, firstStep: 0, endStep: work.chunk.numSteps }]
        : [],
    );
    if (ranges.length > 0) await decoder.push(encoded, ranges);
  }
  return failed;
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
