import type { BatchReport } from "./batch.ts";

/** What one batch did, and what was done for it before it began. */
export interface BatchTimes extends BatchReport {
  /** From samples to frames (resampling and features) since the batch before, of all streams. */
  readonly featuresSec: number;
}

/** What a batch took of its thread. */
export const busySec = ({ featuresSec, encodeSec, decodeSec }: BatchTimes): number =>
  featuresSec + encodeSec + decodeSec;

/** Adds up the time of features, which are made when sound comes and not when its batch runs. */
export interface FeatureTimer {
  time<T>(work: () => T): T;
  /** The sum since it was taken last. */
  take(): number;
}

/** @param now seconds */
export function createFeatureTimer(now: () => number): FeatureTimer {
  let sumSec = 0;
  return {
    time(work) {
      const start = now();
      try {
        return work();
      } finally {
        sumSec += now() - start;
      }
    },
    take() {
      const taken = sumSec;
      sumSec = 0;
      return taken;
    },
  };
}
