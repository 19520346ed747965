import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type SegmentOptions, speechSegments } from "../../src/vad/segments.ts";

const open: SegmentOptions = { onset: 0.7, offset: 0.3, minSpeechSec: 0, minSilenceSec: 0, windowSec: 0.1 };
const rounded = (probability: readonly number[], options: Partial<SegmentOptions> = {}) =>
  speechSegments(probability, 0.1, { ...open, ...options }).map(({ startSec, endSec }) =>
    [startSec, endSec].map((sec) => Number(sec.toFixed(3))),
  );

describe("speechSegments", () => {
  test("begins at the onset and ends below the offset", () => {
    expect(rounded([0.5, 0.7, 0.4, 0.3, 0.29, 0.6, 0.71])).toEqual([
      [0.1, 0.4],
      [0.6, 0.7],
    ]);
    expect(rounded([])).toEqual([]);
    expect(rounded([0.9, 0.9])).toEqual([[0, 0.2]]);
  });

  test("joins over short gaps before it leaves out what is short", () => {
    const probability = [1, 0, 1, 0, 0, 0, 1, 0];
    expect(rounded(probability, { minSilenceSec: 0.15 })).toEqual([
      [0, 0.3],
      [0.6, 0.7],
    ]);
    expect(rounded(probability, { minSilenceSec: 0.15, minSpeechSec: 0.25 })).toEqual([[0, 0.3]]);
    expect(rounded(probability, { minSpeechSec: 0.25 })).toEqual([]);
  });

  test("places a window's probability at its middle", () => {
    expect(rounded([0, 1, 0], { windowSec: 0.5 })).toEqual([[0.3, 0.4]]);
    expect(rounded([1, 1], { windowSec: 0.5 })).toEqual([[0, 0.6]]);
  });

  const probabilities = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 });
  const options = fc
    .record({
      onset: fc.double({ min: 0, max: 1, noNaN: true }),
      offset: fc.double({ min: 0, max: 1, noNaN: true }),
      minSpeechSec: fc.double({ min: 0, max: 0.5, noNaN: true }),
      minSilenceSec: fc.double({ min: 0, max: 0.5, noNaN: true }),
    })
    .filter(({ onset, offset }) => offset <= onset);

  test("keeps order, limits and everything that is surely speech", () => {
    fc.assert(
      fc.property(probabilities, options, (probability, drawn) => {
        const segments = speechSegments(probability, 0.1, { ...drawn, windowSec: 0.1 });
        for (const [i, { startSec, endSec }] of segments.entries()) {
          expect(endSec).toBeGreaterThan(startSec);
          expect(endSec - startSec).toBeGreaterThanOrEqual(drawn.minSpeechSec);
          if (i > 0) expect(startSec - segments[i - 1].endSec).toBeGreaterThanOrEqual(drawn.minSilenceSec);
          expect(startSec).toBeGreaterThanOrEqual(0);
          expect(endSec).toBeLessThanOrEqual(probability.length * 0.1 + 1e-9);
        }
        if (drawn.minSpeechSec > 0.1) return;
        const isCovered = (sec: number) => segments.some((s) => s.startSec - 1e-9 <= sec && sec <= s.endSec + 1e-9);
        for (const [i, p] of probability.entries()) if (p >= drawn.onset) expect(isCovered((i + 0.5) * 0.1)).toBe(true);
      }),
      { seed: 5, numRuns: 400 },
    );
  });
});
