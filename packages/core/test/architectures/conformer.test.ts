import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { conformerEncoder } from "../../src/architectures/conformer/encoder.ts";
import { createNet } from "../../src/architectures/net.ts";
import { GraphBuilder } from "../../src/onnx/graph.ts";
import { int64, type Tensor } from "../../src/tensor.ts";
import { batchFeatures, batchLengths, difference, propertyRuns, stepsOf, TOLERANCE } from "../reference/compare.ts";
import { conformer } from "../reference/conformer.ts";
import { type ConformerCase, conformerCase, conformerTensors, seesPadding } from "../reference/conformer-geometry.ts";
import { type Params, randomParams, randomRows, uniform } from "../reference/params.ts";
import { hasRuntime, type LoadedGraph, loadGraph } from "../reference/run-graph.ts";
import type { Row } from "../reference/subsampling.ts";

function encoderGraph(c: ConformerCase, params: Params, numKnownSteps: number | undefined) {
  const g = new GraphBuilder("conformer");
  const inputs = {
    features: g.input("features", "float32", ["batch", c.spec.numMels, "frame"]),
    lengths: g.input("lengths", "int64", ["batch"]),
    context: c.context && g.input("context", "int64", [c.context.length]),
    ...(numKnownSteps !== undefined && { numKnownSteps }),
  };
  const out = conformerEncoder(createNet(g, params.weights), c.spec, inputs);
  g.output("encoded", out.encoded, "float32", ["batch", c.spec.outSize ?? c.spec.modelSize, "step"]);
  g.output("encodedLengths", out.lengths, "int64", ["batch"]);
  return g.finish();
}

/** Runs recordings, all padded to one length, through a graph. */
async function encode(graph: LoadedGraph, rows: readonly Row[], c: ConformerCase): Promise<Row[]> {
  const feeds: Record<string, Tensor> = { features: batchFeatures(rows), lengths: batchLengths(rows) };
  if (c.context) feeds.context = int64([...c.context]);
  const { encoded, encodedLengths } = await graph.run(feeds);
  const lengths = Array.from(encodedLengths.data as BigInt64Array, Number);
  return lengths.map((length, b) => ({ x: stepsOf(encoded, b), length }));
}

/**
 * Everything a case says: the batch against the reference, every recording alone, and both against each other.
 * @param numKnownSteps up to how many steps position keys are constants of the graph
 */
async function check(c: ConformerCase, numKnownSteps?: number): Promise<void> {
  const params = randomParams(conformerTensors(c.spec, c.useBias), c.seed);
  const next = uniform(c.seed + 1);
  const numFrames = Math.max(...c.lengths) + c.padding;
  // What lies beyond a recording's length is noise here where masks hide it; stacked frames must be zero, as features are.
  const isHidden = !c.spec.subsampling.kind.includes("stacking");
  const rows = c.lengths.map((length): Row => {
    const x = randomRows(numFrames, c.spec.numMels, next);
    return { x: isHidden ? x : x.map((frame, t) => (t < length ? frame : frame.map(() => 0))), length };
  });
  const graph = await loadGraph(encoderGraph(c, params, numKnownSteps));
  try {
    const together = await encode(graph, rows, c);
    for (const [b, row] of rows.entries()) {
      const expected = conformer(params, c.spec, row, c.context);
      expect(together[b].length).toBe(expected.length);
      expect(together[b].x.length).toBe(expected.x.length);
      expect(difference(together[b].x, expected.x, expected.length)).toBeLessThan(TOLERANCE);

      const short = { x: row.x.slice(0, row.length), length: row.length };
      const expectedAlone = conformer(params, c.spec, short, c.context);
      const [alone] = await encode(graph, [short], c);
      expect(alone.length).toBe(expectedAlone.length);
      expect(difference(alone.x, expectedAlone.x, expectedAlone.length)).toBeLessThan(TOLERANCE);

      if (seesPadding(c.spec)) continue;
      expect(together[b].length).toBe(alone.length);
      expect(difference(together[b].x, alone.x, alone.length)).toBeLessThan(1e-5);
    }
  } finally {
    await graph.close();
  }
}

describe("rows of whole pages", () => {
  test.each([
    ["float32", 1024, 4],
    ["float16", 2048, 4],
    ["float32", 1000, 0],
    ["int8", 1024, 0],
  ] as const)("are filled up, others are not: %s, %d numbers", (precision, feedForwardSize, numFilled) => {
    const [c] = fc.sample(conformerCase, { numRuns: 1, seed: 1 });
    const spec = { ...c.spec, feedForwardSize, numLayers: 1 };
    const g = new GraphBuilder("conformer");
    const features = g.input("features", "float32", ["batch", spec.numMels, "frame"]);
    const lengths = g.input("lengths", "int64", ["batch"]);
    const context = c.context && g.input("context", "int64", [c.context.length]);
    const { weights } = randomParams(conformerTensors(spec, false), 1);
    conformerEncoder(createNet(g, weights, precision), spec, { features, lengths, context });
    // The weights of two linear layers in each of two feed-forwards.
    const filled = g.finish().nodes.filter(({ opType, name }) => opType === "Pad" && name.includes("feed_forward"));
    expect(filled.length).toBe(numFilled);
  });
});

describe.skipIf(!hasRuntime)("conformerEncoder", () => {
  test("equals the plain evaluation for random geometries, alone and in batches", async () => {
    await fc.assert(
      fc.asyncProperty(conformerCase, (c) => check(c)),
      propertyRuns(40),
    );
  });

  test("equals it as well where some recordings are longer than the position keys that the graph knows", async () => {
    await fc.assert(fc.asyncProperty(conformerCase, fc.integer({ min: 1, max: 6 }), check), propertyRuns(20));
  });
});
