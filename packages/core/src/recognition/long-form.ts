import { stepSamples, stepSec, subsamplingFactor } from "../config/geometry.ts";
import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import { planWindows, type Window, type WindowSizes } from "../decoding/windows.ts";

/** How a recording is put through the encoder. */
export interface LongFormPlan {
  /**
   * `whole`: at once, NeMo's own numbers. `exact-windows`: overlapping windows whose kept steps hear everything that they
   * would hear in the whole recording, so the numbers are the same. `windows`: overlapping windows with the context NeMo's
   * buffered inference gives them; numbers differ a little from the whole recording.
   */
  readonly method: "whole" | "exact-windows" | "windows";
  readonly windows: readonly Window[];
}

/** Attention scores of one recording may take this much: they grow with the square of its length. */
const MAX_SCORE_BYTES = 512 * 2 ** 20;

/**
 * Of every published Conformer but the smallest; a graph does not tell. It also keeps recordings below the 5000 steps for
 * which NeMo's own exports have positions.
 */
const USUAL_HEADS = 8;

/**
 * Steps of one window, with what it overlaps others by, where attention is what takes the memory: at 2000 steps and four
 * heads its scores are 128 MB. A chunk is no shorter than 60 s, because what is overlapped is computed twice.
 */
const WINDOW_STEPS = 2000;
const LEAST_CHUNK_SEC = 60;

/** Convolutional encoders and short attention grow with the length only; beyond this they are cut all the same. */
const MAX_WHOLE_SEC = 600;

/** NeMo's buffered inference hears 10 s before a chunk; its chunks of 2 s are for live use, ours are for throughput. */
const LEFT_SEC = 10;
const CHUNK_SEC = 100;
const RIGHT_SEC = 10;

/** When a recording is cut, and into what. */
export interface LongFormLimits {
  /**
   * Longer recordings are cut, and always as soon as attention would take too much memory; unless told, 600 s, or as soon
   * as they are longer than a window where windows give the same numbers.
   */
  readonly maxWholeSec?: number;
  /** What each window adds, without the context that it overlaps others by; 60 to 100 s unless told. */
  readonly chunkSec?: number;
  /**
   * What each window hears before and behind what it adds; as much as it takes to be exact where that is bounded, else
   * 10 s, unless told.
   */
  readonly leftSec?: number;
  readonly rightSec?: number;
}

/** Windows of a recording, whatever its length, in steps of the encoder. */
export interface WindowSteps {
  /** As in `LongFormPlan`. */
  readonly method: "exact-windows" | "windows";
  readonly leftSteps: number;
  readonly chunkSteps: number;
  readonly rightSteps: number;
}

/**
 * Plans one recording of `numSamples` samples at the model's rate.
 * @throws RangeError for limits that are not above zero
 */
export function planLongForm(
  spec: ModelSpec,
  context: readonly number[],
  numSamples: number,
  limits: LongFormLimits = {},
): LongFormPlan {
  const { wholeSteps, sizes } = longFormSteps(spec, context, limits);
  const step = stepSamples(spec);
  if (Math.ceil(numSamples / step) <= wholeSteps) {
    return {
      method: "whole",
      windows: [{ startSample: 0, endSample: numSamples, firstStep: 0, endStep: undefined, startStep: 0 }],
    };
  }
  return { method: sizes.method, windows: planWindows(numSamples, windowSamples(sizes, step)) };
}

/**
 * From which length on recordings are cut, and into which windows: what `planLongForm` does, for a recording whose length
 * is not known yet.
 * @throws RangeError for limits that are not above zero
 */
export function longFormSteps(
  spec: ModelSpec,
  context: readonly number[],
  limits: LongFormLimits = {},
): { readonly wholeSteps: number; readonly sizes: WindowSteps } {
  const { maxWholeSec = MAX_WHOLE_SEC, chunkSec = CHUNK_SEC } = limits;
  checkSeconds("longForm", { maxWholeSec, chunkSec }, limits);
  const sizes = windowSteps(spec, context, { ...limits, chunkSec });
  const wholeSteps = maxWholeSteps(spec, maxWholeSec);
  const isTold = limits.chunkSec !== undefined;
  const fitted = isTold ? sizes : windowSteps(spec, context, { ...limits, chunkSec: fittingChunkSec(spec, sizes) });
  // The same numbers in less memory: nothing speaks for the whole.
  const isExact = fitted.method === "exact-windows" && limits.maxWholeSec === undefined;
  return {
    wholeSteps: isExact ? Math.min(wholeSteps, Math.max(WINDOW_STEPS, totalSteps(fitted))) : wholeSteps,
    sizes: fitted,
  };
}

const totalSteps = ({ leftSteps, chunkSteps, rightSteps }: WindowSteps): number => leftSteps + chunkSteps + rightSteps;

/** A chunk with which a window has `WINDOW_STEPS`, unless it were too short, or longer than usual. */
function fittingChunkSec(spec: ModelSpec, { leftSteps, rightSteps }: WindowSteps): number {
  if (spec.encoder.kind === "convasr") return CHUNK_SEC;
  const fitting = (WINDOW_STEPS - leftSteps - rightSteps) * stepSec(spec);
  return Math.min(CHUNK_SEC, Math.max(LEAST_CHUNK_SEC, fitting));
}

/** Checks the seconds of windows: `above` must be above 0, contexts may be 0. @throws RangeError for seconds that are none */
export function checkSeconds(
  where: string,
  above: Readonly<Record<string, number>>,
  { leftSec = 0, rightSec = 0 }: LongFormLimits,
): void {
  for (const [name, value] of Object.entries(above)) {
    if (value > 0 && value < Number.POSITIVE_INFINITY) continue;
    throw new RangeError(
      `${where}.${name}: expected a number of seconds above 0, got ${value}. Leave it out, or give one.`,
    );
  }
  for (const [name, value] of Object.entries({ leftSec, rightSec })) {
    if (value >= 0 && value < Number.POSITIVE_INFINITY) continue;
    throw new RangeError(
      `${where}.${name}: expected a number of seconds from 0 up, got ${value}. Leave it out, or give one.`,
    );
  }
}

/**
 * The windows of an attention context. They are exact where what reaches a step is bounded, and fits into `leftSec` and
 * `rightSec` where these are told; else they are as long as told. Either way they are whole chunks of the attention mask.
 */
export function windowSteps(
  spec: ModelSpec,
  context: readonly number[],
  { chunkSec = CHUNK_SEC, leftSec, rightSec }: Omit<LongFormLimits, "maxWholeSec"> = {},
): WindowSteps {
  const secOfStep = stepSec(spec);
  // A hair less, so that whole steps that were made of seconds stay what they were.
  const inSteps = (sec: number, unit: number) => Math.max(0, Math.ceil(sec / secOfStep / unit - 1e-9) * unit);
  const field = spec.encoder.kind === "conformer" ? receptiveField(spec, spec.encoder, context) : undefined;
  if (field) {
    const { unit } = field;
    const left = leftSec === undefined ? field.left : inSteps(leftSec, unit);
    const right = rightSec === undefined ? field.right : inSteps(rightSec, unit);
    if (field.left <= left && field.right <= right) {
      const chunkSteps = Math.max(unit, inSteps(chunkSec, unit));
      return { method: "exact-windows", leftSteps: field.left, chunkSteps, rightSteps: field.right };
    }
  }
  const unit = maskUnit(spec, context);
  return {
    method: "windows",
    leftSteps: inSteps(leftSec ?? LEFT_SEC, unit),
    chunkSteps: Math.max(unit, inSteps(chunkSec, unit)),
    rightSteps: inSteps(rightSec ?? RIGHT_SEC, 1),
  };
}

/** The sizes of windows in samples. */
export function windowSamples({ leftSteps, chunkSteps, rightSteps }: WindowSteps, stepSamples: number): WindowSizes {
  return {
    leftSamples: leftSteps * stepSamples,
    chunkSamples: chunkSteps * stepSamples,
    rightSamples: rightSteps * stepSamples,
    stepSamples,
  };
}

/** Steps of one chunk of the attention mask; 1 where it has none. Windows begin with a chunk, as the mask does. */
function maskUnit({ encoder }: ModelSpec, context: readonly number[]): number {
  if (encoder.kind !== "conformer" || encoder.attention.kind !== "rel_pos") return 1;
  const { style } = encoder.attention;
  if (style === "chunked_limited") return Math.max(0, context[1]) + 1;
  return style === "chunked_limited_with_rc" ? Math.max(1, context[1]) : 1;
}

/** How many steps one row may have before it is cut. */
export function maxWholeSteps(spec: ModelSpec, maxWholeSec = MAX_WHOLE_SEC): number {
  const byTime = Math.floor(maxWholeSec / stepSec(spec));
  const { encoder } = spec;
  if (encoder.kind === "convasr") return byTime;
  const numHeads = encoder.kind === "conformer" ? encoder.numHeads : USUAL_HEADS;
  // The position scores are [head, step, 2 · step] floats before they are shifted.
  const byScores = Math.floor(Math.sqrt(MAX_SCORE_BYTES / (8 * numHeads)));
  return Math.min(byTime, byScores);
}

/** A context that costs more than the chunk itself is not worth being exact. */
const MAX_EXACT_CONTEXT_SEC = 120;

/**
 * The steps before and after a chunk that reach its numbers through all layers, in whole chunks of the attention mask;
 * undefined where that is everything, or too much.
 */
function receptiveField(spec: ModelSpec, encoder: ConformerSpec, context: readonly number[]) {
  const { attention, convContext, convNorm, numLayers } = encoder;
  const [left, right] = context;
  const isOverTime = convNorm.kind === "instance_norm" || convNorm.kind === "group_norm";
  const seesAll = spec.features.normalize.kind === "per_feature" || spec.features.normalize.kind === "all_features";
  const isBounded =
    left >= 0 && right >= 0 && attention.style !== "chunked_limited_with_rc" && attention.globalTokens === 0;
  if (!isBounded || isOverTime || seesAll || encoder.reduction || attention.kind === "abs_pos") return undefined;
  const isChunked = attention.style === "chunked_limited" && attention.kind === "rel_pos";
  const unit = maskUnit(spec, context);
  const whole = (steps: number) => Math.ceil(steps / unit) * unit;
  // Kept steps are whole chunks, and a layer's attention ends with the chunk: it is the convolution that goes beyond, and
  // what it reaches has attended to the whole of its own chunk.
  const ofLayer = {
    left: whole(left) + whole(convContext.left),
    right: (isChunked ? 0 : right) + whole(convContext.right),
  };
  const edge = edgeSteps(spec, encoder);
  const reachLeft = whole(numLayers * ofLayer.left + edge);
  const reachRight = whole(numLayers * ofLayer.right + edge);
  if (Math.max(reachLeft, reachRight) * stepSec(spec) > MAX_EXACT_CONTEXT_SEC) return undefined;
  return { left: reachLeft, right: reachRight, unit };
}

/** Steps at a cut that the analysis windows and the subsampling convolutions (kernels of 3 frames) see differently. */
function edgeSteps({ features }: ModelSpec, encoder: ConformerSpec): number {
  const factor = subsamplingFactor(encoder);
  const analysisFrames = Math.ceil(features.fftSize / 2 / features.hopSamples) + 1;
  return Math.ceil((analysisFrames + 2 * (factor - 1)) / factor);
}
