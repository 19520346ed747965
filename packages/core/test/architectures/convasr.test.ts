import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { convAsrEncoder } from "../../src/architectures/convasr/encoder.ts";
import { createNet, type Precision } from "../../src/architectures/net.ts";
import type { ConvAsrSpec, JasperBlockSpec } from "../../src/config/spec.ts";
import { GraphBuilder } from "../../src/onnx/graph.ts";
import { batchFeatures, batchLengths, difference, propertyRuns, stepsOf, TOLERANCE } from "../reference/compare.ts";
import { convAsr } from "../reference/convasr.ts";
import { type ConvAsrCase, convAsrCase, convAsrTensors, seesPadding } from "../reference/convasr-geometry.ts";
import { type Params, randomParams, randomRows, uniform } from "../reference/params.ts";
import { hasRuntime, type LoadedGraph, loadGraph } from "../reference/run-graph.ts";
import type { Row } from "../reference/subsampling.ts";

function encoderGraph(spec: ConvAsrSpec, params: Params, precision: Precision = "float32") {
  const g = new GraphBuilder("convasr");
  const inputs = {
    features: g.input("features", "float32", ["batch", spec.numMels, "frame"]),
    lengths: g.input("lengths", "int64", ["batch"]),
  };
  const out = convAsrEncoder(createNet(g, params.weights, precision), spec, inputs);
  g.output("encoded", out.encoded, "float32", ["batch", spec.outSize, "step"]);
  g.output("encodedLengths", out.lengths, "int64", ["batch"]);
  return g.finish();
}

/** Runs recordings, all padded to one length, through a graph. */
async function encode(graph: LoadedGraph, rows: readonly Row[]): Promise<Row[]> {
  const { encoded, encodedLengths } = await graph.run({
    features: batchFeatures(rows),
    lengths: batchLengths(rows),
  });
  const lengths = Array.from(encodedLengths.data as BigInt64Array, Number);
  return lengths.map((length, b) => ({ x: stepsOf(encoded, b), length }));
}

/** Everything a case says: the batch against the reference, every recording alone, and both against each other. */
async function check(c: ConvAsrCase): Promise<void> {
  const params = randomParams(convAsrTensors(c.spec), c.seed);
  const next = uniform(c.seed + 1);
  const numFrames = Math.max(...c.lengths) + c.padding;
  // What lies beyond a recording's length is noise: masks must hide it.
  const rows = c.lengths.map((length): Row => ({ x: randomRows(numFrames, c.spec.numMels, next), length }));
  const graph = await loadGraph(encoderGraph(c.spec, params));
  try {
    const together = await encode(graph, rows);
    for (const [b, row] of rows.entries()) {
      const expected = convAsr(params, c.spec, row);
      expect(together[b].length).toBe(expected.length);
      // Heads that pool read the padding too: it must be NeMo's.
      expect(together[b].x.length).toBe(expected.x.length);
      expect(difference(together[b].x, expected.x)).toBeLessThan(TOLERANCE);

      const short = { x: row.x.slice(0, row.length), length: row.length };
      const expectedAlone = convAsr(params, c.spec, short);
      const [alone] = await encode(graph, [short]);
      expect(alone.length).toBe(expectedAlone.length);
      expect(difference(alone.x, expectedAlone.x)).toBeLessThan(TOLERANCE);

      if (seesPadding(c.spec)) continue;
      expect(together[b].length).toBe(alone.length);
      expect(difference(together[b].x, alone.x, alone.length)).toBeLessThan(1e-5);
    }
  } finally {
    await graph.close();
  }
}

const plainBlock: JasperBlockSpec = {
  filters: 4,
  repeat: 1,
  kernel: 3,
  stride: 1,
  dilation: 1,
  separable: false,
  groups: 1,
  heads: -1,
  residual: true,
  residualMode: "add",
  residualDense: false,
  strideLast: false,
  futureContext: -1,
  normalization: "batch",
  normGroups: -1,
  squeezeExcite: undefined,
};

describe.skipIf(!hasRuntime)("convAsrEncoder", () => {
  test("equals the plain evaluation for random geometries, alone and in batches", async () => {
    await fc.assert(fc.asyncProperty(convAsrCase, check), propertyRuns(60));
  });

  test("computes wide pointwise convolutions in 8 bits, near the plain evaluation and independent of the batch", async () => {
    const wide = { ...plainBlock, filters: 256, repeat: 2, separable: true };
    const spec: ConvAsrSpec = {
      kind: "convasr",
      numMels: 8,
      activation: "relu",
      convMask: true,
      blocks: [{ ...wide, repeat: 1, stride: 2, residual: false }, wide],
      outSize: 256,
      subsamplingFactor: 2,
    };
    const params = randomParams(convAsrTensors(spec), 3);
    const next = uniform(4);
    const rows = [12, 20].map((length): Row => ({ x: randomRows(20, spec.numMels, next), length }));
    const built = encoderGraph(spec, params, "int8");
    expect([...built.initializers.values()].filter((init) => init.type === "int8")).toHaveLength(3);
    const graph = await loadGraph(built);
    const together = await encode(graph, rows);
    const [alone] = await encode(graph, [{ x: rows[0].x.slice(0, 12), length: 12 }]);
    await graph.close();
    rows.forEach((row, b) => {
      const expected = convAsr(params, spec, row);
      const peak = Math.max(...expected.x.flat().map(Math.abs));
      expect(difference(together[b].x, expected.x, expected.length)).toBeLessThan(0.05 * peak);
    });
    expect(difference(together[0].x, alone.x, alone.length)).toBeLessThan(0.01);
  });

  test("gives an empty recording numbers, not NaN", async () => {
    const spec: ConvAsrSpec = {
      kind: "convasr",
      numMels: 4,
      activation: "relu",
      convMask: true,
      blocks: [{ ...plainBlock, squeezeExcite: { reductionRatio: 2, contextWindow: -1, interpolation: "nearest" } }],
      outSize: 4,
      subsamplingFactor: 1,
    };
    const graph = await loadGraph(encoderGraph(spec, randomParams(convAsrTensors(spec), 1)));
    const [row] = await encode(graph, [{ x: randomRows(3, 4, uniform(2)), length: 0 }]);
    await graph.close();
    expect(row.x.flat().every(Number.isFinite)).toBe(true);
  });
});

describe("convAsrEncoder", () => {
  test("refuses dense residuals that reach behind a block without", () => {
    const dense = { ...plainBlock, residualDense: true };
    const spec: ConvAsrSpec = {
      kind: "convasr",
      numMels: 4,
      activation: "relu",
      convMask: true,
      blocks: [dense, { ...plainBlock, residual: false }, dense],
      outSize: 4,
      subsamplingFactor: 1,
    };
    const params = randomParams(convAsrTensors(spec), 1);
    expect(() => encoderGraph(spec, params)).toThrowError(
      "encoder.jasper[2]: expected 2 earlier outputs for its dense residuals, got 1. Blocks with `residual_dense` must follow one another.",
    );
  });
});
