import type { ConformerSpec } from "../config/spec.ts";
import { hasStreamMode, streamObstacle } from "../config/streaming.ts";
import { createFeatureExtractor } from "../features/extractor.ts";
import type { AcousticModel } from "../recognition/acoustic.ts";
import type { Head } from "../recognition/head-decoder.ts";
import { nearTie } from "../recognition/near-tie.ts";
import type { ModelPackage } from "../recognition/package.ts";
import { computeStages, type Stages } from "../recognition/stages.ts";
import { type Check, compareEqual, compareNumbers, excused, type Reference } from "../recognition/verify-checks.ts";
import { float32, type Tensor } from "../tensor.ts";
import type { OpenStreamSet } from "./open-engine.ts";
import { lastTimeOf, type StreamedStages, streamRecordings } from "./streamed-stages.ts";

/** What a reference tells of NeMo's own stream of one recording. */
interface StreamFacts {
  readonly stream_steps?: number;
  readonly offline_steps?: number;
  readonly leading_steps_equal_to_offline?: number;
  readonly offline?: Partial<Record<Head, readonly number[]>>;
}

/** One recording in one context: what is compared, and with what. */
interface StreamCase {
  readonly clip: string;
  readonly waveform: Float32Array;
  readonly context: readonly number[];
  readonly facts: StreamFacts;
  /** A tensor of the reference by the end of its name. */
  tensor(name: string): Tensor | undefined;
  /** Our offline pass in the same context. */
  readonly offline: Stages;
}

/** `stream.L_R.clip.encoder`, or `.offline_encoder`: the beginning of the name, the context and the recording. */
const STREAM_NAME = /^(stream\.([-\d_]+)\.(\w+)\.)(?:offline_)?encoder$/;

const contextOf = (key: string): number[] => key.split("_").map(Number);

/** The contexts that a reference has streams of: those that the model can stream with caches, and the others with why. */
export function referenceContexts(
  { spec }: ModelPackage,
  { tensors }: Reference,
): { streamed: string[]; left: string[]; why: string } {
  const keys = [...tensors.keys()].flatMap((name) => STREAM_NAME.exec(name)?.[2] ?? []);
  const contexts = [...new Set(keys)].map(contextOf);
  const texts = (isStreamed: boolean) =>
    contexts.filter((context) => hasStreamMode(spec, context) === isStreamed).map((context) => `[${context}]`);
  const why = streamObstacle(spec) ?? "attention that looks ahead beyond its chunk, or back without a limit";
  return { streamed: texts(true), left: texts(false), why };
}

/**
 * Compares streams with a reference, in every context that `referenceContexts` says can be streamed: step by step, each
 * alone and then all together in batches of mixed contexts, heads, packets and places.
 *
 * Every step, the flushed tail included, is compared with NeMo's offline pass in the same context, tokens with our own
 * offline decoding and NeMo's. NeMo's own stream is compared where it equals NeMo's offline pass (the leading steps that
 * the reference counts); with a right context of 0 it does so nowhere, and only its number of steps is looked at. Of the
 * caches, those of convolutions hold the same on both sides and are compared for those steps; those of the attention hold
 * keys and values here and the layers' inputs there.
 */
export async function* verifyStreams(
  model: ModelPackage,
  acoustic: AcousticModel,
  opened: OpenStreamSet,
  reference: Reference,
): AsyncGenerator<Check> {
  const cases = await streamCases(model, acoustic, reference);
  const heads = headsOf(model);
  for (const one of cases) {
    const { waveform, context: attContext } = one;
    const [streamed] = await streamRecordings(opened, [{ waveform, attContext, head: heads[0] }]);
    yield* checkCase(model, acoustic, one, streamed, "stream");
  }
  const recordings = cases.flatMap(({ waveform, context: attContext }) =>
    heads.map((head) => ({ waveform, attContext, head })),
  );
  // Packets of primes, and beginnings one after another: no two streams are ever at the same place.
  const mixed = recordings.map((recording, i) => ({
    ...recording,
    packetSamples: PACKETS[i % PACKETS.length],
    numWaited: i,
  }));
  for (let start = 0; start < mixed.length; start += MOST_TOGETHER) {
    const together = mixed.slice(start, start + MOST_TOGETHER);
    const streamed = await streamRecordings(opened, together);
    for (const [i, stages] of streamed.entries()) {
      const one = cases[Math.floor((start + i) / heads.length)];
      yield* checkCase(model, acoustic, one, stages, "mixed");
    }
  }
}

const PACKETS = [1009, 4001, 16_007, 331, 2503];
/** Streams that are open at a time, in one pool of caches. */
const MOST_TOGETHER = 24;

async function streamCases(model: ModelPackage, acoustic: AcousticModel, reference: Reference): Promise<StreamCase[]> {
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  const streaming = (reference.facts.streaming ?? {}) as Record<string, { clips?: StreamFacts[] }>;
  const names = [...reference.recordings.keys()];
  const cases: StreamCase[] = [];
  for (const name of reference.tensors.keys()) {
    const match = STREAM_NAME.exec(name);
    const waveform = match && reference.recordings.get(match[3]);
    if (!match || !waveform) continue;
    const [, prefix, key, clip] = match;
    // Both tensors of a stream are one case.
    if (name === `${prefix}encoder` && reference.tensors.has(`${prefix}offline_encoder`)) continue;
    const context = contextOf(key);
    if (!hasStreamMode(model.spec, context)) continue;
    const offline = await computeStages(acoustic, extractor, [waveform], context);
    const facts = streaming[`${context}`]?.clips?.[names.indexOf(clip)] ?? {};
    const tensor = (end: string) => reference.tensors.get(`${prefix}${end}`);
    cases.push({ clip, waveform, context, facts, tensor, offline });
  }
  return cases;
}

function headsOf({ spec }: ModelPackage): Head[] {
  const { ctc, transducer } = spec.heads;
  return [...(ctc ? (["ctc"] as const) : []), ...(transducer ? (["transducer"] as const) : [])];
}

async function* checkCase(
  model: ModelPackage,
  acoustic: AcousticModel,
  one: StreamCase,
  streamed: StreamedStages,
  kind: "stream" | "mixed",
): AsyncGenerator<Check> {
  const { clip, context, facts, offline } = one;
  const { numSteps, head, hypothesis } = streamed;
  const where = `${kind} ${context} ${clip} ${head}`;
  const total = facts.offline_steps ?? offline.encoded.lengths[0];
  yield compareEqual(where, `${kind} steps`, numSteps, total);
  if (numSteps !== total) return;
  const { encoded } = offline;
  const own = float32(encoded.encoded, [1, encoded.encoded.length / encoded.numSteps, encoded.numSteps]);
  yield compareRows(where, `${kind} encoder`, streamed, one.tensor("offline_encoder") ?? own, numSteps);
  if (streamed.logProbs && encoded.logProbs) {
    const expected = encoded.logProbs.subarray(0, streamed.logProbs.length);
    yield staged(`${kind} log_probs`, compareNumbers(where, "log_probs", streamed.logProbs, expected));
  }
  const ours = offline.hypotheses[head]?.[0];
  if (ours) {
    const frames = ours.steps;
    const durations = ours.durations;
    const tie = await nearTie(acoustic, head, offline.encoded, 0, ours, { frames: hypothesis.steps, ...hypothesis });
    const found = [hypothesis.tokens, hypothesis.steps, hypothesis.durations];
    yield excused(compareEqual(where, `${kind} tokens`, found, [ours.tokens, frames, durations]), tie);
  }
  const tokens = facts.offline?.[head];
  if (tokens && ours) {
    const tie = await nearTie(acoustic, head, offline.encoded, 0, ours, { tokens });
    yield excused(compareEqual(where, `${kind} NeMo tokens`, hypothesis.tokens, tokens), tie);
  }
  yield* checkNemoStream(model, one, streamed, where, kind);
}

/** NeMo's own stream, where it can be compared. */
function* checkNemoStream(
  { spec }: ModelPackage,
  one: StreamCase,
  streamed: StreamedStages,
  where: string,
  kind: string,
): Generator<Check> {
  const { context, facts } = one;
  const encoder = one.tensor("encoder");
  if (!encoder) return;
  const theirs = encoder.dims[2];
  const equal = facts.leading_steps_equal_to_offline;
  if (context[1] === 0) {
    // It loses the last incomplete step and differs everywhere: measured, and told in the reference's notes.
    const isNear = Math.abs(theirs - streamed.numSteps) <= 1;
    yield compareEqual(where, `${kind} NeMo's R = 0`, isNear ? theirs : streamed.numSteps, theirs);
    return;
  }
  // Without the count nobody knows how far NeMo's stream is its offline pass.
  if (equal === undefined) return;
  yield compareRows(where, `${kind} = NeMo's`, streamed, encoder, Math.min(equal, streamed.numSteps));
  const logProbs = one.tensor("log_probs");
  if (logProbs && streamed.logProbs) {
    const numSteps = Math.min(equal, streamed.numSteps, closeSteps(encoder, one.tensor("offline_encoder")));
    const count = numSteps * logProbs.dims[2];
    const expected = (logProbs.data as Float32Array).subarray(0, count);
    const check = compareNumbers(where, "log_probs", streamed.logProbs.subarray(0, count), expected);
    yield staged(`${kind} NeMo log_probs`, check);
  }
  const caches = one.tensor("cache_last_time");
  if (caches) yield* checkConvCaches(spec.encoder as ConformerSpec, streamed, caches, { theirs, equal }, where, kind);
}

/** A spread head multiplies what NeMo's stream is off its offline pass by: beyond this the product is its own deviation. */
const CLOSE = 1e-5;

/** The leading steps in which NeMo's stream `[1, model, step]` is its own offline pass to the last digits. */
function closeSteps(stream: Tensor, offline: Tensor | undefined): number {
  if (!offline) return stream.dims[2];
  const [, size, width] = stream.dims;
  const theirs = offline.dims[2];
  for (let step = 0; step < Math.min(width, theirs); step++) {
    for (let m = 0; m < size; m++) {
      const distance = Number(stream.data[m * width + step]) - Number(offline.data[m * theirs + step]);
      if (Math.abs(distance) > CLOSE) return step;
    }
  }
  return Math.min(width, theirs);
}

/** The leading `count` steps of `[model, step]` and of a reference `[1, model, step]`. */
function compareRows(where: string, stage: string, streamed: StreamedStages, expected: Tensor, count: number): Check {
  const [, size, width] = expected.dims;
  const rows = (data: Float32Array, numSteps: number) => {
    const out = new Float32Array(size * count);
    for (let m = 0; m < size; m++) out.set(data.subarray(m * numSteps, m * numSteps + count), m * count);
    return out;
  };
  const own = rows(streamed.encoded, streamed.numSteps);
  return staged(stage, compareNumbers(where, "encoder", own, rows(expected.data as Float32Array, width)));
}

const staged = (stage: string, check: Check): Check => ({ ...check, stage });

/**
 * The last steps' inputs of every layer's convolution: NeMo's `[layer, 1, model, step]` ends with its last step, ours with
 * ours, so those of both that equal the offline pass are compared.
 */
function* checkConvCaches(
  encoder: ConformerSpec,
  { numSteps, cache }: StreamedStages,
  expected: Tensor,
  { theirs, equal }: { theirs: number; equal: number },
  where: string,
  kind: string,
): Generator<Check> {
  const lastTime = lastTimeOf(encoder, cache);
  if (!lastTime) return;
  const [numLayers, , modelSize, convLeft] = lastTime.dims;
  const first = Math.max(0, numSteps - convLeft, theirs - convLeft);
  const end = Math.min(equal, numSteps, theirs);
  if (first >= end) return;
  /** Steps `[first, end)` of rows whose last step is the one before `endStep`. */
  const shared = ({ data }: Tensor, endStep: number): number[] =>
    Array.from({ length: numLayers * modelSize }, (_, row) => {
      const begin = row * convLeft - (endStep - convLeft);
      return [...(data as Float32Array).subarray(begin + first, begin + end)];
    }).flat();
  const [own, nemo] = [shared(lastTime, numSteps), shared(expected, theirs)];
  yield staged(`${kind} conv caches`, compareNumbers(where, "encoder", own, nemo));
}
