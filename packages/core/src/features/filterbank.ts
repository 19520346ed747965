/** What a mel filterbank is made of. */
export interface FilterbankOptions {
  readonly sampleRateHz: number;
  readonly fftSize: number;
  readonly numMels: number;
  readonly lowHz: number;
  readonly highHz: number;
  /** `slaney`: linear below 1 kHz, logarithmic above (librosa's default, NeMo's). `htk`: torchaudio's default. */
  readonly scale: "slaney" | "htk";
  /** `slaney` scales every filter to the same area. */
  readonly norm: "slaney" | "none";
}

/**
 * A triangular mel filterbank, `[mel, bin]`, as `librosa.filters.mel` (for `slaney`) and torchaudio's
 * `melscale_fbanks` (for `htk`) build it. For checkpoints that carry none.
 */
export function createFilterbank(options: FilterbankOptions): Float32Array {
  const { sampleRateHz, fftSize, numMels, lowHz, highHz, scale, norm } = options;
  const { toMel, toHz } = scale === "slaney" ? SLANEY : HTK;
  const numBins = Math.floor(fftSize / 2) + 1;
  const low = toMel(lowHz);
  const high = toMel(highHz);
  const edges = Float64Array.from({ length: numMels + 2 }, (_, i) => toHz(low + ((high - low) * i) / (numMels + 1)));

  const filterbank = new Float32Array(numMels * numBins);
  for (let m = 0; m < numMels; m++) {
    const rise = edges[m + 1] - edges[m];
    const fall = edges[m + 2] - edges[m + 1];
    const area = norm === "slaney" ? 2 / (edges[m + 2] - edges[m]) : 1;
    for (let k = 0; k < numBins; k++) {
      const hz = (k * sampleRateHz) / fftSize;
      const weight = Math.min((hz - edges[m]) / rise, (edges[m + 2] - hz) / fall);
      // librosa rounds the triangle to float32 before it scales it.
      filterbank[m * numBins + k] = Math.fround(Math.max(0, weight)) * area;
    }
  }
  return filterbank;
}

interface MelScale {
  toMel(hz: number): number;
  toHz(mel: number): number;
}

const SLANEY_LINEAR_HZ_PER_MEL = 200 / 3;
const SLANEY_BREAK_HZ = 1000;
const SLANEY_BREAK_MEL = SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ_PER_MEL;
const SLANEY_LOG_STEP = Math.log(6.4) / 27;

const SLANEY: MelScale = {
  toMel: (hz) =>
    hz < SLANEY_BREAK_HZ
      ? hz / SLANEY_LINEAR_HZ_PER_MEL
      : SLANEY_BREAK_MEL + Math.log(hz / SLANEY_BREAK_HZ) / SLANEY_LOG_STEP,
  toHz: (mel) =>
    mel < SLANEY_BREAK_MEL
      ? mel * SLANEY_LINEAR_HZ_PER_MEL
      : SLANEY_BREAK_HZ * Math.exp(SLANEY_LOG_STEP * (mel - SLANEY_BREAK_MEL)),
};

const HTK: MelScale = {
  toMel: (hz) => 2595 * Math.log10(1 + hz / 700),
  toHz: (mel) => 700 * (10 ** (mel / 2595) - 1),
};

/** A filterbank without its zeros: row `m` covers the bins `[starts[m], starts[m] + offsets[m + 1] - offsets[m])`. */
export interface FilterBands {
  readonly starts: Int32Array;
  readonly offsets: Int32Array;
  readonly weights: Float64Array;
}

/** The bands of a filterbank `[mel, bin]`: every row from its first to its last value that is not zero. */
export function filterBands(filterbank: Float32Array, numMels: number): FilterBands {
  const numBins = filterbank.length / numMels;
  const starts = new Int32Array(numMels);
  const offsets = new Int32Array(numMels + 1);
  const weights: number[] = [];
  for (let m = 0; m < numMels; m++) {
    const row = filterbank.subarray(m * numBins, (m + 1) * numBins);
    const start = row.findIndex((w) => w !== 0);
    if (start >= 0) {
      starts[m] = start;
      const end = row.findLastIndex((w) => w !== 0) + 1;
      for (let k = start; k < end; k++) weights.push(row[k]);
    }
    offsets[m + 1] = weights.length;
  }
  return { starts, offsets, weights: Float64Array.from(weights) };
}

/** Bins that torch's matrix product adds up before it adds their sum to the others (MKL's `sgemm`). */
const BLOCK_BINS = 128;

/**
 * Applies a filterbank to one power spectrum: `mels[m] = sum over k of weights[m, k] * power[k]`, with the float32 roundings
 * of NeMo's matrix product on x86 (from 16 frames on; torch 2.13, found by trying the orders of addition). They show where a
 * steady sound is normalised over time: what little changes in it is rounding.
 */
export function applyBands(bands: FilterBands, power: Float64Array, mels: Float64Array): void {
  const { starts, offsets, weights } = bands;
  for (let m = 0, w = 0; m < starts.length; m++) {
    const end = offsets[m + 1];
    let k = starts[m];
    let sum = 0;
    while (w < end) {
      const blockEnd = Math.min(end, w + BLOCK_BINS - (k % BLOCK_BINS));
      let ofBlock = 0;
      for (; w < blockEnd; w++, k++) ofBlock = Math.fround(ofBlock + weights[w] * power[k]);
      sum = Math.fround(sum + ofBlock);
    }
    mels[m] = sum;
  }
}
