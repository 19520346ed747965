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
