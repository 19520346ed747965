import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planWindows } from "../../src/decoding/windows.ts";

/** Encoder steps of so many samples: 10 ms frames, three halvings (FastConformer). */
function countSteps(numSamples: number): number {
  return Math.ceil(Math.floor(numSamples / 160) / 8);
}

describe("planWindows", () => {
  test("covers every step of a recording exactly once, with the context asked for", () => {
    fc.assert(
      fc.property(
        fc.nat(400_000),
        fc.nat(12),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(12),
        (numSamples, left, chunk, right) => {
          const sizes = {
            leftSamples: left * 1280,
            chunkSamples: chunk * 1280,
            rightSamples: right * 1280,
            stepSamples: 1280,
          };
          const windows = planWindows(numSamples, sizes);
          const steps = windows.flatMap((w) => {
            const end = w.endStep ?? countSteps(w.endSample - w.startSample);
            return Array.from({ length: end - w.firstStep }, (_, i) => w.startStep + i);
          });
          expect(steps).toEqual(Array.from({ length: countSteps(numSamples) }, (_, i) => i));
          for (const w of windows) {
            expect(w.startSample).toBe(Math.max(0, (w.startStep - left) * 1280));
            expect(w.endSample).toBe(Math.min(numSamples, (w.startStep + chunk + right) * 1280));
            expect(w.firstStep).toBe(w.startStep - w.startSample / 1280);
          }
        },
      ),
      { numRuns: 500, seed: 3 },
    );
  });

  test("gives a short recording one window and an empty one none", () => {
    const sizes = { leftSamples: 12800, chunkSamples: 2560, rightSamples: 2560, stepSamples: 1280 };
    expect(planWindows(5120, sizes)).toEqual([
      { startSample: 0, endSample: 5120, firstStep: 0, endStep: undefined, startStep: 0 },
    ]);
    expect(planWindows(5121, sizes)).toHaveLength(2);
    expect(planWindows(0, sizes)).toEqual([]);
  });

  test.each([
    [
      { leftSamples: 100 },
      "planWindows: leftSamples: expected a multiple of stepSamples (1280), got 100. Mend the sizes.",
    ],
    [{ chunkSamples: 0 }, "planWindows: chunkSamples: expected a number above 0, got 0. Mend the sizes."],
    [
      { rightSamples: -1280 },
      "planWindows: rightSamples: expected a multiple of stepSamples (1280), got -1280. Mend the sizes.",
    ],
    [{ stepSamples: 0 }, "planWindows: stepSamples: expected a whole number from 1 up, got 0. Mend the sizes."],
  ])("refuses %j", (wrong, message) => {
    const sizes = { leftSamples: 1280, chunkSamples: 1280, rightSamples: 1280, stepSamples: 1280, ...wrong };
    expect(() => planWindows(10_000, sizes)).toThrowError(new RangeError(message));
  });

  test("refuses a length that is not a number of samples", () => {
    const sizes = { leftSamples: 0, chunkSamples: 1, rightSamples: 0, stepSamples: 1 };
    expect(() => planWindows(1.5, sizes)).toThrowError(
      new RangeError("planWindows: expected a whole number of samples, got 1.5."),
    );
  });
});
