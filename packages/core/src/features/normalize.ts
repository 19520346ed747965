import type { FeatureSpec } from "../config/spec.ts";
import { torchSum } from "./torch-sum.ts";

/** What NeMo adds to a standard deviation (`CONSTANT` in features.py). */
const STD_OFFSET = Math.fround(1e-5);

/** A block of rows in a larger matrix: row `m` is `data[offset + m * stride, offset + m * stride + length)`. */
export interface Rows {
  readonly data: Float32Array;
  readonly offset: number;
  readonly stride: number;
  readonly numRows: number;
  readonly length: number;
  /** Columns of NeMo's own matrix of the recording alone, those beyond its length included: they order its sums. */
  readonly width: number;
}

/**
 * Normalises the valid frames of one recording over time, in place, where the description says so (NeMo
 * `normalize_batch`; `_apply_normalization` for the torchaudio variant), with NeMo's float32 roundings. Kinds that look
 * at one frame only are none of its business.
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
    // `x[i, :, :length].mean()` does not see the columns beyond the length.
    standardize(spec, { ...rows, width: rows.length }, count);
  }
}

/** `(x - mean) / (std + 1e-5)` with the unbiased deviation; a deviation of a single value counts as zero. */
function standardize(spec: FeatureSpec, rows: Rows, count: number): void {
  const { data, offset, stride, numRows, length } = rows;
  const { fround } = Math;
  const mean = fround(sumOfRows(rows, data) / count);
  const squared = squaredDistances(rows, mean);
  // `torch.std`, which NeMo takes for `all_features`, adds in float64.
  const isStd = spec.kind === "mel" && spec.normalize.kind === "all_features";
  const sum = isStd ? squared.reduce((a, b) => a + b, 0) : sumOfRows({ ...rows, offset: 0, stride: length }, squared);
  const variance = count > 1 ? sum / (count - 1) : 0;
  // The torchaudio variant keeps the variance above the guard of the logarithm.
  const guarded = spec.kind === "mel-torchaudio" ? Math.max(variance, spec.logZeroGuard.value) : variance;
  const deviation = fround(fround(Math.sqrt(isStd ? guarded : fround(guarded))) + STD_OFFSET);
  for (let m = 0; m < numRows; m++) {
    const start = offset + m * stride;
    for (let t = start; t < start + length; t++) data[t] = fround(data[t] - mean) / deviation;
  }
}

function sumOfRows({ offset, stride, numRows, length, width }: Rows, data: Float32Array): number {
  let sum = 0;
  for (let m = 0; m < numRows; m++) sum = Math.fround(sum + torchSum(data, offset + m * stride, length, width));
  return sum;
}

function squaredDistances({ data, offset, stride, numRows, length }: Rows, mean: number): Float32Array {
  const squared = new Float32Array(numRows * length);
  for (let m = 0, i = 0; m < numRows; m++) {
    for (let t = offset + m * stride, end = t + length; t < end; t++, i++) {
      const distance = Math.fround(data[t] - mean);
      squared[i] = distance * distance;
    }
  }
  return squared;
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
