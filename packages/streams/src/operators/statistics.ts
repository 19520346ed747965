import type { Clock } from "../clock.ts";

/**
 * Where time goes. `recognition` is what an operator waited for; of it `features` (from samples to the encoder's frames),
 * `model` (the encoder) and `decoding` are the engine's own, for all its streams together. `vad` is the detector's.
 */
export type Stage = "vad" | "features" | "model" | "decoding" | "recognition";

/** Durations of one kind, in milliseconds. */
export interface Durations {
  readonly count: number;
  readonly totalMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
}

/** What an operator or a pipeline did: every number is counted or measured. */
export interface Statistics {
  readonly chunks: { readonly total: number; readonly speech: number; readonly silence: number };
  readonly audioMs: number;
  readonly finals: number;
  readonly stages: Readonly<Partial<Record<Stage, Durations>>>;
  /** From when the last sample that a text needed came until the text. */
  readonly latency: Durations;
  /** Time in all stages for each second of sound; undefined before there is sound. */
  readonly realTimeFactor: number | undefined;
}

/** Times of one batch of the engine (`onBatch`), which all streams of the engine share. */
export interface EngineBatch {
  readonly featuresSec: number;
  readonly encodeSec: number;
  readonly decodeSec: number;
}

class Meter {
  count = 0;
  totalMs = 0;
  maxMs = 0;

  add(ms: number): void {
    this.count++;
    this.totalMs += ms;
    this.maxMs = Math.max(this.maxMs, ms);
  }

  read(): Durations {
    const { count, totalMs, maxMs } = this;
    return { count, totalMs, meanMs: count === 0 ? 0 : totalMs / count, maxMs };
  }
}

/** Collects statistics; operators of one pipeline may share one. */
export class StatisticsMeter {
  readonly #clock: Clock;
  readonly #stages = new Map<Stage, Meter>();
  readonly #latency = new Meter();
  #speech = 0;
  #silence = 0;
  #chunks = 0;
  #audioMs = 0;
  #finals = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs work and adds its time to a stage. */
  async time<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const start = this.#clock.nowMs();
    try {
      return await work();
    } finally {
      this.add(stage, this.#clock.nowMs() - start);
    }
  }

  /** Adds a measured time to a stage. */
  add(stage: Stage, ms: number): void {
    const meter = this.#stages.get(stage) ?? new Meter();
    this.#stages.set(stage, meter);
    meter.add(ms);
  }

  /** Adds a batch of the engine: the features that came for it, its encoder, its decoder. */
  addBatch({ featuresSec, encodeSec, decodeSec }: EngineBatch): void {
    this.add("features", featuresSec * 1000);
    this.add("model", encodeSec * 1000);
    this.add("decoding", decodeSec * 1000);
  }

  /** Counts a chunk of sound. */
  chunk(audioMs: number): void {
    this.#chunks++;
    this.#audioMs += audioMs;
  }

  /** Counts a decision of the detector. */
  decision(isSpeech: boolean): void {
    if (isSpeech) this.#speech++;
    else this.#silence++;
  }

  /** Counts a text. */
  text(isFinal: boolean, latencyMs: number): void {
    if (isFinal) this.#finals++;
    this.#latency.add(latencyMs);
  }

  /** What was collected so far. */
  read(): Statistics {
    const stages = Object.fromEntries([...this.#stages].map(([stage, meter]) => [stage, meter.read()]));
    // `recognition` is what the operator waited for; the engine's own stages are parts of it.
    const outer = (["vad", "recognition"] as const).reduce((sum, stage) => sum + (stages[stage]?.totalMs ?? 0), 0);
    return {
      chunks: { total: this.#chunks, speech: this.#speech, silence: this.#silence },
      audioMs: this.#audioMs,
      finals: this.#finals,
      stages,
      latency: this.#latency.read(),
      realTimeFactor: this.#audioMs > 0 ? outer / this.#audioMs : undefined,
    };
  }
}
