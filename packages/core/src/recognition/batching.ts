import type { ModelSpec } from "../config/spec.ts";

/** How much may be computed at once. */
export interface BatchLimits {
  /** Rows of a batch. */
  readonly maxRows: number;
  /** Encoder steps of a batch, padding included. */
  readonly maxSteps: number;
  /** Share of a batch that may be padding. */
  readonly maxPadding: number;
}

/**
 * Short recordings share the reading of weights (four of 4 s together take 0.8 × as long each as alone in the 114 M
 * FastConformer); from some hundred steps on there is nothing to gain, padding costs what it is, and a batch outgrows the
 * processor's caches (twelve recordings of 12 s together take 1.6 × as long each as alone in the small Conformer).
 */
export const DEFAULT_BATCH_LIMITS: BatchLimits = { maxRows: 16, maxSteps: 400, maxPadding: 0.05 };

/**
 * Groups recordings of like length, so that little is padded; longest first. The numbers of a recording do not depend on
 * its group.
 * @param numSteps lengths of the recordings
 * @returns indices into `numSteps`, each exactly once
 */
export function planBatches(numSteps: readonly number[], limits: BatchLimits): number[][] {
  const order = numSteps.map((_, i) => i).sort((a, b) => numSteps[b] - numSteps[a] || a - b);
  const batches: number[][] = [];
  let current: number[] = [];
  let used = 0;
  for (const i of order) {
    const width = current.length > 0 ? numSteps[current[0]] : numSteps[i];
    const padded = width * (current.length + 1);
    const isFull =
      current.length >= limits.maxRows ||
      padded > limits.maxSteps ||
      padded - used - numSteps[i] > padded * limits.maxPadding;
    if (current.length > 0 && isFull) {
      batches.push(current);
      current = [];
      used = 0;
    }
    current.push(i);
    used += numSteps[i];
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
