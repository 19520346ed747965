import type fc from "fast-check";
import type { Tensor } from "../../src/tensor.ts";
import { float32, int64 } from "../../src/tensor.ts";
import type { Matrix } from "./matrix.ts";
import type { Row } from "./subsampling.ts";

/** Largest difference that rounding explains, relative where values exceed one. */
export const TOLERANCE = 1e-4;

/** Drawn geometries a property test tries; `PROPERTY_RUNS` asks for more. */
export const propertyRuns = (quick: number): fc.Parameters<unknown> => ({
  numRuns: Number(process.env.PROPERTY_RUNS ?? quick),
  seed: Number(process.env.PROPERTY_SEED ?? 20260101),
});

/** `[frame][mel]` of every recording → `[batch, mel, frame]`. */
export function batchFeatures(rows: readonly Row[]): Tensor<Float32Array> {
  const numFrames = rows[0].x.length;
  const numMels = rows[0].x[0].length;
  const data = new Float32Array(rows.length * numMels * numFrames);
  rows.forEach((row, b) => {
    row.x.forEach((frame, t) => {
      frame.forEach((v, m) => {
        data[(b * numMels + m) * numFrames + t] = v;
      });
    });
  });
  return float32(data, [rows.length, numMels, numFrames]);
}

/** int64 `[batch]`. */
export const batchLengths = (rows: readonly Row[]): Tensor => int64(rows.map((row) => row.length));

/** `[batch, model, step]` → one recording's `[step][model]`. */
export function stepsOf(encoded: Tensor, b: number): Matrix {
  const [, size, numSteps] = encoded.dims;
  const data = encoded.data as Float32Array;
  return Array.from({ length: numSteps }, (_, t) =>
    Array.from({ length: size }, (_, i) => data[(b * size + i) * numSteps + t]),
  );
}

/** Largest difference of the first `numRows` rows, relative where the expected value exceeds one; NaN counts as infinite. */
export function difference(actual: Matrix, expected: Matrix, numRows = expected.length): number {
  let worst = 0;
  for (let t = 0; t < numRows; t++) {
    for (let i = 0; i < expected[t].length; i++) {
      const d = Math.abs(actual[t][i] - expected[t][i]) / Math.max(1, Math.abs(expected[t][i]));
      worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d);
    }
  }
  return worst;
}
