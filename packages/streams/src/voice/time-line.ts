import { SenderClock } from "./sender-clock.ts";

/** A call of a day with a jump a second would have as many. */
const MAX_ANCHORS = 100_000;
/** Texts follow their sound within seconds: blocks of 10 ms for a minute and a half. */
const MAX_ARRIVALS = 10_000;

/** A time line as plain data. */
export interface SavedTimeLine {
  readonly sampleRateHz: number;
  readonly anchors: readonly { readonly sample: number; readonly timeMs: number }[];
  readonly numSamples: number;
  /** The last timestamp that came. */
  readonly givenMs?: number;
}

/**
 * Where samples stand on the caller's clock. A time is counted in samples from the last timestamp that was believed
 * (`SenderClock`); it is not estimated anew for every block.
 */
export class TimeLine {
  readonly sampleRateHz: number;
  readonly #startMs: number | undefined;
  readonly #clock: SenderClock;
  /** From a sample on, which time it has; ascending. */
  readonly #anchors: { sample: number; timeMs: number }[] = [];
  /** When samples came, by the clock of this machine: up to `sample`, at `atMs`. */
  #arrivals: { sample: number; atMs: number }[] = [];
  #numSamples = 0;

  /** @param before the time line of another rate that this one goes on behind */
  constructor(sampleRateHz: number, before?: { readonly endMs: number; readonly givenMs?: number }) {
    this.sampleRateHz = sampleRateHz;
    this.#startMs = before?.endMs;
    this.#clock = new SenderClock(before?.givenMs);
  }

  /** A time line that goes on where one was saved. */
  static restore({ sampleRateHz, anchors, numSamples, givenMs }: SavedTimeLine): TimeLine {
    const line = new TimeLine(sampleRateHz, { endMs: 0, givenMs });
    line.#anchors.push(...anchors);
    line.#numSamples = numSamples;
    return line;
  }

  /** Everything but when samples came: this machine's clock means nothing elsewhere. */
  save(): SavedTimeLine {
    const { sampleRateHz, givenMs } = this;
    const saved = { sampleRateHz, anchors: this.#anchors, numSamples: this.#numSamples };
    return givenMs === undefined ? saved : { ...saved, givenMs };
  }

  /** Samples so far. */
  get numSamples(): number {
    return this.#numSamples;
  }

  /** The last timestamp that came. */
  get givenMs(): number | undefined {
    return this.#clock.givenMs;
  }

  /** The caller's time behind the last sample, in milliseconds. */
  get endMs(): number {
    return this.timeMs(this.#numSamples);
  }

  /** Takes note of samples that came now. */
  add(numSamples: number, timestampMs: number | undefined, atMs: number): void {
    const countedMs = this.#anchors.length > 0 ? this.endMs : this.#startMs;
    const isJump =
      timestampMs !== undefined && this.#clock.jumps(timestampMs, countedMs ?? timestampMs) && countedMs !== undefined;
    if (this.#anchors.length === 0) {
      const timeMs = isJump ? timestampMs : (countedMs ?? timestampMs ?? 0);
      this.#anchors.push({ sample: 0, timeMs });
    } else if (isJump && this.#anchors.length < MAX_ANCHORS)
      this.#anchors.push({ sample: this.#numSamples, timeMs: timestampMs });
    this.#numSamples += numSamples;
    if (numSamples > 0) this.#arrivals.push({ sample: this.#numSamples, atMs });
    if (this.#arrivals.length > MAX_ARRIVALS) this.#arrivals = this.#arrivals.slice(MAX_ARRIVALS / 2);
  }

  /** The caller's time of a sample. */
  timeMs(sample: number): number {
    let low = 0;
    for (let high = this.#anchors.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if (this.#anchors[middle].sample <= sample) low = middle;
      else high = middle;
    }
    const anchor = this.#anchors[low] ?? { sample: 0, timeMs: 0 };
    return anchor.timeMs + ((sample - anchor.sample) * 1000) / this.sampleRateHz;
  }

  /** When a sample came, by this machine's clock; forgets what came before it. */
  arrivalMs(sample: number): number | undefined {
    const at = this.#arrivals.findIndex((arrival) => arrival.sample >= sample);
    if (at > 0) this.#arrivals = this.#arrivals.slice(at);
    return at < 0 ? this.#arrivals.at(-1)?.atMs : this.#arrivals[0].atMs;
  }
}
