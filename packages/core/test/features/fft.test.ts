import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createPowerSpectrum } from "../../src/features/fft.ts";
import { plainSinglePowerSpectrum, tables512 } from "../../src/features/fft-single.ts";
import { createTransform512 } from "../../src/features/fft512-simd.ts";
import { reference } from "./specs.ts";
import { referenceWaveform } from "./waveform.ts";

/** The definition. */
function plainPower(signal: Float64Array, start: number, window: Float64Array): number[] {
  const size = window.length;
  return Array.from({ length: Math.floor(size / 2) + 1 }, (_, k) => {
    let real = 0;
    let imag = 0;
    for (let n = 0; n < size; n++) {
      const value = signal[start + n] * window[n];
      real += value * Math.cos((2 * Math.PI * ((k * n) % size)) / size);
      imag -= value * Math.sin((2 * Math.PI * ((k * n) % size)) / size);
    }
    return real * real + imag * imag;
  });
}

describe("createPowerSpectrum", () => {
  const sizes = [2, 3, 4, 5, 8, 12, 16, 32, 64, 100, 128, 256, 301, 400, 512, 1024, 2048, 4096, 8192];
  test.each(sizes)("gives the power spectrum of %i samples", (size) => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(3), fc.nat(), (seed, start, margin) => {
        let state = seed;
        const noise = () => {
          state = (Math.imul(state, 1664525) + 1013904223) | 0;
          return Math.fround(state / 2 ** 31);
        };
        const signal = Float64Array.from({ length: start + size }, noise);
        const skip = margin % Math.max(1, size >> 1);
        const window = Float64Array.from({ length: size }, (_, n) => (n < skip || n > size - skip ? 0 : noise()));
        const power = new Float64Array(Math.floor(size / 2) + 1);
        createPowerSpectrum(window)(signal, start, power);
        const expected = plainPower(signal, start, window);
        const scale = Math.max(1e-3, ...expected);
        const isSingle = [128, 256, 512, 1024, 2048, 4096].includes(size);
        const tolerance = isSingle ? 1e-6 : 1e-12;
        for (const [k, value] of expected.entries()) expect(Math.abs(power[k] - value) / scale).toBeLessThan(tolerance);
      }),
      { seed: 1, numRuns: size > 500 ? 2 : 10 },
    );
  });

  test("makes torch's own roundings for 512 samples", () => {
    const window = Float64Array.from(reference.spectrum.window, Math.fround);
    const power = new Float64Array(257);
    createPowerSpectrum(window)(Float64Array.from(referenceWaveform(512)), 0, power);
    const bins = Float32Array.from(reference.spectrum.bins);
    const { fround } = Math;
    const expected = Array.from(power, (_, k) => fround(fround(bins[2 * k] ** 2) + fround(bins[2 * k + 1] ** 2)));
    expect(Array.from(power)).toEqual(expected);
  });

  test.each(Object.entries(reference.spectra))("makes torch's own roundings for %s samples", (size, hash) => {
    const window = new Float64Array(Number(size)).fill(1);
    const power = new Float64Array(window.length / 2 + 1);
    createPowerSpectrum(window)(Float64Array.from(referenceWaveform(window.length)), 0, power);
    const bytes = new Uint8Array(Float32Array.from(power).buffer);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(hash);
  });

  test("gives the same bits with the platform's vectors as in plain code, for windows that take turns", () => {
    const frame = fc.array(fc.float({ noNaN: true, min: -1, max: 1 }), { minLength: 520, maxLength: 520 });
    const windows = [
      [56, 456],
      [0, 512],
      [101, 300],
    ].map(([first, last]) =>
      new Float64Array(512).map((_, n) => (n >= first && n < last ? Math.fround(1 / (n + 2)) : 0)),
    );
    const pairs = windows.map((window) => [createPowerSpectrum(window), plainSinglePowerSpectrum(window)]);
    fc.assert(
      fc.property(frame, fc.nat(8), fc.nat(2), (samples, start, which) => {
        const signal = Float64Array.from(samples);
        const [fast, plain] = pairs[which].map((spectrum) => {
          const power = new Float64Array(257);
          spectrum(signal, start, power);
          return power;
        });
        expect(fast).toEqual(plain);
      }),
      { seed: 1, numRuns: 300 },
    );
    expect(createTransform512(tables512())).toBeDefined();
  });

  test("reads nothing outside the window's support", () => {
    const window = new Float64Array(512).fill(1, 56, 456);
    const inside = Float64Array.from({ length: 512 }, (_, n) => (n >= 56 && n < 456 ? Math.sin(n) : 0));
    const outside = inside.map((x, n) => (n >= 56 && n < 456 ? x : Number.NaN));
    const [a, b] = [new Float64Array(257), new Float64Array(257)];
    const spectrum = createPowerSpectrum(window);
    spectrum(inside, 0, a);
    spectrum(outside, 0, b);
    expect(b).toEqual(a);
  });
});
