/** What time it is. Passed in wherever time is measured, so that tests own it. */
export interface Clock {
  /** Milliseconds that only go forward, from any start. */
  nowMs(): number;
}

/** The machine's monotonic clock. */
export const SYSTEM_CLOCK: Clock = { nowMs: () => performance.now() };
