/** How far a timestamp may lie from the sample count, before or after it, until it is believed; less is jitter. */
export const CLOCK_TOLERANCE_MS = 200;

/**
 * The rule by which timestamps are believed, the same in all operators, in the gateway and in the SPL toolkit
 * (`ClockFunctions.spl`): times are counted in samples from the first timestamp on; one that is off by more than
 * `CLOCK_TOLERANCE_MS` in either direction begins a new count. One that repeats the one before it says nothing: so do
 * senders without a clock.
 */
export class SenderClock {
  #givenMs: number | undefined;

  /** @param givenMs the last timestamp, of a sender that is gone on with */
  constructor(givenMs?: number) {
    this.#givenMs = givenMs;
  }

  /** The last timestamp that came. */
  get givenMs(): number | undefined {
    return this.#givenMs;
  }

  /** Takes note of a timestamp; tells whether it begins a new count, where samples say that it is `countedMs`. */
  jumps(givenMs: number, countedMs: number): boolean {
    const isNew = givenMs !== this.#givenMs;
    this.#givenMs = givenMs;
    return isNew && Math.abs(givenMs - countedMs) > CLOCK_TOLERANCE_MS;
  }
}
