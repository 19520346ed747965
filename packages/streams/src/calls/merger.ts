import type { Clock } from "../clock.ts";

/** What a party said, as far as its order matters. */
export interface Spoken {
  /** When its first word begins, on the call's clock. */
  readonly startMs: number;
  /** Decides between utterances that begin at the same time. */
  readonly channelNumber: number;
}

/** How long finals wait for the other parties. */
export interface MergerOptions {
  /** A final waits no longer than this for others that may have begun before it; 2 s unless told. */
  readonly maxWaitMs?: number;
  /**
   * An utterance shows as an interim at the latest so long after its sound; 4 s unless told: sound that may wait for an
   * engine that is behind (2 s), and a chunk.
   */
  readonly lagMs?: number;
  readonly clock: Clock;
}

interface Party {
  /** An utterance of it that shows from now on begins here at the earliest. */
  boundMs: number;
  /** Where the utterance began that it is in: however far its sound has come, that is still to be told. */
  openMs: number | undefined;
  channelNumber: number;
}

/**
 * Puts the finals of a call's parties in the order in which they were spoken; ties by channel number. Overlapping
 * utterances stay whole and follow one another by their beginnings. A final comes out as soon as no other party can have
 * begun before it, or after `maxWaitMs`; one that comes after later ones nevertheless comes out at once.
 */
export class TranscriptMerger<K, U extends Spoken> {
  readonly #options: Required<MergerOptions>;
  readonly #emit: (utterance: U) => void;
  readonly #parties = new Map<K, Party>();
  #waiting: { readonly key: K; readonly utterance: U; readonly sinceMs: number }[] = [];

  constructor(options: MergerOptions, emit: (utterance: U) => void) {
    this.#options = { maxWaitMs: 2000, lagMs: 4000, ...options };
    this.#emit = emit;
  }

  /** Utterances that wait. */
  get numWaiting(): number {
    return this.#waiting.length;
  }

  /** A party is there. */
  join(key: K, channelNumber: number): void {
    this.#parties.set(key, { boundMs: Number.NEGATIVE_INFINITY, openMs: undefined, channelNumber });
  }

  /** A party, which is there already, turns out to have a number. */
  identify(key: K, channelNumber: number): void {
    const party = this.#parties.get(key);
    if (party) party.channelNumber = channelNumber;
  }

  /** A party's sound reached a time on the call's clock. */
  hear(key: K, heardMs: number): void {
    this.#raise(key, heardMs - this.#options.lagMs);
  }

  /** A party is in an utterance that began at a time, or in none any more. */
  open(key: K, startMs: number | undefined): void {
    const party = this.#parties.get(key);
    if (!party || party.openMs === startMs) return;
    party.openMs = startMs;
    this.#release();
  }

  /** A party's final. */
  push(key: K, utterance: U): void {
    this.#waiting.push({ key, utterance, sinceMs: this.#options.clock.nowMs() });
    this.#waiting.sort((a, b) => order(a.utterance, b.utterance));
    const party = this.#parties.get(key);
    if (party) {
      party.openMs = undefined;
      // Its next one begins later than this one.
      party.boundMs = Math.max(party.boundMs, utterance.startMs);
    }
    this.#release();
  }

  /** A party is gone: nobody waits for it any longer. */
  leave(key: K): void {
    this.#parties.delete(key);
    this.#release();
  }

  /** Lets out what has waited for too long. */
  sweep(): void {
    this.#release();
  }

  /** Lets out everything. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { utterance } of waiting) this.#emit(utterance);
  }

  #raise(key: K, boundMs: number): void {
    const party = this.#parties.get(key);
    if (!party || boundMs <= party.boundMs) return;
    party.boundMs = boundMs;
    this.#release();
  }

  #release(): void {
    const now = this.#options.clock.nowMs();
    for (;;) {
      // What has waited long enough goes, and everything that was spoken before it goes first.
      const numExpired = this.#waiting.findLastIndex((w) => now - w.sinceMs >= this.#options.maxWaitMs) + 1;
      const first = this.#waiting[0];
      if (first === undefined || !(numExpired > 0 || this.#isSettled(first.key, first.utterance))) return;
      this.#waiting.shift();
      this.#emit(first.utterance);
    }
  }

  #isSettled(key: K, utterance: U): boolean {
    for (const [other, party] of this.#parties) {
      if (other === key) continue;
      const nextMs = party.openMs ?? party.boundMs;
      const comesLater =
        nextMs > utterance.startMs || (nextMs === utterance.startMs && party.channelNumber > utterance.channelNumber);
      if (!comesLater) return false;
    }
    return true;
  }
}

/** The order of speaking. */
const order = (a: Spoken, b: Spoken): number => a.startMs - b.startMs || a.channelNumber - b.channelNumber;
