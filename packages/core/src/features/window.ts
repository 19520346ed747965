import type { FeatureSpec } from "../config/spec.ts";

/**
 * An analysis window as torch makes it (`torch.hann_window` and its siblings), in its float32 arithmetic.
 *
 * Symmetric by default, as NeMo's mel features have it (`periodic=False`); torchaudio's MFCC uses periodic ones.
 */
export function createWindow(kind: FeatureSpec["window"], length: number, periodic = false): Float32Array {
  // One sample is a window of one; a periodic window is a symmetric one that is longer by a sample.
  if (length === 1) return Float32Array.of(1);
  const last = periodic ? length : length - 1;
  const value = windowFunction(kind, last);
  return Float32Array.from({ length }, (_, n) => value(n));
}

/** The window as a function of the sample `n` in `[0, last]`. */
function windowFunction(kind: FeatureSpec["window"], last: number): (n: number) => number {
  const { fround } = Math;
  const scaledCosine = (turn: number, factor: number) => fround(fround(Math.cos(turn)) * fround(factor));
  const turn = fround((2 * Math.PI) / last);
  const halfTurn = fround(Math.PI / last);
  const rise = fround(2 / last);
  switch (kind) {
    case "hann":
      return (n) => scaledCosine(fround(n * turn), -0.5) + 0.5;
    case "hamming":
      return (n) => scaledCosine(fround(n * turn), -0.46) + fround(0.54);
    case "blackman":
      return (n) => {
        const x = fround(n * halfTurn);
        return fround(scaledCosine(4 * x, 0.08) - scaledCosine(2 * x, 0.5)) + fround(0.42);
      };
    case "bartlett":
      return (n) => (n <= last >> 1 ? n * rise : 2 - fround(n * rise));
    case "none":
      return () => 1;
  }
}

/** `[first, end)` of a window's values that are not zero. */
export function windowSupport(window: Float64Array): [number, number] {
  let first = 0;
  while (first < window.length && window[first] === 0) first++;
  let end = window.length;
  while (end > first && window[end - 1] === 0) end--;
  return [first, end];
}
