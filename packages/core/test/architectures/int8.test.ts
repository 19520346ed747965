import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createNet, linear } from "../../src/architectures/net.ts";
import { GraphBuilder } from "../../src/onnx/graph.ts";
import { float32 } from "../../src/tensor.ts";
import { difference, propertyRuns } from "../reference/compare.ts";
import type { Matrix } from "../reference/matrix.ts";
import { randomParams, randomRows, uniform } from "../reference/params.ts";
import { hasRuntime, loadGraph } from "../reference/run-graph.ts";

/** Largest magnitude of a row. */
const peakOf = (row: readonly number[]): number => row.reduce((peak, v) => Math.max(peak, Math.abs(v)), 0);

/** A row in whole units of its own scale, back as numbers. */
function rounded(row: readonly number[], limit: number): number[] {
  const scale = Math.fround(peakOf(row) / limit);
  return scale === 0 ? row.map(() => 0) : row.map((v) => Math.round(v / scale) * scale);
}

const layerCase = fc.record({
  numIn: fc.integer({ min: 1, max: 40 }),
  numOut: fc.integer({ min: 1, max: 12 }),
  numRows: fc.integer({ min: 1, max: 5 }),
  hasBias: fc.boolean(),
  scale: fc.constantFrom(1, 0.5),
  seed: fc.nat(),
});

type LayerCase = typeof layerCase extends fc.Arbitrary<infer T> ? T : never;

function layerOf({ numIn, numOut, hasBias, seed }: LayerCase) {
  const shapes: Record<string, number[]> = { "layer.weight": [numOut, numIn] };
  if (hasBias) shapes["layer.bias"] = [numOut];
  return randomParams(shapes, seed);
}

async function run(c: LayerCase, x: Matrix): Promise<Matrix> {
  const g = new GraphBuilder("int8");
  const rows = g.input("rows", "float32", ["row", c.numIn]);
  const net = createNet(g, layerOf(c).weights, "int8");
  g.output("out", linear(net, rows, "layer", { scale: c.scale }), "float32", ["row", c.numOut]);
  const graph = await loadGraph(g.finish());
  try {
    const { out } = await graph.run({ rows: float32(Float32Array.from(x.flat()), [x.length, c.numIn]) });
    const data = Array.from(out.data as Float32Array);
    return x.map((_, i) => data.slice(i * c.numOut, (i + 1) * c.numOut));
  } finally {
    await graph.close();
  }
}

describe.skipIf(!hasRuntime)("linear in 8 bits", () => {
  test("is within half a unit a product of the exact layer, and silent rows give the bias", async () => {
    await fc.assert(
      fc.asyncProperty(layerCase, async (c) => {
        const params = layerOf(c);
        const weight = params.rows("layer.weight");
        const bias = c.hasBias ? params.flat("layer.bias") : weight.map(() => 0);
        const x = [...randomRows(c.numRows, c.numIn, uniform(c.seed + 1)), new Array<number>(c.numIn).fill(0)];
        const actual = await run(c, x);
        x.forEach((row, i) => {
          weight.forEach((w, o) => {
            const exact = c.scale * (row.reduce((sum, v, k) => sum + v * w[k], 0) + bias[o]);
            const [rowUnit, weightUnit] = [peakOf(row) / 127, peakOf(w) / 63];
            const bound = row.reduce(
              (sum, v, k) =>
                sum + 0.5 * (rowUnit * Math.abs(w[k]) + weightUnit * Math.abs(v)) + 0.25 * rowUnit * weightUnit,
              0,
            );
            expect(Math.abs(actual[i][o] - exact)).toBeLessThanOrEqual(c.scale * bound * 1.001 + 1e-5);
          });
        });
      }),
      propertyRuns(20),
    );
  });

  test("rounds every row by its own peak, so that a loud row does not coarsen the others", async () => {
    const c: LayerCase = { numIn: 24, numOut: 5, numRows: 2, hasBias: true, scale: 1, seed: 5 };
    const [quiet, other] = randomRows(2, c.numIn, uniform(6));
    const loud = other.map((v) => v * 1000);
    const [together] = await run(c, [quiet, loud]);
    const [alone] = await run(c, [quiet]);
    expect(together).toEqual(alone);

    const params = layerOf(c);
    const bias = params.flat("layer.bias");
    const expected = params.rows("layer.weight").map((w, o) => {
      const [x, y] = [rounded(quiet, 127), rounded(w, 63)];
      return x.reduce((sum, v, k) => sum + v * y[k], 0) + bias[o];
    });
    expect(difference([alone], [expected])).toBeLessThan(1e-5);
  });
});
