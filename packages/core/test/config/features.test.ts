import { describe, expect, test } from "vitest";
import { rootBlock } from "../../src/config/block.ts";
import { describeFeatures, featureRows } from "../../src/config/features.ts";
import { tensorTable } from "../../src/config/tensor-table.ts";
import { tensorMap } from "./synthetic.ts";

const MEL = { _target_: "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor" };
const MFCC = { _target_: "nemo.collections.asr.modules.AudioToMFCCPreprocessor" };
const featuresOf = (config: Record<string, unknown>, shapes: Record<string, number[]> = {}) =>
  describeFeatures(rootBlock(config), tensorTable(tensorMap(shapes)));

describe("describeFeatures", () => {
  test("has NeMo's defaults for every key that is missing", () => {
    expect(featuresOf(MEL)).toEqual({
      kind: "mel",
      ...{ sampleRateHz: 16000, windowSamples: 320, hopSamples: 160, window: "hann", fftSize: 512 },
      ...{ preEmphasis: 0.97, numMels: 64, lowHz: 0, highHz: 8000, melNorm: "slaney", magPower: 2, log: true },
      ...{ logZeroGuard: { kind: "add", value: 2 ** -24 }, normalize: { kind: "per_feature" }, frameSplicing: 1 },
      ...{ padTo: 16, padValue: 0, exactPad: false, numMfcc: 0, mfccNorm: "none", mfccLog: false },
    });
    expect(featuresOf(MFCC)).toMatchObject({
      ...{ kind: "mfcc", windowSamples: 320, hopSamples: 160, fftSize: 512, numMels: 64, numMfcc: 64, padTo: 0 },
      ...{ mfccNorm: "ortho", mfccLog: true, preEmphasis: undefined, normalize: { kind: "none" }, highHz: 8000 },
    });
  });

  test("tells an explicit null from a missing key", () => {
    expect(featuresOf({ ...MEL, preemph: null }).preEmphasis).toBeUndefined();
    expect(featuresOf({ ...MEL, preemph: 0 }).preEmphasis).toBe(0);
    expect(featuresOf({ ...MEL, normalize: null }).normalize).toEqual({ kind: "none" });
    expect(featuresOf({ ...MEL, mel_norm: null }).melNorm).toBe("none");
    expect([null, -1].map((pad_to) => featuresOf({ ...MEL, pad_to }).padTo)).toEqual([0, 0]);
    expect(featuresOf({ ...MEL, highfreq: null }).highHz).toBe(8000);
    expect(featuresOf({ ...MEL, n_fft: "???", preemph: "???" })).toMatchObject({ fftSize: 512, preEmphasis: 0.97 });
  });

  test("reads times in seconds or samples, truncated as NeMo does", () => {
    expect(featuresOf({ ...MEL, window_size: 0.025, window_stride: 0.0125 })).toMatchObject({
      ...{ windowSamples: 400, hopSamples: 200 },
    });
    const inSamples = { window_size: null, n_window_size: 321, window_stride: false, n_window_stride: 100 };
    expect(() => featuresOf({ ...MEL, ...inSamples })).toThrow("expected a number, got false");
    expect(featuresOf({ ...MEL, ...inSamples, window_stride: 0 })).toMatchObject({
      windowSamples: 321,
      hopSamples: 100,
    });
    expect(featuresOf({ ...MEL, sample_rate: 22050 })).toMatchObject({ hopSamples: 220, hopSec: 0.01 });
    expect(featuresOf({ ...MEL, sample_rate: 44100 }).hopSec).toBeUndefined();
    expect(featuresOf({ ...MEL, sample_rate: 8000 })).toMatchObject({ windowSamples: 160, fftSize: 256, highHz: 4000 });
  });

  test("lets the checkpoint's own buffers decide sizes", () => {
    const buffers = { "preprocessor.featurizer.fb": [1, 80, 257], "preprocessor.featurizer.window": [400] };
    expect(featuresOf({ ...MEL, features: 96, n_fft: 1024 }, buffers)).toMatchObject({
      ...{ numMels: 80, fftSize: 512, windowSamples: 400 },
    });
    const mfcc = {
      "preprocessor.featurizer.dct_mat": [40, 20],
      "preprocessor.featurizer.MelSpectrogram.mel_scale.fb": [513, 40],
    };
    expect(featuresOf(MFCC, mfcc)).toMatchObject({ numMels: 40, numMfcc: 20, fftSize: 1024 });
  });

  test("knows torchaudio's featurizer by its buffers alone, as NeMo 3 does", () => {
    expect(featuresOf({ ...MEL, use_torchaudio: true }).kind).toBe("mel");
    const prefix = "preprocessor.featurizer._mel_spec_extractor";
    const buffers = { [`${prefix}.mel_scale.fb`]: [257, 80], [`${prefix}.spectrogram.window`]: [400] };
    expect(featuresOf({ ...MEL, use_torchaudio: true }, buffers)).toMatchObject({
      ...{ kind: "mel-torchaudio", numMels: 80, windowSamples: 400, fftSize: 512 },
    });
  });

  test("reads every kind of normalisation and guard", () => {
    const normalize = (value: unknown) => featuresOf({ ...MEL, features: 2, normalize: value }).normalize;
    expect(normalize("all_features")).toEqual({ kind: "all_features" });
    expect(normalize("NA")).toEqual({ kind: "none" });
    expect(normalize({ fixed_mean: [1, 2], fixed_std: [3, 4] })).toEqual({ kind: "fixed", mean: [1, 2], std: [3, 4] });
    expect(normalize({ fixed_mean: [1, 2] })).toEqual({ kind: "none" });
    const guard = (value: unknown, type = "clamp") =>
      featuresOf({ ...MEL, log_zero_guard_type: type, log_zero_guard_value: value }).logZeroGuard;
    expect(guard("tiny")).toEqual({ kind: "clamp", value: 2 ** -126 });
    expect(guard("eps", "add")).toEqual({ kind: "add", value: 2 ** -23 });
    expect(guard(1e-5)).toEqual({ kind: "clamp", value: 1e-5 });
  });

  test("counts the rows that an encoder gets", () => {
    expect(featureRows(featuresOf({ ...MEL, features: 40, frame_splicing: 3 }))).toBe(120);
    expect(featureRows(featuresOf({ ...MFCC, n_mfcc: 20 }))).toBe(20);
    expect(featuresOf({ ...MFCC, window: "ones" }).window).toBe("none");
    expect(featuresOf({ ...MFCC, window: null }).window).toBe("none");
  });

  const yaml = "model_config.yaml: `";
  test.each<[string, Record<string, unknown>, string, string]>([
    [
      "another front end",
      { _target_: "x.AudioToSpectrogram" },
      "MODEL_UNSUPPORTED",
      `${yaml}preprocessor\` is a AudioToSpectrogram, supported are mel spectrograms`,
    ],
    [
      "an unknown option",
      { ...MEL, magic: 1 },
      "MODEL_UNSUPPORTED",
      `${yaml}magic\` is 1, an option that is not known here`,
    ],
    ["an unknown option of MFCCs", { ...MFCC, preemph: 0.9 }, "MODEL_UNSUPPORTED", `${yaml}preemph\` is 0.9`],
    [
      "an unknown window",
      { ...MEL, window: "kaiser" },
      "MODEL_UNSUPPORTED",
      `${yaml}window\` is "kaiser", supported is one of "hann"`,
    ],
    [
      "padding to the longest",
      { ...MEL, pad_to: "max" },
      "MODEL_UNSUPPORTED",
      `${yaml}pad_to\` is "max", supported is a number of frames.`,
    ],
    [
      "another cosine transform",
      { ...MFCC, dct_type: 3 },
      "MODEL_UNSUPPORTED",
      `${yaml}dct_type\` is 3, supported is 2.`,
    ],
    [
      "time in seconds and samples",
      { ...MEL, n_window_size: 400 },
      "MODEL_INVALID",
      `${yaml}preprocessor\` has both window_size and n_window_size; only one may be given.`,
    ],
    [
      "no time at all",
      { ...MEL, window_size: null },
      "MODEL_INVALID",
      `${yaml}window_size\`: expected a positive time, got null.`,
    ],
    [
      "a time below a sample",
      { ...MEL, window_stride: 1e-9 },
      "MODEL_INVALID",
      `${yaml}window_stride\`: expected a positive time, got 1e-9.`,
    ],
    [
      "a mean of another length",
      { ...MEL, features: 3, normalize: { fixed_mean: [1], fixed_std: [1] } },
      "MODEL_INVALID",
      `${yaml}preprocessor.normalize.fixed_mean\`: expected 3 numbers, got [1].`,
    ],
    [
      "a guard that is no number",
      { ...MEL, log_zero_guard_value: null },
      "MODEL_INVALID",
      `${yaml}log_zero_guard_value\`: expected a number, "tiny" or "eps", got null.`,
    ],
    [
      "more MFCCs than mels",
      { ...MFCC, n_mels: 20, n_mfcc: 40 },
      "MODEL_INVALID",
      `${yaml}preprocessor.n_mfcc\` is 40, but \`preprocessor.n_mels\` is 20.`,
    ],
  ])("refuses %s", (_, config, code, text) => {
    expect(() => featuresOf(config)).toThrow(expect.objectContaining({ code }));
    expect(() => featuresOf(config)).toThrow(text);
  });
});
