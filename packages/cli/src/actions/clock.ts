/** Seconds of a clock that always goes on. */
export const now = (): number => performance.now() / 1000;
