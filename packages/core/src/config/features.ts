import {
  type ConfigBlock,
  choiceOr,
  flagOr,
  hasKey,
  ignoreKeys,
  integerOr,
  invalid,
  modelError,
  numberOr,
  numbersOf,
  rawValue,
  rejectUnknownKeys,
  targetOf,
  unsupportedValue,
  wrong,
} from "./block.ts";
import type { FeatureSpec, Normalization } from "./spec.ts";
import { dimsOf, hasPrefix, type TensorTable } from "./tensor-table.ts";

/** Torch's `finfo(float32)`, which `log_zero_guard_value` may name. */
const FLOAT32 = { tiny: 2 ** -126, eps: 2 ** -23 } as const;

const FEATURIZER = "preprocessor.featurizer";
const MEL_SPECTROGRAM = `${FEATURIZER}._mel_spec_extractor`;

/**
 * Describes the front end (audio_preprocessing.py, features.py). A key that is absent has the constructor's default: for
 * `preemph` that is 0.97, while an explicit null is none. The sizes of the checkpoint's own filterbank and window win.
 */
export function describeFeatures(block: ConfigBlock, table: TensorTable): FeatureSpec {
  const target = targetOf(block) ?? "AudioToMelSpectrogramPreprocessor";
  if (target === "AudioToMFCCPreprocessor") return describeMfcc(block, table);
  if (target !== "AudioToMelSpectrogramPreprocessor") {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `model_config.yaml: \`preprocessor\` is a ${target}, supported are mel spectrograms (AudioToMelSpectrogramPreprocessor) and MFCCs (AudioToMFCCPreprocessor).`,
    );
  }
  return describeMel(block, table);
}

/** The rows that a front end gives: what its encoder has to take. */
export function featureRows(spec: FeatureSpec): number {
  return spec.kind === "mfcc" ? spec.numMfcc : spec.numMels * spec.frameSplicing;
}

function describeMel(block: ConfigBlock, table: TensorTable): FeatureSpec {
  // `use_torchaudio` built another featurizer until 2.x; NeMo 3.0.0 takes the option and ignores it.
  const isTorchaudio = hasPrefix(table, `${MEL_SPECTROGRAM}.`);
  const timing = describeTiming(block);
  const filterbank = isTorchaudio
    ? dimsOf(table, `${MEL_SPECTROGRAM}.mel_scale.fb`)
    : dimsOf(table, `${FEATURIZER}.fb`)?.slice(1).toReversed();
  const window = dimsOf(table, isTorchaudio ? `${MEL_SPECTROGRAM}.spectrogram.window` : `${FEATURIZER}.window`);
  const declaredMels = integerOr(block, "features", 64, 1) ?? 64;
  const size = spectrumSize(block, window?.[0] ?? timing.windowSamples, filterbank?.[0]);
  const numMels = filterbank?.[1] ?? declaredMels;
  const frameSplicing = integerOr(block, "frame_splicing", 1, 1) ?? 1;
  const spec: FeatureSpec = {
    kind: isTorchaudio ? "mel-torchaudio" : "mel",
    ...timing,
    windowSamples: window?.[0] ?? timing.windowSamples,
    window: describeWindow(block, "none"),
    fftSize: size,
    preEmphasis: numberOr(block, "preemph", 0.97),
    numMels,
    ...describeBand(block, timing.sampleRateHz),
    melNorm: rawValue(block, "mel_norm") === null ? "none" : choiceOr(block, "mel_norm", ["slaney"] as const, "slaney"),
    magPower: numberOr(block, "mag_power", 2) ?? 2,
    log: flagOr(block, "log", true),
    logZeroGuard: describeGuard(block),
    normalize: describeNormalization(block, numMels * frameSplicing),
    frameSplicing,
    padTo: describePadTo(block),
    padValue: numberOr(block, "pad_value", 0) ?? 0,
    exactPad: flagOr(block, "exact_pad", false),
    numMfcc: 0,
    mfccNorm: "none",
    mfccLog: false,
  };
  ignoreKeys(block, [
    "dither",
    "rng",
    "nb_augmentation_prob",
    "nb_max_freq",
    "stft_exact_pad",
    "stft_conv",
    "use_torchaudio",
  ]);
  ignoreKeys(block, ["use_grads", "max_duration"]);
  rejectUnknownKeys(block);
  return spec;
}

/** torchaudio's `MFCC`: its mel scale is HTK's, its filterbank has no norm, its window is periodic. */
function describeMfcc(block: ConfigBlock, table: TensorTable): FeatureSpec {
  const timing = describeTiming(block);
  const window = dimsOf(table, `${FEATURIZER}.MelSpectrogram.spectrogram.window`)?.[0] ?? timing.windowSamples;
  const filterbank = dimsOf(table, `${FEATURIZER}.MelSpectrogram.mel_scale.fb`);
  const numMels = filterbank?.[1] ?? integerOr(block, "n_mels", 64, 1) ?? 64;
  const dct = dimsOf(table, `${FEATURIZER}.dct_mat`);
  const numMfcc = dct?.[1] ?? integerOr(block, "n_mfcc", 64, 1) ?? 64;
  if (numMfcc > numMels)
    throw invalid(`\`preprocessor.n_mfcc\` is ${numMfcc}, but \`preprocessor.n_mels\` is ${numMels}.`);
  if ((integerOr(block, "dct_type", 2) ?? 2) !== 2) throw unsupportedValue(block, "dct_type", "2");
  const spec: FeatureSpec = {
    kind: "mfcc",
    ...timing,
    windowSamples: window,
    window: describeWindow(block, "ones"),
    fftSize: spectrumSize(block, window, filterbank?.[0]),
    preEmphasis: undefined,
    numMels,
    ...describeBand(block, timing.sampleRateHz),
    melNorm: "none",
    magPower: 2,
    log: false,
    logZeroGuard: { kind: "add", value: 0 },
    normalize: { kind: "none" },
    frameSplicing: 1,
    padTo: 0,
    padValue: 0,
    exactPad: false,
    numMfcc,
    mfccNorm: rawValue(block, "norm") === null ? "none" : choiceOr(block, "norm", ["ortho"] as const, "ortho"),
    mfccLog: flagOr(block, "log", true),
  };
  ignoreKeys(block, ["n_mels", "n_mfcc"]);
  rejectUnknownKeys(block);
  return spec;
}

type Timing = Pick<FeatureSpec, "sampleRateHz" | "windowSamples" | "hopSamples" | "hopSec">;

function describeTiming(block: ConfigBlock): Timing {
  const sampleRateHz = integerOr(block, "sample_rate", 16000, 1) ?? 16000;
  const samples = (sec: string, count: string, fallbackSec: number): number => {
    const seconds = numberOr(block, sec, fallbackSec);
    const declared = integerOr(block, count, undefined, 1);
    if (seconds && declared) throw invalid(`\`preprocessor\` has both ${sec} and ${count}; only one may be given.`);
    const value = seconds ? Math.trunc(seconds * sampleRateHz) : declared;
    if (value === undefined || value < 1) throw wrong(block, sec, "a positive time", rawValue(block, sec));
    return value;
  };
  const hopSec = numberOr(block, "window_stride", 0.01);
  return {
    sampleRateHz,
    windowSamples: samples("window_size", "n_window_size", 0.02),
    hopSamples: samples("window_stride", "n_window_stride", 0.01),
    ...(hopSec && !Number.isInteger(hopSec * sampleRateHz) ? { hopSec } : {}),
  };
}

function spectrumSize(block: ConfigBlock, windowSamples: number, numBins: number | undefined): number {
  const declared = integerOr(block, "n_fft", undefined) || 2 ** Math.ceil(Math.log2(windowSamples));
  // An odd size gives as many bins as the even one below it.
  if (numBins === undefined || Math.floor(declared / 2) + 1 === numBins) return declared;
  return 2 * (numBins - 1);
}

/** `unknown` is the front end's own name for no window. */
function describeWindow(block: ConfigBlock, none: "none" | "ones"): FeatureSpec["window"] {
  if (rawValue(block, "window") === null) return "none";
  const window = choiceOr(block, "window", ["hann", "hamming", "blackman", "bartlett", none] as const, "hann");
  return window === "ones" ? "none" : window;
}

function describeBand(block: ConfigBlock, sampleRateHz: number): Pick<FeatureSpec, "lowHz" | "highHz"> {
  return {
    lowHz: numberOr(block, "lowfreq", 0) ?? 0,
    highHz: numberOr(block, "highfreq", undefined) || sampleRateHz / 2,
  };
}

function describeGuard(block: ConfigBlock): FeatureSpec["logZeroGuard"] {
  const kind = choiceOr(block, "log_zero_guard_type", ["add", "clamp"] as const, "add");
  const value = rawValue(block, "log_zero_guard_value");
  if (value === "tiny" || value === "eps") return { kind, value: FLOAT32[value] };
  const number = numberOr(block, "log_zero_guard_value", 2 ** -24);
  if (number === undefined) throw wrong(block, "log_zero_guard_value", 'a number, "tiny" or "eps"', value);
  return { kind, value: number };
}

/** Any name that NeMo does not know (`NA`, `None`, `null`) means no normalisation to it. */
function describeNormalization(block: ConfigBlock, numRows: number): Normalization {
  if (!hasKey(block, "normalize")) return { kind: "per_feature" };
  const value = rawValue(block, "normalize");
  if (value === "per_feature" || value === "all_features") return { kind: value };
  if (typeof value !== "object" || value === null) return { kind: "none" };
  const fixed: ConfigBlock = {
    path: "preprocessor.normalize",
    values: value as Record<string, unknown>,
    read: new Set(),
  };
  if (!hasKey(fixed, "fixed_mean") || !hasKey(fixed, "fixed_std")) return { kind: "none" };
  return {
    kind: "fixed",
    mean: numbersOf(fixed, "fixed_mean", numRows),
    std: numbersOf(fixed, "fixed_std", numRows),
  };
}

function describePadTo(block: ConfigBlock): number {
  const value = rawValue(block, "pad_to");
  if (value === "max") throw unsupportedValue(block, "pad_to", "a number of frames");
  // NeMo pads where it is above 0.
  if (Number.isInteger(value) && (value as number) < 0) return 0;
  return integerOr(block, "pad_to", 16) ?? 0;
}
