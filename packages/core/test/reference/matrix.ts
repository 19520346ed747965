/**
 * Arithmetic of the plain reference evaluation: lists of numbers in double precision, one loop per sum.
 * A matrix is `[row][column]`; what the rows are (frames, steps, channels) is said where one is named.
 */
export type Matrix = number[][];

export const zeros = (numRows: number, numColumns: number): Matrix =>
  Array.from({ length: numRows }, () => new Array<number>(numColumns).fill(0));

export const dot = (a: readonly number[], b: readonly number[]): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

export const addRows = (a: Matrix, b: Matrix): Matrix => a.map((row, t) => row.map((v, i) => v + b[t][i]));

export const scaleRows = (a: Matrix, factor: number): Matrix => a.map((row) => row.map((v) => v * factor));

export const transposed = (a: Matrix): Matrix => a[0].map((_, i) => a.map((row) => row[i]));

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const silu = (x: number): number => x * sigmoid(x);

export function softmax(x: readonly number[]): number[] {
  const peak = Math.max(...x);
  const powers = x.map((v) => Math.exp(v - peak));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((v) => v / sum);
}

/** `(x - mean) / sqrt(variance + epsilon)` over all the values given, variance biased. */
export function standardized(x: readonly number[], epsilon: number): number[] {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
  return x.map((v) => (v - mean) / Math.sqrt(variance + epsilon));
}

/** The error function by its Taylor series; exact to rounding for the small arguments of the tests. */
export function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
