import { describe, expect, test } from "vitest";
import { type BatchRules, chooseBatch, type Work } from "../../src/streaming/batch.ts";

const RULES: BatchRules = { maxRows: 32, maxSteps: 64, maxPadding: 0.25 };

/** A lane of which so many chunks of so many steps wait. */
const waiting = (chunkSteps: number, numChunks = 1) =>
  ({
    stream: {},
    chunk: { numSteps: numChunks * chunkSteps, mode: { chunkSteps } },
    since: 0,
  }) as unknown as Work<object>;

const repeated = (count: number, work: Work<object>) => new Array<Work<object>>(count).fill(work);
const stepsOf = (batch: readonly Work<object>[]) => batch.map(({ chunk }) => chunk.numSteps);

describe("a batch", () => {
  test("has at most so many steps", () => {
    expect(stepsOf(chooseBatch(repeated(20, waiting(7)), RULES))).toEqual(new Array(9).fill(7));
    expect(stepsOf(chooseBatch(repeated(40, waiting(1)), RULES))).toEqual(new Array(32).fill(1));
    expect(stepsOf(chooseBatch([waiting(100)], RULES))).toEqual([100]);
    expect(chooseBatch([], RULES)).toEqual([]);
  });

  test("has twice as many where the first lags behind", () => {
    expect(stepsOf(chooseBatch(repeated(20, waiting(2, 4)), RULES))).toEqual(new Array(16).fill(8));
    expect(stepsOf(chooseBatch([waiting(2), ...repeated(70, waiting(2, 4))], RULES))).toEqual(new Array(32).fill(2));
  });

  test("takes of who lags behind as many whole chunks as the first has, and leaves out what would be padding", () => {
    expect(stepsOf(chooseBatch([waiting(6), waiting(1, 9), waiting(4, 2)], RULES))).toEqual([6, 6, 4]);
    expect(stepsOf(chooseBatch([waiting(14), waiting(1), waiting(14)], RULES))).toEqual([14, 14]);
  });
});
