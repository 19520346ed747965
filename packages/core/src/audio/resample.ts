import { SpeechError } from "../errors.ts";
import { halfBandTaps } from "./half-band.ts";
import { createPolyphaseKernel, createSoxrKernel } from "./resample-kernel.ts";
import {
  BLOCK_SAMPLES,
  createHalfBand,
  createPolyphase,
  earlyOutputs,
  type FilterBank,
  type Stage,
  type StageState,
} from "./resample-stages.ts";

/** Below a telephone's rate by far; headers with less are damaged. */
const MIN_RATE_HZ = 1000;
/** Four times the highest rate of studio equipment. */
const MAX_RATE_HZ = 768_000;
/** 2 MB of filters: exact for every usual pair of rates; others are interpolated between neighbouring filters. */
const MAX_BANK_VALUES = 262_144;
/** From here on a cheap filter halves the rate before the sharp one: it then has half as many taps. */
const HALVING_RATIO = 2.5;

/** The memory of a resampling stream: plain data that survives a structured clone. */
export interface ResampleState {
  readonly numInput: number;
  readonly numOutput: number;
  readonly stages: readonly StageState[];
}

/** A signal on its way from one rate to another, in pieces of any size. */
export interface ResampleStream {
  /** Takes samples and gives those that are complete: a view of a buffer that the next call reuses. */
  feed(samples: Float32Array): Float32Array;
  /** Ends the signal and gives the rest. */
  finish(): Float32Array;
  save(): ResampleState;
}

/** A conversion between two rates. Its filters are shared by all signals that go through it. */
export interface Resampler {
  readonly fromHz: number;
  readonly toHz: number;
  /** Samples that come out of `numSamples`. */
  outputLength(numSamples: number): number;
  resample(samples: Float32Array): Float32Array;
  /** Opens a stream, new or where `state` was saved. It gives bit for bit what `resample` gives for the whole signal. */
  openStream(state?: ResampleState): ResampleStream;
}

/**
 * Which filter a resampler has. `polyphase`: that of `scipy.signal.resample_poly` (and librosa's `polyphase`), with which
 * the reference texts were made. `soxr`: libsoxr's HQ quality, with which NeMo itself loads files
 * (`librosa.resample`, `soxr_hq`): pass band to 0.914 of the lower Nyquist frequency, 120 dB of attenuation from it on.
 */
export type ResampleFilter = "polyphase" | "soxr";

/**
 * Creates a resampler: linear phase, no delay, `ceil(n * to / from)` samples out of `n`.
 *
 * With `soxr`, where soxr rounds that number down, the last sample is zero, as librosa has it.
 * @throws SpeechError `AUDIO_UNSUPPORTED` when a rate is no whole number in [1000, 768000].
 */
export function createResampler(fromHz: number, toHz: number, filter: ResampleFilter = "polyphase"): Resampler {
  checkRate(fromHz);
  checkRate(toHz);
  const outputLength = (numSamples: number) => Math.ceil(numSamples * (toHz / fromHz));
  if (fromHz === toHz) {
    return { fromHz, toHz, outputLength, resample: (samples) => samples.slice(), openStream: openIdentity };
  }
  const filters = designFilters(fromHz, toHz, filter);
  const openStream = (state?: ResampleState) => openFilters(filters, fromHz, toHz, outputLength, state);
  return {
    fromHz,
    toHz,
    outputLength,
    openStream,
    resample(samples) {
      const out = new Float32Array(outputLength(samples.length));
      const stream = openStream();
      let filled = 0;
      for (let from = 0; from < samples.length; from += BLOCK_SAMPLES) {
        const part = stream.feed(samples.subarray(from, from + BLOCK_SAMPLES));
        out.set(part, filled);
        filled += part.length;
      }
      out.set(stream.finish(), filled);
      return out;
    },
  };
}

function checkRate(rateHz: number): void {
  if (Number.isInteger(rateHz) && rateHz >= MIN_RATE_HZ && rateHz <= MAX_RATE_HZ) return;
  throw new SpeechError(
    "AUDIO_UNSUPPORTED",
    `resample: expected a sample rate in [${MIN_RATE_HZ}, ${MAX_RATE_HZ}] Hz, got ${rateHz}. Check the recording's header or the rate that was given for it.`,
  );
}

interface Filters {
  readonly filter: ResampleFilter;
  readonly halfBands: readonly Float64Array[];
  readonly bank: FilterBank;
}

function designFilters(fromHz: number, toHz: number, filter: ResampleFilter): Filters {
  const lowHz = Math.min(fromHz, toHz);
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const createKernel = filter === "soxr" ? createSoxrKernel : createPolyphaseKernel;
  const kernel = createKernel(toHz / divisor, fromHz / divisor);
  const halfBands: Float64Array[] = [];
  // In units of half samples of the divisor, so that halving an odd rate stays whole.
  let rate = fromHz;
  // The polyphase filter is short, and its wide edge would show the filter in front of it.
  for (; filter === "soxr" && rate / toHz >= HALVING_RATIO; rate /= 2) halfBands.push(halfBandTaps(lowHz / 2 / rate));
  const scale = 2 ** halfBands.length;
  const common = greatestCommonDivisor(rate * scale, toHz * scale);
  const up = (toHz * scale) / common;
  const down = (rate * scale) / common;

  const widthSamples = Math.ceil((kernel.halfWidth * rate) / lowHz);
  const centre = widthSamples - 1;
  const numTaps = Math.ceil((2 * widthSamples) / 4) * 4;
  const numPhases = Math.min(up, Math.floor(MAX_BANK_VALUES / numTaps));
  const taps = new Float64Array((numPhases + 1) * numTaps);
  for (let p = 0; p <= numPhases; p++) {
    for (let i = 0; i < numTaps; i++) {
      const t = ((i - centre - p / numPhases) * lowHz) / rate;
      taps[p * numTaps + i] = (kernel.value(t) * lowHz) / rate;
    }
  }
  return { filter, halfBands, bank: { up, down, numTaps, centre, numPhases, taps } };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function openFilters(
  { filter, halfBands, bank }: Filters,
  fromHz: number,
  toHz: number,
  outputLength: (numSamples: number) => number,
  state: ResampleState | undefined,
): ResampleStream {
  const stages: Stage[] = [];
  let early = 0;
  for (const taps of halfBands) {
    stages.push(createHalfBand(taps, early, state?.stages[stages.length]));
    early = earlyOutputs(taps, early);
  }
  stages.push(createPolyphase(bank, early, state?.stages[stages.length]));
  let numInput = state?.numInput ?? 0;
  let numOutput = state?.numOutput ?? 0;
  const blockOut = Math.ceil((BLOCK_SAMPLES * toHz) / fromHz) + 2;
  const size = Math.max(BLOCK_SAMPLES, blockOut);
  let current = new Float64Array(size);
  let other = new Float64Array(size);
  let out = new Float32Array(blockOut);

  /** Sends `count` samples of `current` through all stages into `out`. Returns the new fill of `out`. */
  function run(count: number, filled: number): number {
    let n = count;
    for (const stage of stages) {
      n = stage.push(current, n, other, 0);
      [current, other] = [other, current];
    }
    if (filled + n > out.length) {
      const larger = new Float32Array(2 * (filled + n));
      larger.set(out.subarray(0, filled));
      out = larger;
    }
    for (let i = 0; i < n; i++) out[filled + i] = current[i];
    return filled + n;
  }

  return {
    feed(samples) {
      let filled = 0;
      for (let from = 0; from < samples.length; from += BLOCK_SAMPLES) {
        const count = Math.min(BLOCK_SAMPLES, samples.length - from);
        for (let i = 0; i < count; i++) current[i] = samples[from + i];
        filled = run(count, filled);
      }
      numInput += samples.length;
      numOutput += filled;
      return out.subarray(0, filled);
    },
    finish() {
      const missing = outputLength(numInput) - numOutput;
      let filled = 0;
      while (filled < missing) {
        current.fill(0, 0, BLOCK_SAMPLES);
        filled = run(BLOCK_SAMPLES, filled);
      }
      const rest = out.subarray(0, missing);
      if (filter === "soxr") rest.fill(0, Math.max(0, Math.floor((numInput * toHz) / fromHz + 0.5) - numOutput));
      return rest;
    },
    save: () => ({ numInput, numOutput, stages: stages.map((stage) => stage.save()) }),
  };
}

function openIdentity(state?: ResampleState): ResampleStream {
  let numInput = state?.numInput ?? 0;
  return {
    feed(samples) {
      numInput += samples.length;
      return samples;
    },
    finish: () => new Float32Array(0),
    save: () => ({ numInput, numOutput: numInput, stages: [] }),
  };
}
