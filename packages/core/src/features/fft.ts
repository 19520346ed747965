import { createSinglePowerSpectrum, hasSinglePowerSpectrum } from "./fft-single.ts";
import { windowSupport } from "./window.ts";

/**
 * Writes the power spectrum of one windowed frame: `power[k] = |X[k]|^2` for bins `[0, fftSize / 2]`. The frame is
 * `signal[start, start + fftSize)`.
 */
export type PowerSpectrum = (signal: Float64Array, start: number, power: Float64Array) => void;

/**
 * Creates the power spectrum of real frames for one window, `[fftSize]` (a shorter analysis window stands in it padded
 * with zeros). Powers of two from 128 to 4096 are computed in float32 with NeMo's own roundings, all other sizes in
 * float64: powers of two in O(n log n), the rest by the definition.
 *
 * Not reentrant: scratch memory is shared by the calls.
 */
export function createPowerSpectrum(window: Float64Array): PowerSpectrum {
  const size = window.length;
  if (hasSinglePowerSpectrum(size)) return createSinglePowerSpectrum(window);
  const isPowerOfTwo = size >= 8 && (size & (size - 1)) === 0;
  return isPowerOfTwo ? fastPowerSpectrum(window) : directPowerSpectrum(window);
}

/**
 * A real transform of `n` points as a complex one of `n / 2`: even samples are the real parts, odd ones the imaginary
 * parts. With `Z` the complex spectrum, `E = (Z[k] + conj Z[m]) / 2` and `O = (Z[k] - conj Z[m]) / 2i`, where
 * `m = n / 2 - k`, the bins are `X[k] = E + W^k O` and `X[m] = conj(E - W^k O)`.
 */
function fastPowerSpectrum(window: Float64Array): PowerSpectrum {
  const half = window.length / 2;
  const [first, last] = windowSupport(window);
  // Pairs of samples outside the window's support stay zero. The factor 1/2 of E and O is in the window.
  const from = first >> 1;
  const to = (last + 1) >> 1;
  const halved = window.map((w) => w / 2);
  const real = new Float64Array(half);
  const imag = new Float64Array(half);
  const transform = complexTransform(half);
  const quarter = half / 2;
  const twiddleReal = Float64Array.from({ length: quarter + 1 }, (_, k) => Math.cos((Math.PI * k) / half));
  const twiddleImag = Float64Array.from({ length: quarter + 1 }, (_, k) => -Math.sin((Math.PI * k) / half));

  return (signal, start, power) => {
    real.fill(0, 0, from);
    imag.fill(0, 0, from);
    for (let n = from, i = start + 2 * from, w = 2 * from; n < to; n++, i += 2, w += 2) {
      real[n] = signal[i] * halved[w];
      imag[n] = signal[i + 1] * halved[w + 1];
    }
    real.fill(0, to);
    imag.fill(0, to);
    transform(real, imag);

    const sum = 2 * (real[0] + imag[0]);
    const difference = 2 * (real[0] - imag[0]);
    power[0] = sum * sum;
    power[half] = difference * difference;
    for (let k = 1, m = half - 1; k <= quarter; k++, m--) {
      const evenReal = real[k] + real[m];
      const evenImag = imag[k] - imag[m];
      const oddReal = imag[k] + imag[m];
      const oddImag = real[m] - real[k];
      const wr = twiddleReal[k];
      const wi = twiddleImag[k];
      const energy = evenReal * evenReal + evenImag * evenImag + oddReal * oddReal + oddImag * oddImag;
      const cross = 2 * (evenReal * (oddReal * wr - oddImag * wi) + evenImag * (oddReal * wi + oddImag * wr));
      power[k] = energy + cross;
      // Rounding can leave a tiny negative number where the bin is empty.
      power[m] = Math.max(0, energy - cross);
      if (power[k] < 0) power[k] = 0;
    }
  };
}

/** A complex transform in place, for powers of two from 4: radix 4, with one radix-2 pass where the size needs it. */
function complexTransform(size: number): (real: Float64Array, imag: Float64Array) => void {
  const otherReal = new Float64Array(size);
  const otherImag = new Float64Array(size);
  const passes: { quarter: number; stride: number; twiddles: Float64Array }[] = [];
  let length = size;
  for (; length > 4; length /= 4) {
    passes.push({ quarter: length / 4, stride: size / length, twiddles: radix4Twiddles(length) });
  }
  const lastPass = length === 4 ? lastRadix4Pass : lastRadix2Pass;
  const lastStride = size / length;

  return (real, imag) => {
    let isInPlace = true;
    for (const { quarter, stride, twiddles } of passes) {
      if (isInPlace) radix4Pass(quarter, stride, twiddles, real, imag, otherReal, otherImag);
      else radix4Pass(quarter, stride, twiddles, otherReal, otherImag, real, imag);
      isInPlace = !isInPlace;
    }
    if (isInPlace) lastPass(lastStride, real, imag, real, imag);
    else lastPass(lastStride, otherReal, otherImag, real, imag);
  };
}

/** `W^p, W^2p, W^3p` of a length, as six numbers for every `p`. */
function radix4Twiddles(length: number): Float64Array {
  const twiddles = new Float64Array((length / 4) * 6);
  for (let p = 0; p < length / 4; p++) {
    for (let j = 1; j <= 3; j++) {
      const angle = (-2 * Math.PI * p * j) / length;
      twiddles[p * 6 + 2 * j - 2] = Math.cos(angle);
      twiddles[p * 6 + 2 * j - 1] = Math.sin(angle);
    }
  }
  return twiddles;
}

/** One pass of the Stockham (self-sorting) algorithm from `x` to `y`: decimation in frequency, radix 4. */
function radix4Pass(
  quarter: number,
  stride: number,
  twiddles: Float64Array,
  xr: Float64Array,
  xi: Float64Array,
  yr: Float64Array,
  yi: Float64Array,
): void {
  const step = quarter * stride;
  for (let p = 0; p < quarter; p++) {
    const w = p * 6;
    const w1r = twiddles[w];
    const w1i = twiddles[w + 1];
    const w2r = twiddles[w + 2];
    const w2i = twiddles[w + 3];
    const w3r = twiddles[w + 4];
    const w3i = twiddles[w + 5];
    const end = (p + 1) * stride;
    for (let i = p * stride, o = 4 * p * stride; i < end; i++, o++) {
      const sumACr = xr[i] + xr[i + 2 * step];
      const sumACi = xi[i] + xi[i + 2 * step];
      const difACr = xr[i] - xr[i + 2 * step];
      const difACi = xi[i] - xi[i + 2 * step];
      const sumBDr = xr[i + step] + xr[i + 3 * step];
      const sumBDi = xi[i + step] + xi[i + 3 * step];
      const difBDr = xr[i + step] - xr[i + 3 * step];
      const difBDi = xi[i + step] - xi[i + 3 * step];
      yr[o] = sumACr + sumBDr;
      yi[o] = sumACi + sumBDi;
      const t1r = difACr + difBDi;
      const t1i = difACi - difBDr;
      yr[o + stride] = t1r * w1r - t1i * w1i;
      yi[o + stride] = t1r * w1i + t1i * w1r;
      const t2r = sumACr - sumBDr;
      const t2i = sumACi - sumBDi;
      yr[o + 2 * stride] = t2r * w2r - t2i * w2i;
      yi[o + 2 * stride] = t2r * w2i + t2i * w2r;
      const t3r = difACr - difBDi;
      const t3i = difACi + difBDr;
      yr[o + 3 * stride] = t3r * w3r - t3i * w3i;
      yi[o + 3 * stride] = t3r * w3i + t3i * w3r;
    }
  }
}

/** The last pass of length 4, which has no twiddle factors. `x` and `y` may be the same memory. */
function lastRadix4Pass(n: number, xr: Float64Array, xi: Float64Array, yr: Float64Array, yi: Float64Array): void {
  for (let q = 0; q < n; q++) {
    const sumACr = xr[q] + xr[q + 2 * n];
    const sumACi = xi[q] + xi[q + 2 * n];
    const difACr = xr[q] - xr[q + 2 * n];
    const difACi = xi[q] - xi[q + 2 * n];
    const sumBDr = xr[q + n] + xr[q + 3 * n];
    const sumBDi = xi[q + n] + xi[q + 3 * n];
    const difBDr = xr[q + n] - xr[q + 3 * n];
    const difBDi = xi[q + n] - xi[q + 3 * n];
    yr[q] = sumACr + sumBDr;
    yi[q] = sumACi + sumBDi;
    yr[q + n] = difACr + difBDi;
    yi[q + n] = difACi - difBDr;
    yr[q + 2 * n] = sumACr - sumBDr;
    yi[q + 2 * n] = sumACi - sumBDi;
    yr[q + 3 * n] = difACr - difBDi;
    yi[q + 3 * n] = difACi + difBDr;
  }
}

/** The last pass of length 2. `x` and `y` may be the same memory. */
function lastRadix2Pass(n: number, xr: Float64Array, xi: Float64Array, yr: Float64Array, yi: Float64Array): void {
  for (let q = 0; q < n; q++) {
    const ar = xr[q];
    const ai = xi[q];
    const br = xr[q + n];
    const bi = xi[q + n];
    yr[q] = ar + br;
    yi[q] = ai + bi;
    yr[q + n] = ar - br;
    yi[q + n] = ai - bi;
  }
}

/** The definition of the transform, O(n^2): exact for any size. */
function directPowerSpectrum(window: Float64Array): PowerSpectrum {
  const size = window.length;
  const [first, last] = windowSupport(window);
  const cosine = Float64Array.from({ length: size }, (_, n) => Math.cos((2 * Math.PI * n) / size));
  const sine = Float64Array.from({ length: size }, (_, n) => Math.sin((2 * Math.PI * n) / size));
  return (signal, start, power) => {
    for (let k = 0; k <= size >> 1; k++) {
      let real = 0;
      let imag = 0;
      for (let n = first, phase = (k * first) % size; n < last; n++) {
        const value = signal[start + n] * window[n];
        real += value * cosine[phase];
        imag -= value * sine[phase];
        phase += k;
        if (phase >= size) phase -= size;
      }
      power[k] = real * real + imag * imag;
    }
  };
}
