import type { FeatureSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import type { FeatureTensors } from "./kernel.ts";

/** Four seconds at 16 kHz: far beyond any front end, and a frame's scratch memory stays below 4 MB. */
const MAX_FFT_SIZE = 65_536;
/** The definition of the transform is quadratic: 1 ms a frame at this size. */
const MAX_DIRECT_FFT_SIZE = 2048;
const MAX_HOP_SAMPLES = 65_536;
/** Sixteen times the 128 of the largest known front end. */
const MAX_ROWS = 2048;
const MAX_PAD_TO = 65_536;

/**
 * Checks that a front end's description and tensors fit together and stay within sizes that bound time and memory.
 * @throws SpeechError `LIMIT_EXCEEDED` or `MODEL_INVALID`.
 */
export function checkFeatureSpec(spec: FeatureSpec, tensors: FeatureTensors): void {
  const isPowerOfTwo = Number.isInteger(spec.fftSize) && (spec.fftSize & (spec.fftSize - 1)) === 0;
  limit("n_fft", spec.fftSize, 2, isPowerOfTwo ? MAX_FFT_SIZE : MAX_DIRECT_FFT_SIZE);
  limit("window_stride in samples", spec.hopSamples, 1, MAX_HOP_SAMPLES);
  limit("features", spec.numMels, 1, MAX_ROWS);
  limit("features times frame_splicing", spec.numMels * spec.frameSplicing, spec.numMels, MAX_ROWS);
  limit("pad_to", spec.padTo, 0, MAX_PAD_TO);
  fit(
    "window_size in samples",
    spec.windowSamples,
    "at most n_fft",
    spec.windowSamples >= 1 && spec.windowSamples <= spec.fftSize,
  );
  if (spec.exactPad)
    fit(
      "exact_pad",
      spec.hopSamples,
      "an even stride of at most n_fft",
      spec.hopSamples % 2 === 0 && spec.hopSamples <= spec.fftSize,
    );
  if (spec.kind === "mfcc")
    fit("n_mfcc", spec.numMfcc, "at most n_mels", spec.numMfcc >= 1 && spec.numMfcc <= spec.numMels);
  if (spec.normalize.kind === "fixed") {
    const rows = spec.numMels * spec.frameSplicing;
    fit("fixed_mean", spec.normalize.mean.length, `${rows} values`, spec.normalize.mean.length === rows);
    fit("fixed_std", spec.normalize.std.length, `${rows} values`, spec.normalize.std.length === rows);
  }
  const { window, filterbank } = tensors;
  const numBins = Math.floor(spec.fftSize / 2) + 1;
  if (window !== undefined)
    fit("window tensor", window.length, `${spec.windowSamples} values`, window.length === spec.windowSamples);
  if (filterbank !== undefined) {
    const expected = `[${spec.numMels}, ${numBins}] values`;
    fit("filterbank tensor", filterbank.length, expected, filterbank.length === spec.numMels * numBins);
  }
}

function limit(what: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new SpeechError(
    "LIMIT_EXCEEDED",
    `preprocessor: expected ${what} in [${min}, ${max}], got ${value}. No known model needs more; the configuration is damaged.`,
  );
}

function fit(what: string, got: number, expected: string, isTrue: boolean): void {
  if (isTrue) return;
  throw new SpeechError(
    "MODEL_INVALID",
    `preprocessor: expected ${what} to be ${expected}, got ${got}. The checkpoint contradicts itself.`,
  );
}
