import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyBands, createFilterbank, filterBands } from "../../src/features/filterbank.ts";
import { createWindow } from "../../src/features/window.ts";

describe("filterBands", () => {
  test("applies any filterbank as the dense product does", () => {
    const sparse = fc.array(fc.oneof(fc.constant(0), fc.double({ min: -4, max: 4, noNaN: true })), {
      minLength: 35,
      maxLength: 35,
    });
    fc.assert(
      fc.property(sparse, (values) => {
        const filterbank = Float32Array.from(values);
        const power = Float64Array.from({ length: 7 }, (_, k) => 1 + k * k);
        const mels = new Float64Array(5).fill(9);
        applyBands(filterBands(filterbank, 5), power, mels);
        for (let m = 0; m < 5; m++) {
          let sum = 0;
          for (let k = 0; k < 7; k++) sum += filterbank[m * 7 + k] * power[k];
          expect(mels[m]).toBeCloseTo(sum, 4);
        }
      }),
      { seed: 2, numRuns: 50 },
    );
  });
});

describe("applyBands", () => {
  test("rounds as torch's matrix product does, in blocks of 128 bins", () => {
    const filterbank = Float32Array.from({ length: 257 }, (_, k) =>
      k >= 100 && k < 200 ? ((k * 7919) % 1000) / 1000 : 0,
    );
    const power = Float64Array.from({ length: 257 }, (_, k) => Math.fround(((k * 104_729) % 997) / 7));
    const mels = new Float64Array(1);
    applyBands(filterBands(filterbank, 1), power, mels);
    // torch.matmul, float32, [1, 64, 257] by [1, 257, 64]; exactly it is 3457.86843…
    expect(mels[0]).toBe(3457.8681640625);
  });
});

describe("createFilterbank", () => {
  test("gives slaney filters the same area", () => {
    const options = { sampleRateHz: 16000, fftSize: 4096, numMels: 20, lowHz: 0, highHz: 8000 } as const;
    const filterbank = createFilterbank({ ...options, scale: "slaney", norm: "slaney" });
    const hzPerBin = 16000 / 4096;
    for (let m = 0; m < 20; m++) {
      const area = filterbank.subarray(m * 2049, (m + 1) * 2049).reduce((sum, w) => sum + w * hzPerBin, 0);
      expect(area).toBeCloseTo(1, 2);
    }
  });

  test("lets htk filters peak at one and overlap to one", () => {
    const options = { sampleRateHz: 8000, fftSize: 8192, numMels: 6, lowHz: 100, highHz: 3900 } as const;
    const filterbank = createFilterbank({ ...options, scale: "htk", norm: "none" });
    for (let m = 0; m < 6; m++) {
      expect(Math.max(...filterbank.subarray(m * 4097, (m + 1) * 4097))).toBeCloseTo(1, 1);
    }
    const bin = 1024; // 1 kHz lies between the outermost peaks.
    const total = Array.from({ length: 6 }, (_, m) => filterbank[m * 4097 + bin]).reduce((a, b) => a + b);
    expect(total).toBeCloseTo(1, 5);
  });
});

describe("createWindow", () => {
  test.each([
    ["hann", [0, 0.5, 1, 0.5, 0]],
    ["hamming", [0.08, 0.54, 1, 0.54, 0.08]],
    ["blackman", [0, 0.34, 1, 0.34, 0]],
    ["bartlett", [0, 0.5, 1, 0.5, 0]],
    ["none", [1, 1, 1, 1, 1]],
  ] as const)("makes symmetric %s windows", (kind, expected) => {
    for (const [n, value] of createWindow(kind, 5).entries()) expect(value).toBeCloseTo(expected[n], 6);
  });

  test("makes periodic windows as symmetric ones of a sample more", () => {
    expect(createWindow("hann", 4, true)).toEqual(createWindow("hann", 5).subarray(0, 4));
  });

  test("is one for a single sample", () => {
    expect(Array.from(createWindow("hann", 1))).toEqual([1]);
  });
});
