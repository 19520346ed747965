import { subsamplingFactor } from "./geometry.ts";
import type { ConformerSpec, ModelSpec } from "./spec.ts";

/**
 * How a cache-aware encoder goes over a stream, whatever the latency mode: all of it follows from what the convolutions
 * and the attention look back on.
 */
export interface StreamGeometry {
  /** Frames of one step. */
  readonly factor: number;
  /** Frames before a chunk's own that its first step hears: `frame [factor · t − lookback …)` for step `t`. */
  readonly lookbackFrames: number;
  /** Frames behind step `t`'s own place `factor · t` that it hears (convolutions that are not causal). */
  readonly lookaheadFrames: number;
  /** Most steps that a layer's attention looks back, over all contexts. */
  readonly maxLeft: number;
  /** Most steps of one call, whatever the context: one chunk of the longest context, or several of a shorter one. */
  readonly maxSteps: number;
  /** Most steps of a call that takes several chunks; 0 where no call does. */
  readonly maxRunSteps: number;
  /** Steps that a layer's convolution looks back. */
  readonly convLeft: number;
}

/** One latency mode of a stream. */
export interface StreamMode {
  /** `[left, right]`, as `att_context_size`. */
  readonly attContext: readonly [number, number];
  /** Steps of one chunk: attention looks ahead to its end. */
  readonly chunkSteps: number;
  /** Steps before a chunk that attention looks back on: whole chunks. */
  readonly leftSteps: number;
  /** Sound of one chunk, which is what a step waits for at most. */
  readonly chunkSec: number;
}

/** A Conformer that remembers what its layers look back on, or the reason why it cannot. */
export function streamObstacle(spec: ModelSpec): string | undefined {
  const { encoder, features } = spec;
  if (encoder.kind !== "conformer") return `a ${encoder.kind} encoder, whose convolutions look ahead`;
  const { attention, subsampling, convContext, convNorm, reduction } = encoder;
  if (attention.kind !== "rel_pos") return `attention ${attention.kind}`;
  if (attention.globalTokens > 0) return "global attention tokens";
  if (convContext.right > 0) return `convolutions that look ${convContext.right} steps ahead`;
  if (convNorm.kind === "instance_norm" || convNorm.kind === "group_norm") return `${convNorm.kind} over time`;
  if (reduction) return "a reduction of steps inside the encoder";
  if (!subsampling.isMasked) return "subsampling without masks";
  const { kind } = features.normalize;
  if (kind === "per_feature" || kind === "all_features") return `features normalised ${kind} over the recording`;
  if (features.kind === "mfcc" && !features.mfccLog) return "MFCC of decibels";
  if (listModes(encoder).length === 0) {
    const lists = attention.contexts.map(({ left, right }) => `[${left},${right}]`).join(" ");
    return `attention ${attention.style} ${lists}, which no chunk of a stream contains`;
  }
  return undefined;
}

/** A stream that lags behind catches up by several chunks a call, at least so many steps. */
const MIN_MAX_STEPS = 16;

/**
 * Keys whose values the runtime adds up one after another, by the width of a head. What is more it adds up in parts of
 * so many: a call of several chunks would have other keys in each part, and so other last bits.
 */
const keysAddedUp = ({ modelSize, numHeads }: ConformerSpec): number => (modelSize / numHeads > 64 ? 128 : 256);

/** The geometry of a model that `streamObstacle` finds nothing against. */
export function streamGeometry(encoder: ConformerSpec): StreamGeometry {
  const { kind, isCausal } = encoder.subsampling;
  const factor = subsamplingFactor(encoder);
  const isConv = kind === "striding" || kind === "dw_striding";
  const modes = listModes(encoder);
  const maxLeft = Math.max(...modes.map(([left]) => left));
  const maxSteps = Math.max(MIN_MAX_STEPS, ...modes.map(([, right]) => right + 1));
  return {
    factor,
    lookbackFrames: isConv ? (isCausal ? 2 : 1) * (factor - 1) : 0,
    lookaheadFrames: isConv && isCausal ? 0 : factor - 1,
    maxLeft,
    maxSteps,
    maxRunSteps: maxLeft + maxSteps <= keysAddedUp(encoder) ? maxSteps : 0,
    convLeft: encoder.convContext.left,
  };
}

/** Every latency mode of a model, the default first; empty where the encoder cannot be streamed. */
export function streamModes(spec: ModelSpec): StreamMode[] {
  if (streamObstacle(spec) !== undefined) return [];
  return listModes(spec.encoder as ConformerSpec).map((context) => streamMode(spec, context));
}

/** True for a context that can be streamed: its right part one that the model lists, its left part any up to the largest. */
export function hasStreamMode(spec: ModelSpec, context: readonly number[]): boolean {
  const modes = streamModes(spec);
  const [left, right] = context;
  if (context.length !== 2 || !modes.some(({ attContext }) => attContext[1] === right)) return false;
  return Number.isInteger(left) && left >= 0 && left <= Math.max(...modes.map(({ attContext }) => attContext[0]));
}

/** A mode of a context, which need not be listed: any left context up to the largest that is. */
export function streamMode(spec: ModelSpec, [left, right]: readonly [number, number]): StreamMode {
  const chunkSteps = right + 1;
  const stepSec = (subsamplingFactor(spec.encoder) * spec.features.hopSamples) / spec.features.sampleRateHz;
  return {
    attContext: [left, right],
    chunkSteps,
    leftSteps: Math.floor(left / chunkSteps) * chunkSteps,
    chunkSec: chunkSteps * stepSec,
  };
}

/** Contexts that a chunk contains: limited to the left, and ahead only to the end of the chunk. */
function listModes({ attention }: ConformerSpec): [number, number][] {
  const { style, contexts } = attention;
  if (style === "chunked_limited_with_rc") return [];
  return contexts
    .filter(({ left, right }) => left >= 0 && (style === "chunked_limited" ? right >= 0 : right === 0))
    .map(({ left, right }) => [left, right]);
}
