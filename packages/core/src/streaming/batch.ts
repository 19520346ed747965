import type { Encoded } from "../recognition/acoustic.ts";
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
}

/** A chunk that waits. */
export interface Work<S> {
  readonly stream: S;
  readonly lane: Lane;
  readonly chunk: StreamChunk;
  readonly since: number;
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

/** Decodes the rows of a batch, all that share a decoder together. */
export async function decodeBatch(encoded: Encoded, batch: readonly Work<unknown>[]): Promise<void> {
  for (const decoder of new Set(batch.map(({ lane }) => lane.decoder))) {
    const ranges = batch.flatMap(({ lane, chunk }, row) =>
      lane.decoder === decoder ? [{ state: lane.state, row, firstStep: 0, endStep: chunk.numSteps }] : [],
    );
    await decoder.push(encoded, ranges);
  }
}
