import type { ConvAsrSpec, ModelSpec } from "./spec.ts";

/** Frames on either side of a step's own that reach its numbers. */
export interface FrameReach {
  readonly leftFrames: number;
  readonly rightFrames: number;
}

/** What keeps the steps of a convolutional encoder from depending on a stretch of sound only; undefined where nothing does. */
export function reachObstacle({ encoder, features }: ModelSpec): string | undefined {
  if (encoder.kind !== "convasr") return `a ${encoder.kind} encoder`;
  const { kind } = features.normalize;
  if (kind === "per_feature" || kind === "all_features") return `features normalised ${kind} over the recording`;
  if (features.kind === "mfcc" && !features.mfccLog) return "MFCC of decibels";
  const block = encoder.blocks.find(({ normalization, squeezeExcite }) => normalization !== "batch" || squeezeExcite);
  if (block) return block.squeezeExcite ? "squeeze-and-excite over time" : `${block.normalization} norm over time`;
  return undefined;
}

/** How far the convolutions of all blocks reach together (kernels with their dilation and the strides before them). */
export function convReach({ blocks }: ConvAsrSpec): FrameReach {
  let leftFrames = 0;
  let rightFrames = 0;
  let framesPerStep = 1;
  for (const { kernel, stride, strideLast, dilation, repeat, futureContext } of blocks) {
    const span = (kernel - 1) * dilation;
    const ahead = futureContext < 0 || kernel <= futureContext ? Math.ceil(span / 2) : futureContext * dilation;
    for (let i = 0; i < repeat; i++) {
      // An asymmetric padding with dilation is longer than its kernel: see `padding` of ConvASR blocks.
      leftFrames += (Math.max(span - ahead, Math.ceil(span / 2)) + dilation - 1) * framesPerStep;
      rightFrames += ahead * framesPerStep;
      if (!strideLast || i === repeat - 1) framesPerStep *= stride;
    }
  }
  return { leftFrames, rightFrames };
}
