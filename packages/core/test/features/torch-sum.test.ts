import { describe, expect, test } from "vitest";
import { createCosineTransform } from "../../src/features/cepstrum.ts";
import { normalizeOverTime } from "../../src/features/normalize.ts";
import { torchSum } from "../../src/features/torch-sum.ts";
import { STREAMING_MEL } from "./specs.ts";

const ramp = (length: number) => Float32Array.from({ length }, (_, i) => ((i * 7919) % 1000) / 7 - 50);

describe("torchSum", () => {
  // What torch 2.13 gives for these values followed by zeros; the exact sums differ from the third on.
  test.each([
    [1, 1, -50],
    [5, 5, 205.71429443359375],
    [7, 8, 264.1428527832031],
    [30, 31, 752.142822265625],
    [100, 101, 2007.14306640625],
    [406, 407, 8640.71484375],
    [1000, 1001, 21357.142578125],
    [40001, 40002, 854235.75],
  ])("rounds %i values in %i columns as torch does", (length, width, expected) => {
    expect(torchSum(ramp(length), 0, length, width)).toBe(expected);
  });

  test("reads the part it is told and nothing behind it", () => {
    const inside = new Float32Array(60).fill(Number.NaN);
    inside.set(ramp(30), 10);
    expect(torchSum(inside, 10, 30, 31)).toBe(752.142822265625);
  });
});

describe("normalizeOverTime", () => {
  // Digital silence: NeMo's `normalize_batch` leaves the rounding of its own sums, divided by next to nothing.
  test.each([
    ["per_feature", 2, 0],
    ["per_feature", 5, 0],
    ["per_feature", 50, -0.15992240607738495],
    ["per_feature", 100, -0.1600533276796341],
    ["per_feature", 1000, -0.27609512209892273],
    ["all_features", 50, -0.1600533276796341],
    ["all_features", 100, -0.16011813282966614],
    ["all_features", 1000, -0.27611419558525085],
  ] as const)("gives NeMo's value for silence: %s, %i frames", (kind, length, expected) => {
    const width = length + 1;
    const data = new Float32Array(2 * width).fill(Math.log(2 ** -24));
    const spec = { ...STREAMING_MEL, normalize: { kind } };
    normalizeOverTime(spec, { data, offset: 0, stride: width, numRows: 2, length, width });
    expect(data[0]).toBe(expected);
    expect(data[width + length - 1]).toBe(expected);
    expect(data[length]).toBe(Math.fround(Math.log(2 ** -24)));
  });
});

describe("createCosineTransform", () => {
  test("has torchaudio's factors, whose angles are rounded to float32", () => {
    const transform = createCosineTransform(32, 40, "none");
    const mels = new Float64Array(40);
    const coefficients = new Float64Array(32);
    mels[38] = 1;
    transform(mels, coefficients);
    expect(coefficients[31]).toBe(1.744995355606079);
    expect(Math.abs(coefficients[31] - 2 * Math.cos((Math.PI / 40) * 38.5 * 31))).toBeGreaterThan(3e-6);
  });
});
