import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { speechSegments } from "../../src/vad/segments.ts";
import { createSpeechTracker } from "../../src/vad/speech-tracker.ts";
import { propertyRuns } from "../reference/compare.ts";

/** Runs of like probability, so that there are stretches of all lengths. */
const probabilities = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(0, 0.34, 0.36, 0.49, 0.5, 1)), { maxLength: 30 })
  .map((runs) => runs.flatMap(([length, p]) => new Array<number>(length).fill(p)));

const rules = fc.record({
  minSpeechSec: fc.constantFrom(0, 0.06, 0.2, 0.5),
  minSilenceSec: fc.constantFrom(0, 0.05, 0.3, 0.8),
  grid: fc.constantFrom([0.02, 0.02], [0.08, 0.63]),
});

describe("createSpeechTracker", () => {
  test("says after every position what the segments of the positions so far say", () => {
    fc.assert(
      fc.property(probabilities, rules, fc.nat(), (values, { minSpeechSec, minSilenceSec, grid }, cut) => {
        const [hopSec, windowSec] = grid;
        const options = { onset: 0.5, offset: 0.35, minSpeechSec, minSilenceSec, windowSec };
        let tracker = createSpeechTracker(hopSec, options);
        values.forEach((value, i) => {
          if (i === cut % values.length) {
            tracker = createSpeechTracker(hopSec, options, structuredClone(tracker.save()));
          }
          tracker.push(value);
          const nowSec = tracker.decidedSec;
          // A stretch that is open ends where the decision ends, not half a window later.
          const ends = speechSegments(values.slice(0, i + 1), hopSec, { ...options, minSpeechSec: 0 });
          const long = ends
            .map(({ startSec, endSec }) => ({ startSec, endSec: Math.min(endSec, nowSec) }))
            .filter(({ startSec, endSec }) => endSec - startSec >= minSpeechSec);
          expect(tracker.silenceSec).toBeCloseTo(nowSec - (long.at(-1)?.endSec ?? 0), 9);
        });
      }),
      propertyRuns(200),
    );
  });

  test("counts silence from the beginning, and anew behind speech that is long enough", () => {
    const tracker = createSpeechTracker(0.02, {
      onset: 0.5,
      offset: 0.35,
      minSpeechSec: 0.06,
      minSilenceSec: 0.3,
      windowSec: 0.02,
    });
    const after = (count: number, value: number) => {
      for (let i = 0; i < count; i++) tracker.push(value);
      return Number(tracker.silenceSec.toFixed(6));
    };
    expect(after(50, 0)).toBe(1);
    expect(after(2, 1)).toBe(1.04);
    expect(after(1, 1)).toBe(0);
    expect(after(25, 0.2)).toBe(0.5);
    expect(after(2, 0.9)).toBe(0.54);
    expect(after(10, 0)).toBe(0.74);
  });
});
