import type { Clock } from "../clock.ts";

/** Between two asks at first, and in the end. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 8000;

/**
 * When a sender is asked for what is missing. Every ask costs it a repetition of everything from there on, so it is asked
 * again only when the ask or its repetition seems to be lost, and less and less often: a busy sender's answer takes its time.
 */
export class Asking {
  readonly #clock: Clock;
  #pauseMs = FIRST_PAUSE_MS;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #arrivedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something came in its turn, or of a repetition: as long as that goes on nothing is asked for again. */
  onArrived(): void {
    this.#arrivedAtMs = this.#clock.nowMs();
    this.#pauseMs = FIRST_PAUSE_MS;
  }

  /** The first ask for what was just found missing: at once, unless there was one just now. */
  get isFirstDue(): boolean {
    return this.#clock.nowMs() - this.#askedAtMs >= FIRST_PAUSE_MS;
  }

  /** Another ask. */
  get isDue(): boolean {
    const now = this.#clock.nowMs();
    return now - this.#askedAtMs >= this.#pauseMs && now - this.#arrivedAtMs >= FIRST_PAUSE_MS;
  }

  /** It was asked. */
  onAsked(): void {
    // Between two asks without any arrival the pause doubles; the first is one.
    const isAgain = this.#askedAtMs > this.#arrivedAtMs;
    this.#pauseMs = isAgain ? Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs) : FIRST_PAUSE_MS;
    this.#askedAtMs = this.#clock.nowMs();
  }
}
