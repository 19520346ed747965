import type { FeatureSpec } from "../config/spec.ts";

/** How frames lie over the samples of a recording. */
export interface FrameGeometry {
  readonly hopSamples: number;
  readonly fftSize: number;
  /** What stands around the recording: zeros (NeMo since 2.5) or its own reflection (torchaudio). */
  readonly padding: "zero" | "reflect";
  /** Samples of padding on each side. Frame `t` begins `padSamples` before sample `t * hopSamples`. */
  readonly padSamples: number;
  /** The analysis window stands over the samples `[windowStart, windowStart + windowSamples)` of a frame. */
  readonly windowStart: number;
  readonly preEmphasis: number | undefined;
  /**
   * The last samples that are silenced after pre-emphasis. NeMo's mask takes the unpadded length for an index into the
   * padded signal where `exact_pad` is on, and so loses as many samples as the padding is long.
   */
  readonly maskedSamples: number;
  /** Samples beyond `t * hopSamples` that must be known before frame `t` is final. */
  readonly lookaheadSamples: number;
}

/** The widths of the feature matrix of a recording. */
export interface FrameCounts {
  /** Columns of the matrix, with the trailing column that NeMo keeps and `padTo`. */
  readonly numFrames: number;
  /** NeMo's length: the encoder sees this many. */
  readonly validFrames: number;
}

/** The geometry of a front end at inference (NeMo `FilterbankFeatures`, `FilterbankFeaturesTA`, torchaudio `MFCC`). */
export function frameGeometry(spec: FeatureSpec): FrameGeometry {
  const { fftSize, hopSamples, windowSamples } = spec;
  const isMel = spec.kind === "mel";
  const isExact = isMel && spec.exactPad;
  const padSamples = isExact ? Math.floor((fftSize - hopSamples) / 2) : Math.floor(fftSize / 2);
  const windowStart = Math.floor((fftSize - windowSamples) / 2);
  // The transform reads samples in pairs, so the end of an odd window looks at one sample more.
  const windowEnd = 2 * Math.ceil((windowStart + windowSamples) / 2);
  const preEmphasis = spec.kind === "mfcc" ? undefined : spec.preEmphasis;
  const maskedSamples = isExact && preEmphasis !== undefined ? padSamples : 0;
  // A mel frame is valid only when a whole frame follows its beginning; the others count every column.
  const validAfter = fftSize - 2 * padSamples + (isMel ? hopSamples : 0);
  return {
    hopSamples,
    fftSize,
    padding: isMel ? "zero" : "reflect",
    padSamples,
    windowStart,
    preEmphasis,
    maskedSamples,
    lookaheadSamples: Math.max(windowEnd - padSamples + maskedSamples, validAfter),
  };
}

/** The columns that are computed from `numSamples`; columns beyond them hold the padding value. */
export function computedFrames(spec: FeatureSpec, geometry: FrameGeometry, numSamples: number): number {
  return spec.kind === "mel" ? frameCounts(spec, geometry, numSamples).validFrames : columns(geometry, numSamples);
}

/** The size of the feature matrix of a recording of `numSamples`. */
export function frameCounts(spec: FeatureSpec, geometry: FrameGeometry, numSamples: number): FrameCounts {
  const width = columns(geometry, numSamples);
  switch (spec.kind) {
    case "mel":
      return { numFrames: padded(width, spec.padTo), validFrames: numSamples === 0 ? 0 : Math.max(0, width - 1) };
    case "mel-torchaudio":
      // `pad_to` acts in training only (`_apply_pad_to`).
      return { numFrames: width, validFrames: numSamples === 0 ? 0 : width };
    case "mfcc":
      return { numFrames: width, validFrames: Math.ceil(numSamples / spec.hopSamples) };
  }
}

/** The columns of a recording's matrix before it is padded to a multiple. */
export function columns(geometry: FrameGeometry, numSamples: number): number {
  const { fftSize, hopSamples, padSamples } = geometry;
  return Math.max(0, Math.floor((numSamples + 2 * padSamples - fftSize) / hopSamples) + 1);
}

function padded(width: number, multiple: number): number {
  return multiple > 0 ? Math.ceil(width / multiple) * multiple : width;
}
