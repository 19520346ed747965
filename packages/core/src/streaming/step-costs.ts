import { cacheLayout } from "../architectures/conformer/streaming.ts";
import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import { type StreamMode, streamGeometry, streamModes } from "../config/streaming.ts";
import { type BatchRules, DEFAULT_BATCH_RULES } from "./batch.ts";
import type { OpenStreamSet } from "./open-engine.ts";

/** What a batch of one latency mode costs: `batchSec`, and `rowSec` for each stream in it. */
export interface StepCost {
  readonly attContext: readonly [number, number];
  /** Sound of a chunk, which is how often a stream needs a row. */
  readonly chunkSec: number;
  readonly batchSec: number;
  readonly rowSec: number;
  /** Rows of this mode that fit in one batch. */
  readonly maxRows: number;
}

/** Rows of the larger of the two batches that are measured. */
const MANY_ROWS = 8;
/** Batches of each size; the first one warms up, the median of the others counts. */
const NUM_BATCHES = 4;

/** Bytes of the caches of one stream in one latency mode. */
export function streamCacheBytes({ encoder }: ModelSpec): number {
  const { modelSize } = encoder as ConformerSpec;
  return cacheLayout(encoder as ConformerSpec, streamGeometry(encoder as ConformerSpec)).numRows * modelSize * 4;
}

/**
 * Measures batches of one stream and of several in every latency mode: about 0.1 s for a small model, 2 s for a large
 * one. The set must have no streams, and places for eight.
 */
export async function measureStepCosts(
  opened: OpenStreamSet,
  rules: BatchRules = DEFAULT_BATCH_RULES,
): Promise<StepCost[]> {
  const costs: StepCost[] = [];
  for (const mode of streamModes(opened.parts.spec)) {
    const maxRows = Math.max(1, Math.min(rules.maxRows, Math.floor(rules.maxSteps / mode.chunkSteps)));
    const many = Math.min(MANY_ROWS, maxRows);
    const one = await timeBatch(opened, mode, 1);
    const rowSec = many === 1 ? one : Math.max(0, (await timeBatch(opened, mode, many)) - one) / (many - 1);
    const { attContext, chunkSec } = mode;
    costs.push({ attContext, chunkSec, batchSec: Math.max(0, one - rowSec), rowSec, maxRows });
  }
  return costs;
}

/** Seconds of a batch of `numRows` streams. */
async function timeBatch({ set, parts }: OpenStreamSet, mode: StreamMode, numRows: number): Promise<number> {
  const ids = Array.from({ length: numRows }, (_, i) => -1 - i);
  const sound = noise(parts.spec.sampleRateHz * mode.chunkSec);
  const times: number[] = [];
  for (const id of ids) set.open(id, { attContext: mode.attContext }, () => {});
  try {
    while (times.length < NUM_BATCHES) {
      for (const id of ids) set.feed(id, sound);
      for (let batch = await set.runBatch(); batch; batch = await set.runBatch()) {
        if (batch.numRows === numRows) times.push(batch.encodeSec + batch.decodeSec);
      }
    }
  } finally {
    for (const id of ids) set.close(id);
  }
  const [, ...warm] = times;
  return warm.sort((a, b) => a - b)[warm.length >> 1];
}

/** Sound that is the same every time (a linear congruential generator's). */
function noise(numSamples: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: Math.round(numSamples) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.2;
  });
}
