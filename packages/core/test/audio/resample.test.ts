import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createResampler, type Resampler } from "../../src/audio/resample.ts";

interface Reference {
  readonly signals: readonly { fromHz: number; toHz: number; silence: number; samples: readonly number[] }[];
  readonly lengths: readonly { fromHz: number; toHz: number; numInput: number; numOutput: number }[];
}

const readJson = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
const reference: Reference = readJson("./soxr-reference.json");
const scipy: readonly { fromHz: number; toHz: number; samples: readonly number[] }[] =
  readJson("./scipy-reference.json");

/** The waveform of soxr-reference.py; without the silence, from the first sample on. */
function noise(numSamples: number, silence = 0): Float32Array {
  let state = 12345;
  return Float32Array.from({ length: numSamples }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return i < silence ? 0 : ((state >>> 16) - 32768) / 65536;
  });
}

function tone(numSamples: number, hz: number, rateHz: number): Float32Array {
  return Float32Array.from({ length: numSamples }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rateHz));
}

/** The largest magnitude away from the ends, in decibels of full scale. */
function levelDb(samples: Float32Array): number {
  const middle = samples.subarray(300, samples.length - 300);
  return 20 * Math.log10(middle.reduce((peak, x) => Math.max(peak, Math.abs(x)), 0));
}

describe("resample, polyphase", () => {
  test.each(scipy)("gives scipy's samples from $fromHz to $toHz Hz", ({ fromHz, toHz, samples }) => {
    const actual = createResampler(fromHz, toHz).resample(noise(250));
    expect(actual.length).toBe(samples.length);
    let worst = 0;
    for (const [i, expected] of samples.entries()) worst = Math.max(worst, Math.abs(actual[i] - expected));
    expect(worst).toBeLessThan(1e-6);
  });

  test("keeps what speech has and weakens what 16 kHz cannot carry", () => {
    const resampler = createResampler(48000, 16000);
    const speech = resampler.resample(tone(12000, 1000, 48000));
    const plain = tone(speech.length, 1000, 16000);
    expect(levelDb(speech.map((x, i) => x - plain[i]))).toBeLessThan(-50);
    expect(levelDb(resampler.resample(tone(12000, 10000, 48000)))).toBeLessThan(-50);
  });
});

describe("resample, soxr", () => {
  test.each(reference.signals)(
    "gives soxr's samples from $fromHz to $toHz Hz",
    ({ fromHz, toHz, silence, samples }) => {
      const actual = createResampler(fromHz, toHz, "soxr").resample(noise(silence + 250, silence));
      expect(actual.length).toBe(samples.length);
      let worst = 0;
      for (const [i, expected] of samples.entries()) worst = Math.max(worst, Math.abs(actual[i] - expected));
      expect(worst).toBeLessThan(2e-6);
    },
  );

  test("gives as many samples as librosa", () => {
    for (const { fromHz, toHz, numInput, numOutput } of reference.lengths) {
      const resampler = createResampler(fromHz, toHz, "soxr");
      expect(resampler.outputLength(numInput)).toBe(numOutput);
      if (numInput < 200) expect(resampler.resample(new Float32Array(numInput)).length).toBe(numOutput);
    }
  });

  test("has a zero for the last sample where soxr rounds its number down", () => {
    const samples = createResampler(48000, 16000, "soxr").resample(new Float32Array(100).fill(1));
    expect(samples.length).toBe(34);
    expect(samples[33]).toBe(0);
    expect(samples[32]).not.toBe(0);
  });

  const rates = [8000, 11025, 22050, 32000, 37800, 44100, 44101, 48000, 96000, 176400, 192000];
  test.each(rates)("passes what 16 kHz can carry and stops the rest, from %i Hz", (rateHz) => {
    const resampler = createResampler(rateHz, 16000, "soxr");
    const seconds = 0.25;
    const passed = Math.min(7000, rateHz * 0.43);
    const out = resampler.resample(tone(rateHz * seconds, passed, rateHz));
    const expected = tone(out.length, passed, 16000);
    // soxr bends the pass band by 0.01 dB for rates without a small common factor.
    expect(levelDb(out.map((x, i) => x - expected[i]))).toBeLessThan(-57);
    if (rateHz > 17_000) expect(levelDb(resampler.resample(tone(rateHz * seconds, 8100, rateHz)))).toBeLessThan(-110);
    const speech = resampler.resample(tone(rateHz * seconds, 1000, rateHz));
    const plain = tone(speech.length, 1000, 16000);
    expect(levelDb(speech.map((x, i) => x - plain[i]))).toBeLessThan(-110);
  });

  test("leaves a signal alone where the rates are equal", () => {
    const samples = noise(100);
    const resampler = createResampler(16000, 16000, "soxr");
    expect(resampler.resample(samples)).toEqual(samples);
    expect(resampler.openStream().feed(samples)).toEqual(samples);
  });

  test.each([999, 0, 44100.5, Number.NaN, 1_000_000])("refuses a rate of %d Hz", (rateHz) => {
    expect(() => createResampler(rateHz, 16000, "soxr")).toThrow(
      expect.objectContaining({
        code: "AUDIO_UNSUPPORTED",
        message: `resample: expected a sample rate in [1000, 768000] Hz, got ${rateHz}. Check the recording's header or the rate that was given for it.`,
      }),
    );
  });
});

describe("openStream", () => {
  function streamed(resampler: Resampler, samples: Float32Array, cuts: readonly number[], isPaused: boolean) {
    const out: number[] = [];
    let stream = resampler.openStream();
    const points = [0, ...[...cuts].sort((a, b) => a - b), samples.length];
    for (let i = 1; i < points.length; i++) {
      out.push(...stream.feed(samples.subarray(points[i - 1], points[i])));
      if (isPaused) stream = resampler.openStream(structuredClone(stream.save()));
    }
    out.push(...stream.finish());
    return Float32Array.from(out);
  }

  const filters = ["polyphase", "soxr"] as const;
  const pairs: [number, number][] = [
    [48000, 16000],
    [44100, 16000],
    [22050, 16000],
    [8000, 16000],
    [192000, 16000],
    [12347, 16000],
    [16000, 44100],
    [16000, 16000],
  ];
  test.each(pairs.flatMap(([from, to]) => filters.map((filter) => [from, to, filter] as const)))(
    "gives the samples of the whole signal for any cuts, from %i to %i Hz, %s",
    (fromHz, toHz, filter) => {
      const resampler = createResampler(fromHz, toHz, filter);
      const cut = fc.tuple(
        fc.nat(6000),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 9 }),
        fc.boolean(),
      );
      fc.assert(
        fc.property(cut, ([numSamples, parts, isPaused]) => {
          const samples = noise(numSamples);
          const cuts = parts.map((part) => Math.floor(part * numSamples));
          expect(streamed(resampler, samples, cuts, isPaused)).toEqual(resampler.resample(samples));
        }),
        { seed: 4, numRuns: 12 },
      );
    },
  );

  test("gives the same samples for packets of one sample and of seconds", () => {
    const resampler = createResampler(48000, 16000);
    const short = noise(700);
    const everySample = Array.from(short, (_, i) => i);
    expect(streamed(resampler, short, everySample, false)).toEqual(resampler.resample(short));
    const long = noise(144_000);
    expect(streamed(resampler, long, [100_000], false)).toEqual(resampler.resample(long));
  });

  test("keeps up: what is missing is half the filter's length", () => {
    const stream = createResampler(48000, 16000).openStream();
    const given = stream.feed(noise(48_000)).length;
    expect(given).toBeGreaterThan(16_000 - 120);
    expect(given).toBeLessThan(16_000);
  });
});
