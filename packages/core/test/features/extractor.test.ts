import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { readFeatureTensors } from "../../src/features/checkpoint-tensors.ts";
import { createFeatureExtractor } from "../../src/features/extractor.ts";
import { createFilterbank } from "../../src/features/filterbank.ts";
import { createWindow } from "../../src/features/window.ts";
import { STREAMING_MEL } from "./specs.ts";
import { referenceWaveform } from "./waveform.ts";

const PER_FEATURE = { ...STREAMING_MEL, normalize: { kind: "per_feature" }, padTo: 16, padValue: -1 } as const;

describe("extractInto", () => {
  test("writes the rows of extract into a wider batch and pads them", () => {
    const extractor = createFeatureExtractor(PER_FEATURE);
    const lengths = [2077, 480, 5000];
    const width = 48;
    const batch = new Float32Array(lengths.length * 10 * width).fill(Number.NaN);
    for (const [b, length] of lengths.entries()) {
      const waveform = referenceWaveform(length);
      const counts = extractor.extractInto(waveform, batch, b * 10 * width, width);
      const alone = extractor.extract(waveform);
      expect(counts).toEqual({ numFrames: alone.numFrames, validFrames: alone.validFrames });
      for (let m = 0; m < 10; m++) {
        for (let t = 0; t < width; t++) {
          const expected = t < alone.validFrames ? alone.data[m * alone.numFrames + t] : -1;
          expect(batch[(b * 10 + m) * width + t]).toBe(expected);
        }
      }
    }
  });

  test("announces the size of the matrix", () => {
    const extractor = createFeatureExtractor(PER_FEATURE);
    expect(extractor.numMels).toBe(10);
    expect(extractor.frameCounts(0)).toEqual({ numFrames: 16, validFrames: 0 });
    expect(extractor.frameCounts(2559)).toEqual({ numFrames: 16, validFrames: 15 });
    expect(extractor.frameCounts(2560)).toEqual({ numFrames: 32, validFrames: 16 });
  });

  test("refuses a width or a buffer that is too small", () => {
    const extractor = createFeatureExtractor({ ...STREAMING_MEL });
    const waveform = referenceWaveform(480);
    expect(() => extractor.extractInto(waveform, new Float32Array(100), 0, 3)).toThrow(
      new RangeError("extractInto: expected a width of at least 4 frames, got 3."),
    );
    expect(() => extractor.extractInto(waveform, new Float32Array(79), 40, 4)).toThrow(
      new RangeError("extractInto: expected room for [10, 4] at 40, got 79 elements in all."),
    );
  });

  test("gives the same features whatever it computed before", () => {
    const extractor = createFeatureExtractor(PER_FEATURE);
    const first = extractor.extract(referenceWaveform(1000));
    extractor.extract(new Float32Array(3000).fill(Number.NaN));
    expect(extractor.extract(referenceWaveform(1000))).toEqual(first);
  });
});

describe("createFeatureExtractor", () => {
  test("uses the checkpoint's own window and filterbank", () => {
    const waveform = referenceWaveform(800);
    const window = createWindow("bartlett", 400);
    const filterbank = createFilterbank({ ...STREAMING_MEL, scale: "htk", norm: "none" });
    const own = createFeatureExtractor(STREAMING_MEL, { window, filterbank }).extract(waveform);
    const rebuilt = createFeatureExtractor({ ...STREAMING_MEL, window: "bartlett" }, { filterbank }).extract(waveform);
    expect(own).toEqual(rebuilt);
    expect(own.data).not.toEqual(createFeatureExtractor(STREAMING_MEL).extract(waveform).data);
  });

  test.each([
    [{ fftSize: 131072 }, "LIMIT_EXCEEDED", "preprocessor: expected n_fft in [2, 65536], got 131072."],
    [{ fftSize: 3000 }, "LIMIT_EXCEEDED", "preprocessor: expected n_fft in [2, 2048], got 3000."],
    [{ hopSamples: 0 }, "LIMIT_EXCEEDED", "preprocessor: expected window_stride in samples in [1, 65536], got 0."],
    [{ numMels: 5000 }, "LIMIT_EXCEEDED", "preprocessor: expected features in [1, 2048], got 5000."],
    [{ frameSplicing: 1000 }, "LIMIT_EXCEEDED", "preprocessor: expected features times frame_splicing in [10, 2048]"],
    [{ padTo: -1 }, "LIMIT_EXCEEDED", "preprocessor: expected pad_to in [0, 65536], got -1."],
    [{ windowSamples: 513 }, "MODEL_INVALID", "preprocessor: expected window_size in samples to be at most n_fft"],
    [{ exactPad: true, hopSamples: 161 }, "MODEL_INVALID", "preprocessor: expected exact_pad to be an even stride"],
    [{ kind: "mfcc", numMfcc: 11 }, "MODEL_INVALID", "preprocessor: expected n_mfcc to be at most n_mels, got 11."],
    [
      { normalize: { kind: "fixed", mean: [0], std: [1] } },
      "MODEL_INVALID",
      "preprocessor: expected fixed_mean to be 10 values, got 1. The checkpoint contradicts itself.",
    ],
  ] as const)("refuses %o", (changes, code, message) => {
    const act = () => createFeatureExtractor({ ...STREAMING_MEL, ...changes });
    expect(act).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test("refuses tensors of other sizes", () => {
    expect(() => createFeatureExtractor(STREAMING_MEL, { window: new Float32Array(512) })).toThrow(
      "preprocessor: expected window tensor to be 400 values, got 512.",
    );
    expect(() => createFeatureExtractor(STREAMING_MEL, { filterbank: new Float32Array(80 * 257) })).toThrow(
      "preprocessor: expected filterbank tensor to be [10, 257] values, got 20560.",
    );
  });
});

describe("readFeatureTensors", () => {
  function checkpoint(tensors: Record<string, { dims: number[]; data: Float32Array }>): Checkpoint {
    const index = new Map(Object.entries(tensors));
    return {
      name: "test.nemo",
      tensors: index as unknown as Checkpoint["tensors"],
      readFloat32: async (name: string) => index.get(name)?.data,
    } as unknown as Checkpoint;
  }

  const PREFIX = "preprocessor.featurizer.";

  test("reads mel buffers and leaves out what is not there", async () => {
    const window = createWindow("hann", 400);
    const only = checkpoint({ [`${PREFIX}window`]: { dims: [400], data: window } });
    expect(await readFeatureTensors(only, STREAMING_MEL)).toEqual({ window });
  });

  test("turns torchaudio's filterbank over", async () => {
    const spec = { ...STREAMING_MEL, kind: "mfcc", fftSize: 4, windowSamples: 4, numMels: 2 } as const;
    const name = `${PREFIX}MelSpectrogram.mel_scale.fb`;
    const stored = checkpoint({ [name]: { dims: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) } });
    expect(await readFeatureTensors(stored, spec)).toEqual({
      window: undefined,
      filterbank: Float32Array.of(1, 3, 5, 2, 4, 6),
    });
  });

  test("refuses a filterbank of another shape", async () => {
    const stored = checkpoint({ [`${PREFIX}fb`]: { dims: [1, 80, 257], data: new Float32Array(80 * 257) } });
    await expect(readFeatureTensors(stored, STREAMING_MEL)).rejects.toThrow(
      "test.nemo: expected `preprocessor.featurizer.fb` with shape [1, 10, 257], got [1, 80, 257].",
    );
  });
});
