// Two low-pass kernels: SciPy's polyphase one, and that of libsoxr's "HQ" quality, which librosa and so NeMo's file loading
// resample with. The second was recovered from the impulse
// responses of libsoxr 0.1.3 (its filter design is a Kaiser-windowed sinc): equal to 3e-7 for the rates of speech.

/** A symmetric kernel over time in samples of the lower of the two rates. Its integral is one. */
export interface ResampleKernel {
  /** The kernel is zero from here on. */
  readonly halfWidth: number;
  value(t: number): number;
}

/** -6 dB point as a fraction of the lower rate's Nyquist frequency: pass band to 0.914, stop band from 1. */
const CUTOFF = 0.95687183;

/**
 * soxr's interpolating stage, which rates without a small common factor go through, bends the pass band by less than
 * 0.01 dB: weights of cosines over frequency, that is of copies of the kernel half a sample apart.
 */
const BEND_DOWN = [0.983215221, 0.028148021, -0.016499361, 0.006654734, -0.001807437, 0.00031963, -0.000030607];
const BEND_UP = [0.913481729, 0.150935438, -0.099418351, 0.048221411, -0.016343653, 0.003472282, -0.000348805];
const BEND_STEP = 0.5;

/** Grid on which the kernel is computed; between its points six of them are interpolated, to 1e-9. */
const POINTS_PER_SAMPLE = 64;

/** Reach of the polyphase filter in samples of the lower rate, and the shape of its window. */
const POLYPHASE_HALF_WIDTH = 10;
const POLYPHASE_BETA = 5;

/**
 * The kernel of `scipy.signal.resample_poly` and of librosa's `polyphase` between two rates `up / down` in lowest terms: a
 * sinc that is cut off at the lower Nyquist frequency, in a Kaiser window of 20 samples of the lower rate, scaled so that
 * its taps sum to one (`scipy.signal.firwin`).
 */
export function createPolyphaseKernel(up: number, down: number): ResampleKernel {
  const gridRate = Math.max(up, down);
  const shape = (t: number) => {
    const x = Math.PI * t;
    const inside = Math.max(0, 1 - (t / POLYPHASE_HALF_WIDTH) ** 2);
    return ((x === 0 ? 1 : Math.sin(x) / x) * besselI0(POLYPHASE_BETA * Math.sqrt(inside))) / besselI0(POLYPHASE_BETA);
  };
  let sum = shape(0);
  for (let n = 1; n <= POLYPHASE_HALF_WIDTH * gridRate; n++) sum += 2 * shape(n / gridRate);
  const scale = gridRate / sum;
  return {
    halfWidth: POLYPHASE_HALF_WIDTH,
    value: (t) => (Math.abs(t) <= POLYPHASE_HALF_WIDTH ? scale * shape(t) : 0),
  };
}

/** Creates the kernel that soxr uses between two rates, given in lowest terms as `up / down`. */
export function createSoxrKernel(up: number, down: number): ResampleKernel {
  const { stages, oversampling, bend } = soxrStages(up, down);
  // Every further stage adds its share of noise, so soxr asks each for more attenuation.
  const beta = 13.04 + 0.6715 * Math.log2(stages);
  const mainWidth = kaiserHalfWidth(beta, oversampling);
  const halfWidth = mainWidth + (bend.length - 1) * BEND_STEP;
  const size = Math.ceil(halfWidth * POINTS_PER_SAMPLE) + 8;
  const main = Float64Array.from({ length: size }, (_, i) => kaiserSinc(i / POINTS_PER_SAMPLE, beta, mainWidth));
  const bent = bentKernel(main, bend);
  return {
    halfWidth,
    value: (t) => (Math.abs(t) < halfWidth ? interpolated(bent, Math.abs(t) * POINTS_PER_SAMPLE) : 0),
  };
}

interface SoxrStages {
  readonly stages: number;
  /** Rate at which the main filter runs, in samples of the lower rate. */
  readonly oversampling: number;
  readonly bend: readonly number[];
}

/** How soxr splits a conversion into stages, as far as the kernel depends on it. */
function soxrStages(up: number, down: number): SoxrStages {
  const ratio = Math.max(up, down) / Math.min(up, down);
  const isSimple = [up, down].every((n) => [1, 2, 3, 4, 6, 8, 12].includes(n)) && Math.min(up, down) <= 4;
  if (isSimple) {
    let halvings = 0;
    while (ratio / 2 ** halvings > 3) halvings++;
    const oversampling = Number.isInteger(ratio) ? ratio / 2 ** halvings : Math.max(up, down);
    return { stages: 1 + halvings, oversampling, bend: [1] };
  }
  if (up > down) return { stages: 2, oversampling: 2, bend: BEND_UP };
  let halvings = 0;
  while (ratio / 2 ** halvings > 4) halvings++;
  const reduced = ratio / 2 ** halvings;
  const oversampling = reduced < 2 ? reduced * 2 : reduced;
  // The bend was measured at 44.1 kHz and its multiples; elsewhere it is of another form and as small.
  const is44100 = oversampling > 2.6 && oversampling < 2.9;
  return { stages: 2 * (1 + halvings), oversampling, bend: is44100 ? BEND_DOWN : [1] };
}

/** soxr's length of a Kaiser-windowed filter (`lsx_kaiser_params`, `lsx_design_lpf`), as half its width. */
function kaiserHalfWidth(beta: number, oversampling: number): number {
  const attenuation = ((0.0007528358 - 1.577737e-5 * beta) * beta + 0.6248022) * beta + 0.06186902;
  const needed = Math.ceil((attenuation * oversampling) / (1 - CUTOFF) + 1);
  const multiple = oversampling === 4 ? 8 : 4;
  const taps = Math.floor((needed + multiple - 2) / multiple) * multiple + 1;
  return taps / 2 / oversampling;
}

function kaiserSinc(t: number, beta: number, halfWidth: number): number {
  if (t >= halfWidth) return 0;
  const x = Math.PI * CUTOFF * t;
  const sinc = x === 0 ? 1 : Math.sin(x) / x;
  return (CUTOFF * sinc * besselI0(beta * Math.sqrt(1 - (t / halfWidth) ** 2))) / besselI0(beta);
}

/** The modified Bessel function of the first kind and order zero, by its power series. */
export function besselI0(x: number): number {
  const quarter = (x * x) / 4;
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-17; k++) {
    term *= quarter / (k * k);
    sum += term;
  }
  return sum;
}

function bentKernel(main: Float64Array, bend: readonly number[]): Float64Array {
  const at = (i: number) => main[Math.abs(i)] ?? 0;
  return main.map((_, i) => {
    let sum = bend[0] * at(i);
    for (let j = 1; j < bend.length; j++) {
      const shift = j * BEND_STEP * POINTS_PER_SAMPLE;
      sum += (bend[j] / 2) * (at(i - shift) + at(i + shift));
    }
    return sum;
  });
}

/** Lagrange interpolation of degree five on a symmetric table. */
function interpolated(table: Float64Array, position: number): number {
  const index = Math.floor(position);
  const x = position - index;
  const at = (i: number) => table[Math.abs(i)] ?? 0;
  const [a, b, c, d, e] = [x + 2, x + 1, x - 1, x - 2, x - 3];
  return (
    (-at(index - 2) * b * x * c * d * e) / 120 +
    (at(index - 1) * a * x * c * d * e) / 24 -
    (at(index) * a * b * c * d * e) / 12 +
    (at(index + 1) * a * b * x * d * e) / 12 -
    (at(index + 2) * a * b * x * c * e) / 24 +
    (at(index + 3) * a * b * x * c * d) / 120
  );
}
