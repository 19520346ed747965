import type { PowerSpectrum } from "./fft.ts";
import { createTransform512, type Tables512, type Transform512 } from "./fft512-simd.ts";
import { windowSupport } from "./window.ts";

// NeMo computes its features in float32, and the rounding of the Fourier transform is by far their largest error: in the
// quiet bins of a loud frame it reaches 7e-4 of a log-mel value (208 recordings, NeMo 3.0.0 with torch 2.13 on x86). An
// exact transform therefore differs from NeMo by as much. This one makes the same roundings in the same order and so
// the same error: features agree to 2e-6. The order was found by probing the transform with impulses and sums.

const HALF = 256;
/** Half of the square root of 2 as the reference has it: one unit above the nearest float32. */
const SQRT_HALF = 0.7071068286895752;

/**
 * The power spectrum of real frames of 512 samples in float32 arithmetic, for one window `[512]`: a complex transform of
 * 256 points (radix 4, 8, 8, decimated in time) over pairs of samples, split into the spectrum of the real signal. With
 * WebAssembly's vectors where the platform has them, to the same bits.
 *
 * Not reentrant: scratch memory is shared by all calls.
 */
export function createSinglePowerSpectrum512(window: Float64Array): PowerSpectrum {
  sharedTransform ??= { transform: createTransform512(tables512()) };
  const { transform } = sharedTransform;
  return transform ? vectorPowerSpectrum512(window, transform) : plainPowerSpectrum512(window);
}

/** One for all windows and streams: a memory costs address space, of which engines give out little. */
let sharedTransform: { readonly transform: Transform512 | undefined } | undefined;

/** The factors of the transform. */
export const tables512 = (): Tables512 => ({
  innerTwiddles: radix8Twiddles(32, 4),
  outerTwiddles: radix8Twiddles(HALF, 32),
  ...splitFactors(),
  sqrtHalf: SQRT_HALF,
});

function vectorPowerSpectrum512(window: Float64Array, transform: Transform512): PowerSpectrum {
  const { inputReal, inputImag, real, imag } = transform;
  const [first, last] = windowSupport(window);
  const [from, to] = [first >> 1, (last + 1) >> 1];
  return (signal, start, power) => {
    inputReal.fill(0, 0, from);
    inputImag.fill(0, 0, from);
    multiplyPairs(signal, start, window, from, to, inputReal, inputImag);
    inputReal.fill(0, to);
    inputImag.fill(0, to);
    transform.run();
    power.set(transform.power);
    setEdgePowers(real, imag, power);
  };
}

/** The same in plain code, for platforms without WebAssembly's vectors. */
export function plainPowerSpectrum512(window: Float64Array): PowerSpectrum {
  const [first, last] = windowSupport(window);
  const inputReal = new Float32Array(HALF);
  const inputImag = new Float32Array(HALF);
  const real = new Float32Array(HALF);
  const imag = new Float32Array(HALF);
  const otherReal = new Float32Array(HALF);
  const otherImag = new Float32Array(HALF);
  const { innerTwiddles, outerTwiddles, splitReal, splitImag } = tables512();

  return (signal, start, power) => {
    multiplyPairs(signal, start, window, first >> 1, (last + 1) >> 1, inputReal, inputImag);
    radix4Pass(inputReal, inputImag, otherReal, otherImag);
    radix8Pass(otherReal, otherImag, 8, innerTwiddles, real, imag);
    radix8Pass(real, imag, 1, outerTwiddles, otherReal, otherImag);
    splitPower(otherReal, otherImag, splitReal, splitImag, power);
    setEdgePowers(otherReal, otherImag, power);
  };
}

/** Windowed samples in pairs. Outside the window's support the input stays zero, and the signal may not be there yet. */
function multiplyPairs(
  signal: Float64Array,
  start: number,
  window: Float64Array,
  from: number,
  to: number,
  real: Float32Array,
  imag: Float32Array,
): void {
  for (let n = from; n < to; n++) {
    real[n] = signal[start + 2 * n] * window[2 * n];
    imag[n] = signal[start + 2 * n + 1] * window[2 * n + 1];
  }
}

/** The powers of the first, the middle and the last bin. */
function setEdgePowers(zr: Float32Array, zi: Float32Array, power: Float64Array): void {
  const fround = Math.fround;
  const first = fround(zr[0] + zi[0]);
  const last = fround(zr[0] - zi[0]);
  power[0] = fround(first * first);
  power[HALF] = fround(last * last);
  power[HALF / 2] = fround(fround(zr[HALF / 2] * zr[HALF / 2]) + fround(zi[HALF / 2] * zi[HALF / 2]));
}

/** `W^nk` of a length for `n` in [1, 7], as fourteen numbers for every `k` below `count`. */
function radix8Twiddles(length: number, count: number): Float32Array {
  const twiddles = new Float32Array(count * 14);
  for (let k = 0; k < count; k++) {
    for (let n = 1; n < 8; n++) {
      const angle = (-2 * Math.PI * n * k) / length;
      twiddles[k * 14 + 2 * n - 2] = Math.cos(angle);
      twiddles[k * 14 + 2 * n - 1] = Math.sin(angle);
    }
  }
  return twiddles;
}

function splitFactors(): { splitReal: Float32Array; splitImag: Float32Array } {
  const splitReal = new Float32Array(HALF / 2);
  const splitImag = new Float32Array(HALF / 2);
  for (let k = 0; k < HALF / 2; k++) {
    const angle = (Math.PI * k) / HALF;
    splitReal[k] = Math.fround(1 - Math.fround(Math.sin(angle))) / 2;
    splitImag[k] = -Math.cos(angle) / 2;
  }
  return { splitReal, splitImag };
}

/** Transforms of length 4 over `x[n], x[n + 64], x[n + 128], x[n + 192]`; bin `k` goes to `y[64 k + n]`. */
function radix4Pass(xr: Float32Array, xi: Float32Array, yr: Float32Array, yi: Float32Array): void {
  const fround = Math.fround;
  for (let n = 0; n < 64; n++) {
    const sumACr = fround(xr[n] + xr[n + 128]);
    const sumACi = fround(xi[n] + xi[n + 128]);
    const difACr = fround(xr[n] - xr[n + 128]);
    const difACi = fround(xi[n] - xi[n + 128]);
    const sumBDr = fround(xr[n + 64] + xr[n + 192]);
    const sumBDi = fround(xi[n + 64] + xi[n + 192]);
    const difBDr = fround(xr[n + 64] - xr[n + 192]);
    const difBDi = fround(xi[n + 64] - xi[n + 192]);
    yr[n] = sumACr + sumBDr;
    yi[n] = sumACi + sumBDi;
    yr[n + 64] = difACr + difBDi;
    yi[n + 64] = difACi - difBDr;
    yr[n + 128] = sumACr - sumBDr;
    yi[n + 128] = sumACi - sumBDi;
    yr[n + 192] = difACr - difBDi;
    yi[n + 192] = difACi + difBDr;
  }
}

/**
 * Transforms of length 8 over `x[n step] * W^nk`, 32 of them: `step` at a time share their twiddle factors. Bin `b` of
 * transform `j` goes to `y[32 b + j]`.
 */
function radix8Pass(
  xr: Float32Array,
  xi: Float32Array,
  step: number,
  twiddles: Float32Array,
  yr: Float32Array,
  yi: Float32Array,
): void {
  const fround = Math.fround;
  for (let j = 0; j < 32; j++) {
    const k = (j / step) | 0;
    const t = 14 * k;
    const from = 7 * step * k + j;
    const i1 = from + step;
    const i2 = i1 + step;
    const i3 = i2 + step;
    const i4 = i3 + step;
    const i5 = i4 + step;
    const i6 = i5 + step;
    const i7 = i6 + step;
    const x1r = fround(fround(xr[i1] * twiddles[t]) - fround(xi[i1] * twiddles[t + 1]));
    const x1i = fround(fround(xr[i1] * twiddles[t + 1]) + fround(xi[i1] * twiddles[t]));
    const x2r = fround(fround(xr[i2] * twiddles[t + 2]) - fround(xi[i2] * twiddles[t + 3]));
    const x2i = fround(fround(xr[i2] * twiddles[t + 3]) + fround(xi[i2] * twiddles[t + 2]));
    const x3r = fround(fround(xr[i3] * twiddles[t + 4]) - fround(xi[i3] * twiddles[t + 5]));
    const x3i = fround(fround(xr[i3] * twiddles[t + 5]) + fround(xi[i3] * twiddles[t + 4]));
    const x4r = fround(fround(xr[i4] * twiddles[t + 6]) - fround(xi[i4] * twiddles[t + 7]));
    const x4i = fround(fround(xr[i4] * twiddles[t + 7]) + fround(xi[i4] * twiddles[t + 6]));
    const x5r = fround(fround(xr[i5] * twiddles[t + 8]) - fround(xi[i5] * twiddles[t + 9]));
    const x5i = fround(fround(xr[i5] * twiddles[t + 9]) + fround(xi[i5] * twiddles[t + 8]));
    const x6r = fround(fround(xr[i6] * twiddles[t + 10]) - fround(xi[i6] * twiddles[t + 11]));
    const x6i = fround(fround(xr[i6] * twiddles[t + 11]) + fround(xi[i6] * twiddles[t + 10]));
    const x7r = fround(fround(xr[i7] * twiddles[t + 12]) - fround(xi[i7] * twiddles[t + 13]));
    const x7i = fround(fround(xr[i7] * twiddles[t + 13]) + fround(xi[i7] * twiddles[t + 12]));

    // Even bins: a transform of length 4 over the sums.
    const a0r = fround(xr[from] + x4r);
    const a0i = fround(xi[from] + x4i);
    const a1r = fround(x1r + x5r);
    const a1i = fround(x1i + x5i);
    const a2r = fround(x2r + x6r);
    const a2i = fround(x2i + x6i);
    const a3r = fround(x3r + x7r);
    const a3i = fround(x3i + x7i);
    const c0r = fround(a0r + a2r);
    const c0i = fround(a0i + a2i);
    const c1r = fround(a1r + a3r);
    const c1i = fround(a1i + a3i);
    const c2r = fround(a0r - a2r);
    const c2i = fround(a0i - a2i);
    const c3r = fround(a1r - a3r);
    const c3i = fround(a1i - a3i);
    yr[j] = c0r + c1r;
    yi[j] = c0i + c1i;
    yr[j + 64] = c2r + c3i;
    yi[j + 64] = c2i - c3r;
    yr[j + 128] = c0r - c1r;
    yi[j + 128] = c0i - c1i;
    yr[j + 192] = c2r - c3i;
    yi[j + 192] = c2i + c3r;

    // Odd bins: the differences, turned by an eighth and by three eighths.
    const b0r = fround(xr[from] - x4r);
    const b0i = fround(xi[from] - x4i);
    const b1r = fround(x1r - x5r);
    const b1i = fround(x1i - x5i);
    const b2r = fround(x2r - x6r);
    const b2i = fround(x2i - x6i);
    const b3r = fround(x3r - x7r);
    const b3i = fround(x3i - x7i);
    const e0r = fround(b0r + b2i);
    const e0i = fround(b0i - b2r);
    const e1r = fround(b0r - b2i);
    const e1i = fround(b0i + b2r);
    const pr = fround(fround(b1r + b3i) * SQRT_HALF);
    const pi = fround(fround(b1i - b3r) * SQRT_HALF);
    const qr = fround(fround(b1r - b3i) * SQRT_HALF);
    const qi = fround(fround(b1i + b3r) * SQRT_HALF);
    const o1r = fround(pr + pi);
    const o1i = fround(pi - pr);
    const o3r = fround(qi - qr);
    const o3i = fround(qr + qi);
    yr[j + 32] = e0r + o1r;
    yi[j + 32] = e0i + o1i;
    yr[j + 96] = e1r + o3r;
    yi[j + 96] = e1i - o3i;
    yr[j + 160] = e0r - o1r;
    yi[j + 160] = e0i - o1i;
    yr[j + 224] = e1r - o3r;
    yi[j + 224] = e1i + o3i;
  }
}

/** Powers of the real signal's other bins from the complex transform of its pairs. */
function splitPower(
  zr: Float32Array,
  zi: Float32Array,
  splitReal: Float32Array,
  splitImag: Float32Array,
  power: Float64Array,
): void {
  const fround = Math.fround;
  for (let k = 1, m = HALF - 1; k < m; k++, m--) {
    const dr = fround(zr[k] - zr[m]);
    const di = fround(zi[k] + zi[m]);
    const pr = fround(fround(dr * splitReal[k]) - fround(di * splitImag[k]));
    const pi = fround(fround(dr * splitImag[k]) + fround(di * splitReal[k]));
    const kr = fround(zr[m] + pr);
    const ki = fround(pi - zi[m]);
    const mr = fround(zr[k] - pr);
    const mi = fround(pi - zi[k]);
    power[k] = fround(fround(kr * kr) + fround(ki * ki));
    power[m] = fround(fround(mr * mr) + fround(mi * mi));
  }
}
