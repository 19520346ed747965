import { createResampler, type ResampleStream } from "@nemo-stt/core";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";
import { tupleItem } from "../items.ts";
import { createSoundDecoder, type SoundDecoder } from "../voice/sound-decoder.ts";
import { checkAudio, createOperator, type Operator } from "./operator.ts";
import { VAD } from "./parameter-tables.ts";
import { type Given, resolveParameters, type Warn } from "./parameters.ts";
import type { AudioTuple } from "./speech-operator.ts";
import { StatisticsMeter } from "./statistics.ts";
import { openSpeechProbability, type SpeechProbability } from "./vad-model.ts";

/** The parameters of `VAD`. */
export type VadParameters = Given<typeof VAD.parameters>;

/** What is known of one window. */
export interface VadResult {
  isSpeech: boolean;
  /** Probability of speech, 0 to 1. */
  confidence: number;
  /** When the window begins, in milliseconds. */
  timestamp: bigint;
}

/** What the operator needs besides its parameters. */
export interface VadContext {
  readonly clock?: Clock;
  readonly warn?: Warn;
  readonly statistics?: StatisticsMeter;
}

/** Sound that the model is run on at a time, once it is there. */
const BLOCK_SEC = 0.32;
const ENERGY_HISTORY = 10;
const ENERGY_FLOOR = 0.001;

/**
 * `VAD`: sound in, a result for every window of `windowMs` out, `shiftMs` apart. A NeMo classifier decides; the original's
 * energy gate only where it is asked for. Marks flush what is held and are passed on; the state starts anew behind them.
 * @throws TypeError, RangeError for parameters; the stream fails with the SpeechError of the model
 */
export function createVad(
  parameters: VadParameters = {},
  context: VadContext = {},
): Operator<AudioTuple, VadResult> & { readonly statistics: StatisticsMeter } {
  const values = resolveParameters(VAD, parameters, context.warn ?? console.warn);
  const { method, sampleRate, windowMs, shiftMs, threshold } = values;
  const statistics = context.statistics ?? new StatisticsMeter(context.clock ?? SYSTEM_CLOCK);
  if (method === "energy" && parameters.modelPath !== undefined)
    throw new RangeError("VAD.modelPath: expected none with method energy, got one. Leave out one of both.");
  let model: SpeechProbability | undefined;
  let windows: Windows | undefined;
  const begin = async () => {
    if (method === "model") model ??= await openSpeechProbability(values.modelPath);
    const rate = model?.sampleRateHz ?? sampleRate;
    return new Windows(sampleRate, rate, { windowMs, shiftMs }, model ? modelJudge(model) : energyJudge());
  };
  const emitResults = (results: readonly Judged[], emit: (item: ReturnType<typeof tupleItem<VadResult>>) => void) => {
    for (const { confidence, startMs } of results) {
      const isSpeech = confidence >= threshold;
      statistics.decision(isSpeech);
      emit(tupleItem({ isSpeech, confidence, timestamp: BigInt(Math.round(startMs)) }));
    }
  };
  const flush = async (emit: Parameters<typeof emitResults>[1]) => {
    const current = windows;
    windows = undefined;
    if (current) emitResults(await statistics.time("vad", () => current.flush()), emit);
  };
  const operator = createOperator<AudioTuple, VadResult>(VAD.name, {
    async take(item, emit) {
      if (item.kind !== "tuple") {
        await flush(emit);
        emit(item);
        return;
      }
      const { audioChunk, audioTimestamp } = item.tuple;
      checkAudio(VAD.name, "audioChunk", audioChunk, audioTimestamp);
      windows ??= await begin();
      const current = windows;
      statistics.chunk((audioChunk.length / 2 / sampleRate) * 1000);
      emitResults(await statistics.time("vad", () => current.feed(audioChunk, Number(audioTimestamp))), emit);
    },
    end: (emit) => flush(emit),
    async close() {
      await model?.close();
    },
  });
  return { ...operator, statistics };
}

/** A window with its probability. */
interface Judged {
  readonly startMs: number;
  readonly confidence: number;
}

/** Judges windows of a signal that grows at its end. */
interface Judge {
  /** Seconds before and behind a window that matter. */
  readonly contextSec: number;
  /** The probabilities of windows `[start, start + windowSamples)` within samples that begin at `firstSample`. */
  judge(
    samples: Float32Array,
    firstSample: number,
    starts: readonly number[],
    windowSamples: number,
  ): Promise<number[]>;
  /** Where the samples that are kept may begin. */
  readonly gridSamples: number;
}

/** Cuts sound into windows and has them judged as soon as all that matters for them is there. */
class Windows {
  readonly #decoder: SoundDecoder;
  readonly #resampling: ResampleStream;
  readonly #rate: number;
  readonly #windowSamples: number;
  readonly #shiftSamples: number;
  readonly #judge: Judge;
  #samples = new Float32Array(0);
  /** Where `#samples` begins, from the start. */
  #first = 0;
  #nextWindow = 0;
  #judgedUpTo = 0;
  #startMs: number | undefined;

  constructor(
    fromHz: number,
    rate: number,
    { windowMs, shiftMs }: { windowMs: number; shiftMs: number },
    judge: Judge,
  ) {
    this.#decoder = createSoundDecoder({ encoding: "s16le", sampleRateHz: fromHz, numChannels: 1 }, VAD.name);
    this.#resampling = createResampler(fromHz, rate).openStream();
    this.#rate = rate;
    this.#windowSamples = Math.max(1, Math.round((windowMs * rate) / 1000));
    this.#shiftSamples = Math.max(1, Math.round((shiftMs * rate) / 1000));
    this.#judge = judge;
  }

  async feed(bytes: Uint8Array, timestampMs: number): Promise<Judged[]> {
    this.#startMs ??= timestampMs;
    const samples = await this.#decoder.feed(bytes);
    this.#append(this.#resampling.feed(samples));
    const isDue = this.#end - this.#judgedUpTo >= BLOCK_SEC * this.#rate || this.#judge.contextSec === 0;
    return isDue ? this.#run(this.#end - this.#judge.contextSec * this.#rate) : [];
  }

  async flush(): Promise<Judged[]> {
    this.#append(this.#resampling.finish());
    return this.#run(this.#end);
  }

  get #end(): number {
    return this.#first + this.#samples.length;
  }

  #append(samples: Float32Array): void {
    const all = new Float32Array(this.#samples.length + samples.length);
    all.set(this.#samples);
    all.set(samples, this.#samples.length);
    this.#samples = all;
  }

  /** Judges the windows that end by a sample. */
  async #run(lastEnd: number): Promise<Judged[]> {
    this.#judgedUpTo = this.#end;
    const starts: number[] = [];
    for (; this.#nextWindow + this.#windowSamples <= lastEnd; this.#nextWindow += this.#shiftSamples)
      starts.push(this.#nextWindow);
    if (starts.length === 0) return [];
    const judged = await this.#judge.judge(this.#samples, this.#first, starts, this.#windowSamples);
    const { gridSamples, contextSec } = this.#judge;
    const keepFrom = Math.max(0, Math.floor((this.#nextWindow - contextSec * this.#rate) / gridSamples) * gridSamples);
    if (keepFrom > this.#first) {
      this.#samples = this.#samples.slice(keepFrom - this.#first);
      this.#first = keepFrom;
    }
    return judged.map((confidence, i) => ({
      confidence,
      startMs: (this.#startMs ?? 0) + (starts[i] * 1000) / this.#rate,
    }));
  }
}

/** A window's probability is the mean of the model's positions whose middle lies in it, or the nearest one. */
function modelJudge(model: SpeechProbability): Judge {
  return {
    contextSec: model.contextSec,
    gridSamples: model.hopSamples,
    async judge(samples, firstSample, starts, windowSamples) {
      const { probability, middleSamples } = await model.run(samples);
      return starts.map((start) => {
        const from = (start - firstSample - middleSamples) / model.hopSamples;
        const low = Math.max(0, Math.ceil(from));
        const high = Math.min(probability.length, Math.ceil(from + windowSamples / model.hopSamples));
        const within = probability.subarray(low, high);
        if (within.length > 0) return within.reduce((sum, p) => sum + p, 0) / within.length;
        const nearest = Math.min(probability.length - 1, Math.max(0, Math.round(from)));
        return probability[nearest] ?? 0;
      });
    },
  };
}

/** The original's gate: above half the mean energy of the last ten windows, and above a floor, it is 0.5 and more. */
function energyJudge(): Judge {
  const last: number[] = [];
  return {
    contextSec: 0,
    gridSamples: 1,
    async judge(samples, firstSample, starts, windowSamples) {
      return starts.map((start) => {
        const window = samples.subarray(start - firstSample, start - firstSample + windowSamples);
        const energy = window.reduce((sum, value) => sum + value * value, 0) / window.length;
        const mean = last.length === 0 ? 0 : last.reduce((sum, value) => sum + value, 0) / last.length;
        const gate = Math.max(ENERGY_FLOOR, 0.5 * mean);
        last.push(energy);
        if (last.length > ENERGY_HISTORY) last.shift();
        return Math.min(1, (0.5 * energy) / gate);
      });
    },
  };
}
