import type { FeatureSpec } from "../config/spec.ts";
import { createCosineTransform, limitDynamicRange } from "./cepstrum.ts";
import { createFramer, type FrameSink } from "./framer.ts";
import {
  columns,
  computedFrames,
  type FrameCounts,
  type FrameGeometry,
  frameCounts,
  frameGeometry,
} from "./geometry.ts";
import { createMelKernel, type FeatureTensors, type MelKernel } from "./kernel.ts";
import { checkFeatureSpec } from "./limits.ts";
import { frameNormalization, normalizeOverTime } from "./normalize.ts";

/** The features of one recording. */
export interface Features extends FrameCounts {
  /** `[mel, frame]`, row-major; columns from `validFrames` hold NeMo's padding value. */
  readonly data: Float32Array;
  /** Rows: mel bins (times `frame_splicing`) or cepstral coefficients. */
  readonly numMels: number;
}

/** Computes one column of the feature matrix from a frame; the result is reused by the next call. */
export type ColumnKernel = (signal: Float64Array, start: number) => Float64Array;

/** A front end, ready to turn recordings into features. Calls are synchronous and share scratch memory. */
export interface FeatureExtractor {
  readonly spec: FeatureSpec;
  readonly geometry: FrameGeometry;
  /** Rows of the feature matrix. */
  readonly numMels: number;
  /** One column at a time, before any normalisation over time: what streams compute as well. */
  readonly column: ColumnKernel;
  /** The size of the matrix of a recording, without computing it. */
  frameCounts(numSamples: number): FrameCounts;
  /** Features of one waveform in [-1, 1] at the model's sample rate. */
  extract(waveform: Float32Array): Features;
  /**
   * Writes the features of one waveform into a caller's batch: row `m` to `out[offset + m * width, …)`. Columns from the
   * recording's last valid one to `width` get the padding value, so a batch needs no clearing.
   * @throws RangeError when `width` is smaller than the recording's `numFrames`, or `out` is too short.
   */
  extractInto(waveform: Float32Array, out: Float32Array, offset: number, width: number): FrameCounts;
}

/**
 * Creates a front end that gives NeMo's numbers with dither off: `AudioToMelSpectrogramPreprocessor`
 * (`FilterbankFeatures`, NeMo 3.0.0), its torchaudio variant (`FilterbankFeaturesTA`, NeMo 1.x and 2.x) and
 * `AudioToMFCCPreprocessor` (torchaudio `MFCC`).
 *
 * @param tensors the checkpoint's own window and filterbank; what is absent is rebuilt.
 * @throws SpeechError `MODEL_INVALID` or `LIMIT_EXCEEDED` when the description contradicts itself or the tensors.
 */
export function createFeatureExtractor(spec: FeatureSpec, tensors: FeatureTensors = {}): FeatureExtractor {
  checkFeatureSpec(spec, tensors);
  const geometry = frameGeometry(spec);
  const mels = createMelKernel(spec, geometry, tensors);
  const isDecibel = spec.kind === "mfcc" && !spec.mfccLog;
  const column = spec.kind === "mfcc" ? cepstralColumn(spec, mels) : melColumn(spec, mels);
  const numMels = spec.kind === "mfcc" ? spec.numMfcc : spec.numMels * spec.frameSplicing;
  const framer = createFramer(geometry);

  function extractInto(waveform: Float32Array, out: Float32Array, offset: number, width: number): FrameCounts {
    const counts = frameCounts(spec, geometry, waveform.length);
    checkOutput(counts, numMels, out, offset, width);
    const total = computedFrames(spec, geometry, waveform.length);
    const cut: Cut = (sink) => {
      framer.reset();
      framer.feed(waveform, 0, waveform.length, sink);
      framer.finish(total, sink);
    };
    const target = { out, offset, width };
    if (isDecibel) writeDecibelColumns(spec, mels, cut, total, target);
    else writeColumns(column, cut, target);
    const { validFrames } = counts;
    const own = columns(geometry, waveform.length);
    normalizeOverTime(spec, { data: out, offset, stride: width, numRows: numMels, length: validFrames, width: own });
    // torchaudio's MFCC keeps what it computed beyond the length.
    for (let m = 0; m < numMels; m++) out.fill(spec.padValue, offset + m * width + total, offset + (m + 1) * width);
    return counts;
  }

  return {
    spec,
    geometry,
    numMels,
    column,
    frameCounts: (numSamples) => frameCounts(spec, geometry, numSamples),
    extractInto,
    extract(waveform) {
      const { numFrames } = frameCounts(spec, geometry, waveform.length);
      const data = new Float32Array(numMels * numFrames);
      return { data, numMels, ...extractInto(waveform, data, 0, numFrames) };
    },
  };
}

function melColumn(spec: FeatureSpec, kernel: MelKernel): ColumnKernel {
  const { numMels, frameSplicing } = spec;
  const rows = new Float64Array(numMels * frameSplicing);
  const mels = rows.subarray(0, numMels);
  const normalize = frameNormalization(spec);
  return (signal, start) => {
    kernel(signal, start, mels);
    // NeMo's `splice_frames` repeats the same frame: a slip of its own that checkpoints were trained with.
    for (let copy = 1; copy < frameSplicing; copy++) rows.copyWithin(copy * numMels, 0, numMels);
    normalize?.(rows);
    return rows;
  };
}

function cepstralColumn(spec: FeatureSpec, kernel: MelKernel): ColumnKernel {
  const mels = new Float64Array(spec.numMels);
  const coefficients = new Float64Array(spec.numMfcc);
  const transform = createCosineTransform(spec.numMfcc, spec.numMels, spec.mfccNorm);
  return (signal, start) => {
    kernel(signal, start, mels);
    transform(mels, coefficients);
    return coefficients;
  };
}

/** Cuts a waveform into all frames that are computed. */
type Cut = (sink: FrameSink) => void;

/** Where columns go: row `m` of column `t` to `out[offset + m * width + t]`. */
interface Target {
  readonly out: Float32Array;
  readonly offset: number;
  readonly width: number;
}

function writeColumns(column: ColumnKernel, cut: Cut, { out, offset, width }: Target): void {
  let at = offset;
  cut((signal, start) => {
    const values = column(signal, start);
    for (let m = 0, i = at; m < values.length; m++, i += width) out[i] = values[m];
    at++;
  });
}

/** MFCC of decibels: their floor depends on the loudest value of the recording, so the mel values come first. */
function writeDecibelColumns(spec: FeatureSpec, kernel: MelKernel, cut: Cut, total: number, target: Target): void {
  const { numMels, numMfcc, mfccNorm } = spec;
  const decibels = new Float64Array(total * numMels);
  let frame = 0;
  cut((signal, start) => {
    kernel(signal, start, decibels.subarray(frame * numMels, (frame + 1) * numMels));
    frame++;
  });
  limitDynamicRange(decibels);
  const { out, offset, width } = target;
  const coefficients = new Float64Array(numMfcc);
  const transform = createCosineTransform(numMfcc, numMels, mfccNorm);
  for (let t = 0; t < total; t++) {
    transform(decibels.subarray(t * numMels, (t + 1) * numMels), coefficients);
    for (let c = 0; c < numMfcc; c++) out[offset + c * width + t] = coefficients[c];
  }
}

function checkOutput(counts: FrameCounts, numMels: number, out: Float32Array, offset: number, width: number): void {
  if (!(width >= counts.numFrames)) {
    throw new RangeError(`extractInto: expected a width of at least ${counts.numFrames} frames, got ${width}.`);
  }
  if (!(offset >= 0 && offset + numMels * width <= out.length)) {
    throw new RangeError(
      `extractInto: expected room for [${numMels}, ${width}] at ${offset}, got ${out.length} elements in all.`,
    );
  }
}
