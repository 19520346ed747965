import type { ModelSpec } from "../config/spec.ts";

/**
 * What to say of a checkpoint that asks for a search: NeMo itself looks for its text by it (`decoding.strategy`), while
 * texts here are those of greedy decoding. Undefined where the checkpoint asks for that, as published ones do.
 */
export function searchWarning({ decoding, heads }: ModelSpec): string | undefined {
  const { strategy } = decoding;
  if (heads.classifier || strategy === "greedy" || strategy === "greedy_batch") return undefined;
  return `expected \`decoding.strategy\` greedy or greedy_batch, got ${strategy.slice(0, 40)}, by which NeMo searches. Decoding is greedy here, so that texts can differ from NeMo's.`;
}
