import { cacheLayout } from "../architectures/conformer/streaming-inputs.ts";
import { stepSec } from "../config/geometry.ts";
import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import { streamGeometry, streamModes } from "../config/streaming.ts";
import { type BatchLimits, DEFAULT_BATCH_LIMITS, isBatchInvariant } from "../recognition/batching.ts";
import { type BatchReport, type BatchRules, busySec, DEFAULT_BATCH_RULES } from "./batch.ts";
import { latencyMode } from "./buffered-modes.ts";
import type { OpenStreamSet } from "./open-engine.ts";
import type { OpenBufferedSet } from "./open-speech-engine.ts";
import type { StreamSet } from "./stream-set.ts";

/** What a batch of one latency mode costs: `batchSec`, and `rowSec` for each stream in it. */
export interface StepCost {
  readonly attContext: readonly number[];
  /** Sound of a chunk, which is how often a stream needs a row. */
  readonly chunkSec: number;
  readonly batchSec: number;
  readonly rowSec: number;
  /** Rows of this mode that fit in one batch. */
  readonly maxRows: number;
}

/** Rows of the larger of the two batches that are measured. */
const MANY_ROWS = 8;
/** Chunks that each stream is fed, behind what warms up; the median counts. */
const NUM_TURNS = 3;

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
  { set, parts: { spec } }: OpenStreamSet,
  rules: BatchRules = DEFAULT_BATCH_RULES,
): Promise<StepCost[]> {
  const costs: StepCost[] = [];
  for (const { attContext, chunkSec, chunkSteps } of streamModes(spec)) {
    const maxRows = Math.max(1, Math.min(rules.maxRows, Math.floor(rules.maxSteps / chunkSteps)));
    costs.push(await measureMode(set, spec, { attContext, chunkSec, maxRows, firstSec: chunkSec }));
  }
  return costs;
}

/** As `measureStepCosts`, for buffered streams: batches of whole windows, of which a chunk each is new. */
export async function measureWindowCosts(
  { set, parts: { spec, modes } }: OpenBufferedSet,
  limits: BatchLimits = DEFAULT_BATCH_LIMITS,
): Promise<StepCost[]> {
  const costs: StepCost[] = [];
  for (const mode of modes) {
    const windowSteps = mode.sizes.leftSteps + mode.sizes.chunkSteps + mode.sizes.rightSteps;
    const fitting = isBatchInvariant(spec) ? Math.min(limits.maxRows, Math.floor(limits.maxSteps / windowSteps)) : 1;
    const { attContext, chunkSec } = latencyMode(spec, mode);
    const firstSec = windowSteps * stepSec(spec);
    costs.push(await measureMode(set, spec, { attContext, chunkSec, maxRows: Math.max(1, fitting), firstSec }));
  }
  return costs;
}

/** What is measured of a mode; `firstSec` is sound that streams have heard before it is. */
type Measured = Pick<StepCost, "attContext" | "chunkSec" | "maxRows"> & { readonly firstSec: number };

async function measureMode(set: StreamSet, spec: ModelSpec, measured: Measured): Promise<StepCost> {
  const { firstSec: _, ...mode } = measured;
  const one = await timeBatch(set, spec, measured, 1);
  const many = await timeBatch(set, spec, measured, Math.min(MANY_ROWS, mode.maxRows));
  const rowSec = many.numRows === 1 ? one.sec : Math.max(0, many.sec - one.sec) / (many.numRows - 1);
  return { ...mode, batchSec: Math.max(0, one.sec - rowSec), rowSec };
}

/** The median time of the largest batches that so many streams give. */
async function timeBatch(
  set: StreamSet,
  { sampleRateHz }: ModelSpec,
  { attContext, chunkSec, firstSec }: Measured,
  numStreams: number,
): Promise<{ readonly numRows: number; readonly sec: number }> {
  const ids = Array.from({ length: numStreams }, (_, i) => -1 - i);
  const feed = async (samples: Float32Array): Promise<BatchReport[]> => {
    for (const id of ids) set.feed(id, samples);
    const batches: BatchReport[] = [];
    for (let batch = await set.runBatch(); batch; batch = await set.runBatch()) batches.push(batch);
    return batches;
  };
  const measured: BatchReport[] = [];
  for (const id of ids) set.open(id, { attContext }, () => {});
  try {
    await feed(noise(sampleRateHz * firstSec));
    const sound = noise(sampleRateHz * chunkSec);
    for (let turn = 0; turn < NUM_TURNS; turn++) measured.push(...(await feed(sound)));
  } finally {
    for (const id of ids) set.close(id);
  }
  const numRows = Math.max(1, ...measured.map((batch) => batch.numRows));
  const times = measured.filter((batch) => batch.numRows === numRows).map(busySec);
  return { numRows, sec: times.sort((a, b) => a - b)[times.length >> 1] ?? 0 };
}

/** Sound that is the same every time (a linear congruential generator's). */
function noise(numSamples: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: Math.round(numSamples) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.2;
  });
}
