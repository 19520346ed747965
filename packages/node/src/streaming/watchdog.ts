/**
 * A thread that owes an answer for so long hangs. Far beyond what any batch takes: between the products of a batch a
 * thread has its turns to answer, the longest single run is that of a large model's windows, some seconds, and a machine
 * that swaps or is overloaded slows it down tenfold. Whoever waits for a thread that hangs waits this long once.
 */
const HUNG_AFTER_SEC = 60;
/** A thread that loads its model cannot answer meanwhile: gigabytes from a slow disk, and costs to be measured. */
const STARTS_WITHIN_SEC = 600;
/** Time between two looks counts no longer than this: a main thread that was blocked or asleep has not listened. */
const MAX_LOOK_SEC = 2;

/** Finds out whether a thread hangs: one that neither works nor ends, which nothing else tells. */
export class Watchdog {
  #lookedAt: number | undefined;
  #waitedSec = 0;
  /** True while an answer is owed. */
  #isOwed = false;

  /** The thread has told something: it lives. */
  heard(): void {
    this.#isOwed = false;
    this.#waitedSec = 0;
  }

  /**
   * Looks after a thread; to be called about every second.
   * @param now seconds of any clock that goes on
   * @param state whether it has a model, and anything to do
   * @param ask has it answer
   * @returns how long it has owed an answer, where that is too long
   */
  look(now: number, state: "starting" | "working" | "resting", ask: () => void): number | undefined {
    const sec = Math.min(MAX_LOOK_SEC, now - (this.#lookedAt ?? now));
    this.#lookedAt = now;
    if (state === "resting") {
      this.heard();
      return undefined;
    }
    if (state === "starting" || this.#isOwed) this.#waitedSec += sec;
    if (state === "working" && !this.#isOwed) {
      this.#isOwed = true;
      ask();
    }
    return this.#waitedSec >= (state === "starting" ? STARTS_WITHIN_SEC : HUNG_AFTER_SEC) ? this.#waitedSec : undefined;
  }
}
