import type { FeatureSpec } from "../config/spec.ts";

/** What NeMo adds to a standard deviation (`CONSTANT` in features.py). */
const STD_OFFSET = 1e-5;

/** A block of rows in a larger matrix: row `m` is `data[offset + m * stride, offset + m * stride + length)`. */
export interface Rows {
  readonly data: Float32Array;
  readonly offset: number;
  readonly stride: number;
  readonly numRows: number;
  readonly length: number;
}

/**
 * Normalises the valid frames of one recording over time, in place, where the description says so (NeMo
 * `normalize_batch`; `_apply_normalization` for the torchaudio variant). Kinds that look at one frame only are none of
 * its business.
 */
export function normalizeOverTime(spec: FeatureSpec, rows: Rows): void {
  const { kind } = spec.normalize;
  if (rows.length === 0 || (kind !== "per_feature" && kind !== "all_features")) return;
  if (kind === "per_feature") {
    for (let m = 0; m < rows.numRows; m++) {
      const row = { ...rows, offset: rows.offset + m * rows.stride, numRows: 1 };
      standardize(spec, row, rows.length);
    }
  } else {
    // The torchaudio variant divides the sums over all rows by the number of frames: kept as it is.
    const count = spec.kind === "mel-torchaudio" ? rows.length : rows.length * rows.numRows;
    standardize(spec, rows, count);
  }
}

/** `(x - mean) / (std + 1e-5)` with the unbiased deviation; a deviation of a single value counts as zero. */
function standardize(spec: FeatureSpec, rows: Rows, count: number): void {
  const { data, offset, stride, numRows, length } = rows;
  let sum = 0;
  for (let m = 0; m < numRows; m++) sum += rowSum(data, offset + m * stride, length);
  const mean = sum / count;
  let squares = 0;
  for (let m = 0; m < numRows; m++) squares += rowSquares(data, offset + m * stride, length, mean);
  const variance = count > 1 ? squares / (count - 1) : 0;
  // The torchaudio variant keeps the variance above the guard of the logarithm.
  const guarded = spec.kind === "mel-torchaudio" ? Math.max(variance, spec.logZeroGuard.value) : variance;
  const scale = 1 / (Math.sqrt(guarded) + STD_OFFSET);
  for (let m = 0; m < numRows; m++) {
    const start = offset + m * stride;
    for (let t = start; t < start + length; t++) data[t] = (data[t] - mean) * scale;
  }
}

// Two sums run side by side: one alone waits for its own last addition.

function rowSum(data: Float32Array, start: number, length: number): number {
  let even = 0;
  let odd = 0;
  const end = start + length - (length % 2);
  for (let t = start; t < end; t += 2) {
    even += data[t];
    odd += data[t + 1];
  }
  return length % 2 === 0 ? even + odd : even + odd + data[end];
}

function rowSquares(data: Float32Array, start: number, length: number, mean: number): number {
  let even = 0;
  let odd = 0;
  const end = start + length - (length % 2);
  for (let t = start; t < end; t += 2) {
    const a = data[t] - mean;
    const b = data[t + 1] - mean;
    even += a * a;
    odd += b * b;
  }
  const last = length % 2 === 0 ? 0 : data[end] - mean;
  return even + odd + last * last;
}

/** Normalisation that needs one frame only: `fixed`. Undefined where there is none. */
export function frameNormalization(spec: FeatureSpec): ((frame: Float64Array) => void) | undefined {
  if (spec.normalize.kind !== "fixed") return undefined;
  const mean = Float32Array.from(spec.normalize.mean);
  const std = Float32Array.from(spec.normalize.std);
  return (frame) => {
    for (let m = 0; m < frame.length; m++) frame[m] = Math.fround(Math.fround(frame[m]) - mean[m]) / std[m];
  };
}
