import type { ModelSpec } from "../config/spec.ts";

/** How much may be computed at once. */
export interface BatchLimits {
  /** Rows of a batch. */
  readonly maxRows: number;
  /** Frames of a batch, padding included. */
  readonly maxFrames: number;
  /** Share of a batch that may be padding. */
  readonly maxPadding: number;
}

/** Enough rows that weights are read from memory once for many of them, few enough that a batch stays below a second. */
export const DEFAULT_BATCH_LIMITS: BatchLimits = { maxRows: 16, maxFrames: 16_000, maxPadding: 0.1 };

/**
 * Groups recordings of like length, so that little is padded; longest first. The numbers of a recording do not depend on
 * its group.
 * @returns indices into `numFrames`, each exactly once
 */
export function planBatches(numFrames: readonly number[], limits: BatchLimits): number[][] {
  const order = numFrames.map((_, i) => i).sort((a, b) => numFrames[b] - numFrames[a] || a - b);
  const batches: number[][] = [];
  let current: number[] = [];
  let used = 0;
  for (const i of order) {
    const width = current.length > 0 ? numFrames[current[0]] : numFrames[i];
    const padded = width * (current.length + 1);
    const isFull =
      current.length >= limits.maxRows ||
      padded > limits.maxFrames ||
      padded - used - numFrames[i] > padded * limits.maxPadding;
    if (current.length > 0 && isFull) {
      batches.push(current);
      current = [];
      used = 0;
    }
    current.push(i);
    used += numFrames[i];
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

/**
 * True when a recording's numbers do not change with the padding of its batch. Norms over time, stacking, pooling and
 * global tokens see the padding in NeMo itself; there the recording alone is the reference.
 */
export function isBatchInvariant(spec: ModelSpec): boolean {
  if (spec.heads.classifier?.kind === "pooled" || spec.features.kind === "mfcc") return false;
  const { encoder } = spec;
  // Graphs of other tools are given every recording alone.
  if (encoder.kind === "graph") return true;
  if (encoder.kind === "convasr") {
    return encoder.convMask && encoder.blocks.every((block) => block.normalization === "batch");
  }
  const seesTime = encoder.convNorm.kind === "instance_norm" || encoder.convNorm.kind === "group_norm";
  const stacks = encoder.subsampling.kind === "stacking" || encoder.subsampling.kind === "stacking_norm";
  const isMasked = encoder.subsampling.isMasked && encoder.attention.globalTokens === 0;
  return isMasked && !seesTime && !stacks && encoder.reduction === undefined;
}
