import type { PowerSpectrum } from "./fft.ts";
import { createTransform512, type Tables512, type Transform512 } from "./fft512-simd.ts";
import { windowSupport } from "./window.ts";

// NeMo computes its features in float32, and the rounding of the Fourier transform is by far their largest error: in the
// quiet bins of a loud frame it reaches 7e-4 of a log-mel value (208 recordings, NeMo 3.0.0 with torch 2.13 on x86). An
// exact transform therefore differs from NeMo by as much. This one makes the same roundings in the same order and so
// the same error: features agree to 2e-6. The order was found by probing the transform with impulses and sums, for
// 512 points, and by comparing the bits of all orders of passes for the other sizes.

/** Half of the square root of 2 as the reference has it: one unit above the nearest float32. */
const SQRT_HALF = 0.7071068286895752;

/** Sizes that are known to be transformed so: powers of two. */
const MIN_SIZE = 128;
const MAX_SIZE = 4096;

/** True for sizes whose roundings are known. */
export const hasSinglePowerSpectrum = (size: number): boolean =>
  size >= MIN_SIZE && size <= MAX_SIZE && (size & (size - 1)) === 0;

/**
 * The power spectrum of real frames of such a size in float32 arithmetic, for one window `[fftSize]`: a complex transform
 * of half as many points over pairs of samples (one to three passes of radix 4, then passes of radix 8, decimated in
 * time), split into the spectrum of the real signal. For 512 points, the size of every published recogniser, with
 * WebAssembly's vectors where the platform has them, to the same bits.
 *
 * Not reentrant: scratch memory is shared by all calls.
 */
export function createSinglePowerSpectrum(window: Float64Array): PowerSpectrum {
  if (window.length !== 512) return plainSinglePowerSpectrum(window);
  sharedTransform ??= { transform: createTransform512(tables512()) };
  const { transform } = sharedTransform;
  return transform ? vectorPowerSpectrum512(window, transform) : plainSinglePowerSpectrum(window);
}

/** One for all windows and streams: a memory costs address space, of which engines give out little. */
let sharedTransform: { readonly transform: Transform512 | undefined } | undefined;

/** The factors of the transform of 512 points. */
export const tables512 = (): Tables512 => ({
  innerTwiddles: passTwiddles(8, 32),
  outerTwiddles: passTwiddles(8, 256),
  ...splitFactors(256),
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

/** The same in plain code, for all sizes, and for platforms without WebAssembly's vectors. */
export function plainSinglePowerSpectrum(window: Float64Array): PowerSpectrum {
  const half = window.length / 2;
  const [first, last] = windowSupport(window);
  const input = complexArray(half);
  const [one, other] = [complexArray(half), complexArray(half)];
  const passes = passesOf(half);
  const { splitReal, splitImag } = splitFactors(half);

  return (signal, start, power) => {
    multiplyPairs(signal, start, window, first >> 1, (last + 1) >> 1, input.real, input.imag);
    let from = input;
    for (const [i, pass] of passes.entries()) {
      const to = i % 2 === 0 ? one : other;
      // The first pass has no factors but 1, and its input is to stay zero outside of the window.
      if (i > 0) turn(from, pass);
      if (pass.radix === 4) radix4Pass(from, pass, to);
      else radix8Pass(from, pass, to);
      from = to;
    }
    splitPower(from.real, from.imag, splitReal, splitImag, power);
    setEdgePowers(from.real, from.imag, power);
  };
}

interface ComplexArray {
  readonly real: Float32Array;
  readonly imag: Float32Array;
}

const complexArray = (length: number): ComplexArray => ({
  real: new Float32Array(length),
  imag: new Float32Array(length),
});

/** One pass: transforms of a short length over what the passes before have made of every so many points. */
interface Pass {
  readonly radix: 4 | 8;
  /** Transforms that share their twiddle factors. */
  readonly step: number;
  readonly twiddles: Float32Array;
}

/** The passes for a number of complex points: as few of radix 4 as leave passes of radix 8, but one at least. */
function passesOf(half: number): Pass[] {
  const numBits = Math.log2(half);
  const numFours = [1, 2, 3].find((count) => (numBits - 2 * count) % 3 === 0) as number;
  const passes: Pass[] = [];
  for (let length = 1; length < half; ) {
    const radix = passes.length < numFours ? 4 : 8;
    const step = half / (radix * length);
    length *= radix;
    passes.push({ radix, step, twiddles: passTwiddles(radix, length) });
  }
  return passes;
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
  const half = zr.length;
  const first = fround(zr[0] + zi[0]);
  const last = fround(zr[0] - zi[0]);
  power[0] = fround(first * first);
  power[half] = fround(last * last);
  power[half / 2] = fround(fround(zr[half / 2] * zr[half / 2]) + fround(zi[half / 2] * zi[half / 2]));
}

/** `W^nk` of a length for `n` in [1, radix - 1], one behind the other for every `k` below the length of what is joined. */
function passTwiddles(radix: 4 | 8, length: number): Float32Array {
  const count = length / radix;
  const size = 2 * (radix - 1);
  const twiddles = new Float32Array(count * size);
  for (let k = 0; k < count; k++) {
    for (let n = 1; n < radix; n++) {
      const angle = (-2 * Math.PI * n * k) / length;
      twiddles[k * size + 2 * n - 2] = Math.cos(angle);
      twiddles[k * size + 2 * n - 1] = Math.sin(angle);
    }
  }
  return twiddles;
}

function splitFactors(half: number): { splitReal: Float32Array; splitImag: Float32Array } {
  const splitReal = new Float32Array(half / 2);
  const splitImag = new Float32Array(half / 2);
  for (let k = 0; k < half / 2; k++) {
    const angle = (Math.PI * k) / half;
    splitReal[k] = Math.fround(1 - Math.fround(Math.sin(angle))) / 2;
    splitImag[k] = -Math.cos(angle) / 2;
  }
  return { splitReal, splitImag };
}

/** Multiplies points by `W^nk`, in place: what the passes before have made, for the next one. */
function turn({ real, imag }: ComplexArray, { radix, step, twiddles }: Pass): void {
  const fround = Math.fround;
  const count = real.length / radix;
  const size = 2 * (radix - 1);
  for (let j = 0; j < count; j++) {
    const k = (j / step) | 0;
    let i = (radix - 1) * step * k + j;
    for (let t = k * size; t < (k + 1) * size; t += 2) {
      i += step;
      const re = real[i];
      const im = imag[i];
      real[i] = fround(re * twiddles[t]) - fround(im * twiddles[t + 1]);
      imag[i] = fround(re * twiddles[t + 1]) + fround(im * twiddles[t]);
    }
  }
}

/**
 * Transforms of length 4 over every `step`-th point, a quarter as many as there are points. Bin `b` of transform `j` goes
 * to `y[b * size / 4 + j]`.
 */
function radix4Pass({ real: xr, imag: xi }: ComplexArray, { step }: Pass, y: ComplexArray): void {
  const fround = Math.fround;
  const { real: yr, imag: yi } = y;
  const count = xr.length / 4;
  for (let j = 0; j < count; j++) {
    const i0 = 3 * step * ((j / step) | 0) + j;
    const i1 = i0 + step;
    const i2 = i1 + step;
    const i3 = i2 + step;
    const sumACr = fround(xr[i0] + xr[i2]);
    const sumACi = fround(xi[i0] + xi[i2]);
    const difACr = fround(xr[i0] - xr[i2]);
    const difACi = fround(xi[i0] - xi[i2]);
    const sumBDr = fround(xr[i1] + xr[i3]);
    const sumBDi = fround(xi[i1] + xi[i3]);
    const difBDr = fround(xr[i1] - xr[i3]);
    const difBDi = fround(xi[i1] - xi[i3]);
    yr[j] = sumACr + sumBDr;
    yi[j] = sumACi + sumBDi;
    yr[j + count] = difACr + difBDi;
    yi[j + count] = difACi - difBDr;
    yr[j + 2 * count] = sumACr - sumBDr;
    yi[j + 2 * count] = sumACi - sumBDi;
    yr[j + 3 * count] = difACr - difBDi;
    yi[j + 3 * count] = difACi + difBDr;
  }
}

/** The same with transforms of length 8. */
function radix8Pass({ real: xr, imag: xi }: ComplexArray, { step }: Pass, y: ComplexArray): void {
  const fround = Math.fround;
  const { real: yr, imag: yi } = y;
  const count = xr.length / 8;
  for (let j = 0; j < count; j++) {
    const i0 = 7 * step * ((j / step) | 0) + j;
    const i1 = i0 + step;
    const i2 = i1 + step;
    const i3 = i2 + step;
    const i4 = i3 + step;
    const i5 = i4 + step;
    const i6 = i5 + step;
    const i7 = i6 + step;

    // Even bins: a transform of length 4 over the sums.
    const a0r = fround(xr[i0] + xr[i4]);
    const a0i = fround(xi[i0] + xi[i4]);
    const a1r = fround(xr[i1] + xr[i5]);
    const a1i = fround(xi[i1] + xi[i5]);
    const a2r = fround(xr[i2] + xr[i6]);
    const a2i = fround(xi[i2] + xi[i6]);
    const a3r = fround(xr[i3] + xr[i7]);
    const a3i = fround(xi[i3] + xi[i7]);
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
    yr[j + 2 * count] = c2r + c3i;
    yi[j + 2 * count] = c2i - c3r;
    yr[j + 4 * count] = c0r - c1r;
    yi[j + 4 * count] = c0i - c1i;
    yr[j + 6 * count] = c2r - c3i;
    yi[j + 6 * count] = c2i + c3r;

    // Odd bins: the differences, turned by an eighth and by three eighths.
    const b0r = fround(xr[i0] - xr[i4]);
    const b0i = fround(xi[i0] - xi[i4]);
    const b1r = fround(xr[i1] - xr[i5]);
    const b1i = fround(xi[i1] - xi[i5]);
    const b2r = fround(xr[i2] - xr[i6]);
    const b2i = fround(xi[i2] - xi[i6]);
    const b3r = fround(xr[i3] - xr[i7]);
    const b3i = fround(xi[i3] - xi[i7]);
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
    yr[j + count] = e0r + o1r;
    yi[j + count] = e0i + o1i;
    yr[j + 3 * count] = e1r + o3r;
    yi[j + 3 * count] = e1i - o3i;
    yr[j + 5 * count] = e0r - o1r;
    yi[j + 5 * count] = e0i - o1i;
    yr[j + 7 * count] = e1r - o3r;
    yi[j + 7 * count] = e1i + o3i;
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
  for (let k = 1, m = zr.length - 1; k < m; k++, m--) {
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
