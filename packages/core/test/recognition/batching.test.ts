import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConformerSpec, ModelSpec } from "../../src/config/spec.ts";
import { isBatchInvariant, planBatches } from "../../src/recognition/batching.ts";
import { conformerCase, seesPadding } from "../reference/conformer-geometry.ts";

const lengths = fc.array(fc.nat({ max: 500 }), { maxLength: 60 });
const limits = fc.record({
  maxRows: fc.integer({ min: 1, max: 20 }),
  maxSteps: fc.integer({ min: 1, max: 3000 }),
  maxPadding: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe("planBatches", () => {
  test("places every recording once, the longest first, within the limits", () => {
    fc.assert(
      fc.property(lengths, limits, (numSteps, { maxRows, maxSteps, maxPadding }) => {
        const batches = planBatches(numSteps, { maxRows, maxSteps, maxPadding });
        expect(batches.flat().sort((a, b) => a - b)).toEqual([...numSteps.keys()]);
        const inOrder = batches.flat().map((i) => numSteps[i]);
        expect(inOrder).toEqual([...inOrder].sort((a, b) => b - a));
        for (const batch of batches) {
          // One recording is always a batch, however long it is.
          if (batch.length === 1) continue;
          const area = batch.length * numSteps[batch[0]];
          const padding = area - batch.reduce((sum, i) => sum + numSteps[i], 0);
          expect(batch.length).toBeLessThanOrEqual(maxRows);
          expect(area).toBeLessThanOrEqual(maxSteps);
          expect(padding).toBeLessThanOrEqual(area * maxPadding);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test("fills batches as far as the limits let it", () => {
    const open = { maxRows: 3, maxSteps: 1000, maxPadding: 1 };
    expect(planBatches([5, 9, 1, 7, 3], open)).toEqual([
      [1, 3, 0],
      [4, 2],
    ]);
    expect(planBatches([5, 9, 1, 7, 3], { ...open, maxSteps: 18 })).toEqual([
      [1, 3],
      [0, 4, 2],
    ]);
    expect(planBatches([10, 9, 5], { ...open, maxPadding: 0.1 })).toEqual([[0, 1], [2]]);
    expect(planBatches([], open)).toEqual([]);
  });
});

describe("isBatchInvariant", () => {
  const modelOf = (encoder: ModelSpec["encoder"], rest: object = {}) =>
    ({ encoder, features: { kind: "mel" }, heads: {}, ...rest }) as unknown as ModelSpec;

  test("never claims it for a Conformer that sees its padding", () => {
    let numInvariant = 0;
    fc.assert(
      fc.property(conformerCase, ({ spec }: { spec: ConformerSpec }) => {
        const isInvariant = isBatchInvariant(modelOf(spec));
        if (isInvariant) numInvariant++;
        if (seesPadding(spec)) expect(isInvariant).toBe(false);
      }),
      { seed: 2, numRuns: 300 },
    );
    expect(numInvariant).toBeGreaterThan(20);
  });

  test("is not given for pooled classes and for MFCC", () => {
    const graph = { kind: "graph", numMels: 80, outSize: 4, subsamplingFactor: 4 } as const;
    expect(isBatchInvariant(modelOf(graph))).toBe(true);
    expect(isBatchInvariant(modelOf(graph, { heads: { classifier: { kind: "pooled" } } }))).toBe(false);
    expect(isBatchInvariant(modelOf(graph, { features: { kind: "mfcc" } }))).toBe(false);
  });
});
