import type { EncoderSpec, ModelSpec } from "./spec.ts";

/** Frames that become one encoder step. */
export function subsamplingFactor(encoder: EncoderSpec): number {
  if (encoder.kind !== "conformer") return encoder.subsamplingFactor;
  const own = encoder.subsampling.kind === "linear" ? 1 : encoder.subsampling.factor;
  return own * (encoder.reduction?.factor ?? 1);
}

/**
 * What NeMo multiplies steps by in its timestamps (`encoder.subsampling_factor`): it forgets the reduction inside a
 * Conformer and the repeats of a convolution block that each have the stride.
 */
export function nemoSubsamplingFactor(encoder: EncoderSpec): number {
  if (encoder.kind === "conformer") return subsamplingFactor({ ...encoder, reduction: undefined });
  if (encoder.kind === "convasr") return encoder.blocks.reduce((product, { stride }) => product * stride, 1);
  return encoder.subsamplingFactor;
}

/** Samples that one encoder step stands for. */
export function stepSamples(spec: ModelSpec): number {
  return subsamplingFactor(spec.encoder) * spec.features.hopSamples;
}

/** Seconds that one encoder step stands for. */
export function stepSec(spec: ModelSpec): number {
  return stepSamples(spec) / spec.features.sampleRateHz;
}
