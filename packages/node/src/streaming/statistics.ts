import { type BatchReport, busySec } from "@nemo-stt/core";

/** Latencies that are remembered of each mode. */
const WINDOW = 4096;

/** Values of which half, 95 and 99 of a hundred are not larger. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** One latency mode of an engine. */
export interface ModeStatistics {
  readonly attContext: readonly number[];
  readonly numChunks: number;
  /** From the arrival of the sound that completed a chunk to its result, in its thread, of the last 4096 chunks. */
  readonly latencySec: Percentiles;
}

/** Batches since the engine was opened. */
export interface BatchStatistics {
  readonly numBatches: number;
  readonly meanRows: number;
  readonly maxRows: number;
  /** Time of all threads in features and batches, and the sound that went through them (twice in streams of two modes). */
  readonly busySec: number;
  /** The part of it that features took: from samples to the frames that the encoder hears. */
  readonly featuresSec: number;
  readonly soundSec: number;
  /** The first for one second of the second: a thread carries at most its inverse in streams. */
  readonly realTimeFactor: number;
  readonly modes: readonly ModeStatistics[];
}

interface ModeRecord {
  readonly attContext: readonly number[];
  numChunks: number;
  readonly latencies: Float64Array;
}

/** Adds up what batches did. */
export class BatchRecord {
  readonly #modes = new Map<string, ModeRecord>();
  #numBatches = 0;
  #numRows = 0;
  #maxRows = 0;
  #busySec = 0;
  #featuresSec = 0;
  #soundSec = 0;

  /** @param soundSec sound of the batch */
  add(report: BatchReport, soundSec: number): void {
    const { modes, latenciesSec, numRows, featuresSec } = report;
    this.#numBatches++;
    this.#numRows += numRows;
    this.#maxRows = Math.max(this.#maxRows, numRows);
    this.#busySec += busySec(report);
    this.#featuresSec += featuresSec;
    this.#soundSec += soundSec;
    for (const [i, { attContext }] of modes.entries()) {
      const record = this.#modeOf(attContext);
      record.latencies[record.numChunks++ % WINDOW] = latenciesSec[i];
    }
  }

  read(): BatchStatistics {
    return {
      numBatches: this.#numBatches,
      meanRows: this.#numBatches === 0 ? 0 : this.#numRows / this.#numBatches,
      maxRows: this.#maxRows,
      busySec: this.#busySec,
      featuresSec: this.#featuresSec,
      soundSec: this.#soundSec,
      realTimeFactor: this.#soundSec === 0 ? 0 : this.#busySec / this.#soundSec,
      modes: [...this.#modes.values()].map(({ attContext, numChunks, latencies }) => ({
        attContext,
        numChunks,
        latencySec: percentiles(latencies.subarray(0, numChunks)),
      })),
    };
  }

  #modeOf(attContext: readonly number[]): ModeRecord {
    const key = attContext.join();
    const record = this.#modes.get(key) ?? { attContext, numChunks: 0, latencies: new Float64Array(WINDOW) };
    this.#modes.set(key, record);
    return record;
  }
}

/** Percentiles by nearest rank; NaN of no values. */
export function percentiles(values: Float64Array): Percentiles {
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}
