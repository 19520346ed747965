import { logSumExp } from "../decoding/confidence.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { createFeatureExtractor } from "../features/extractor.ts";
import type { Tensor } from "../tensor.ts";
import { buildTranscript } from "../transcript/build.ts";
import { nemoWordConfidence } from "../transcript/nemo-word-confidence.ts";
import type { Transcript } from "../transcript/transcript.ts";
import type { AcousticModel, Encoded } from "./acoustic.ts";
import { isBatchInvariant } from "./batching.ts";
import { classifyWindows } from "./classifier.ts";
import type { Head } from "./head-decoder.ts";
import type { ModelPackage } from "./package.ts";
import { computeStages, type Stages } from "./stages.ts";

/** Largest allowed absolute differences, as the reference files' own notes give them. */
export const TOLERANCES = {
  features: 2e-4,
  encoder: 1e-4,
  log_probs: 5e-4,
  prediction: 1e-5,
  joint: 5e-4,
  logits: 1e-3,
  speech_probability: 1e-3,
  confidence: 1e-4,
} as const;

/** One comparison: of numbers within a tolerance, or of things that must be identical. */
export interface Check {
  /** `clip0`, `batch`, `stream 70,13 clip1`, `transcribe ctc clip2`. */
  readonly where: string;
  readonly stage: string;
  readonly isOk: boolean;
  /** Largest absolute difference; undefined for things that must be identical. */
  readonly difference?: number;
  readonly tolerance?: number;
  /** What differs, where something does. */
  readonly detail?: string;
}

/** A reference: tensors and facts that NeMo computed from the same checkpoint and the same waveforms. */
export interface Reference {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** `reference.json` as it stands. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly waveforms: readonly Float32Array[];
}

type Facts = Record<string, never> & Record<string, unknown>;

/** Compares every stage of a model with a reference. Yields checks as they are made. */
export async function* verifyModel(
  model: ModelPackage,
  acoustic: AcousticModel,
  reference: Reference,
): AsyncGenerator<Check> {
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  const { waveforms, tensors } = reference;
  const alone: Stages[] = [];
  for (const [i, waveform] of waveforms.entries()) {
    const stages = await computeStages(acoustic, extractor, [waveform]);
    alone.push(stages);
    yield* checkStages(`clip${i}`, stages, reference);
    yield* checkClassifier(`clip${i}`, model, acoustic, waveform, reference);
  }
  if (tensors.has("batch.features") && isBatchInvariant(model.spec)) {
    yield* checkStages("batch", await computeStages(acoustic, extractor, waveforms), reference);
  }
  yield* checkNetworks(acoustic, alone[0]?.encoded, reference);
  yield* checkContexts(acoustic, extractor, reference);
  yield* checkTranscripts(model, alone, reference);
}

function* checkStages(
  where: string,
  { features, encoded, hypotheses }: Stages,
  reference: Reference,
): Generator<Check> {
  const numbers = (stage: keyof typeof TOLERANCES, data: Float32Array | undefined): Check[] =>
    data ? compareTensor(where, stage, data, reference.tensors.get(`${where}.${stage}`)) : [];
  yield* numbers("features", features.data);
  yield* compareLengths(where, "features_len", features.lengths, reference);
  yield* numbers("encoder", encoded.encoded);
  yield* compareLengths(where, "encoder_len", encoded.lengths, reference);
  yield* numbers("log_probs", encoded.logProbs);
  yield* numbers("logits", encoded.logits);
  const facts = (reference.facts[where] ?? {}) as Facts;
  for (const head of ["ctc", "transducer"] as const) {
    const rows = facts[head] as { tokens: number[]; frames?: number[]; durations?: number[] }[] | undefined;
    for (const [row, expected] of (rows ?? []).entries()) {
      const found = hypotheses[head]?.[row];
      if (!found) continue;
      const place = rows && rows.length > 1 ? `${where}[${row}]` : where;
      yield compareEqual(place, `${head} tokens`, found.tokens, expected.tokens);
      if (expected.frames) yield compareEqual(place, `${head} frames`, found.steps, expected.frames);
      if (expected.durations) yield compareEqual(place, `${head} durations`, found.durations, expected.durations);
    }
  }
}

async function* checkClassifier(
  where: string,
  model: ModelPackage,
  acoustic: AcousticModel,
  waveform: Float32Array,
  reference: Reference,
): AsyncGenerator<Check> {
  const expected = reference.tensors.get(`${where}.speech_probability`);
  if (!expected || !model.spec.heads.classifier) return;
  const { probability } = await classifyWindows(model, acoustic, waveform);
  yield* compareTensor(where, "speech_probability", probability ?? new Float32Array(0), expected);
}

/** The prediction network on a fixed row of tokens, and the joint network on the first steps of the first clip. */
async function* checkNetworks(
  acoustic: AcousticModel,
  encoded: Encoded | undefined,
  reference: Reference,
): AsyncGenerator<Check> {
  const { networks, predictHidden, spec } = acoustic;
  const tokens = reference.tensors.get("prediction.tokens");
  const output = reference.tensors.get("prediction.out");
  if (!networks || !predictHidden || !tokens || !output || !spec.heads.transducer) return;
  const [, size, numRows] = output.dims;
  // NeMo puts a zero vector in front of the row for the start of a text; blank gives the same.
  const labels = Array.from(tokens.data as BigInt64Array, Number);
  const rows = new Float32Array(numRows * size);
  const projected: Float32Array[] = [];
  let states: Float32Array = networks.initialState;
  for (const [u, label] of [spec.heads.transducer.vocabularySize, ...labels].entries()) {
    // The zero vector of the start leaves no trace in NeMo's states here: `add_sos` stands in one row with the labels.
    const step = await predictHidden(Int32Array.of(label), states);
    rows.set(step.outputs, u * size);
    projected.push((await networks.predict(Int32Array.of(label), states)).outputs);
    states = step.states;
  }
  const transposed = rows.map((_, i) => rows[(i % numRows) * size + Math.floor(i / numRows)]);
  yield* compareTensor("prediction", "prediction", transposed, output);
  const logits = reference.tensors.get("joint.logits");
  if (!logits || !encoded?.projected) return;
  const [, numSteps] = logits.dims;
  const { jointSize } = networks;
  const pairs = numSteps * numRows;
  const left = new Float32Array(pairs * jointSize);
  const right = new Float32Array(pairs * jointSize);
  for (let t = 0, p = 0; t < numSteps; t++) {
    for (let u = 0; u < numRows; u++, p++) {
      left.set(encoded.projected.subarray(t * jointSize, (t + 1) * jointSize), p * jointSize);
      right.set(projected[u], p * jointSize);
    }
  }
  const scores = await networks.joint(left, right);
  // NeMo's joint network ends in a log-softmax on a CPU, over tokens and durations together.
  for (let row = 0; row < pairs; row++) {
    const own = scores.subarray(row * networks.numOutputs, (row + 1) * networks.numOutputs);
    const sum = logSumExp(own, 0, own.length);
    for (let i = 0; i < own.length; i++) own[i] -= sum;
  }
  yield* compareTensor("joint", "joint", scores, logits);
}

/** Offline passes in every context for which the reference has one. */
async function* checkContexts(
  acoustic: AcousticModel,
  extractor: ReturnType<typeof createFeatureExtractor>,
  reference: Reference,
): AsyncGenerator<Check> {
  for (const [name, expected] of reference.tensors) {
    const match = /^stream\.(-?\d+)_(-?\d+)\.clip(\d+)\.offline_encoder$/.exec(name);
    if (!match) continue;
    const context = [Number(match[1]), Number(match[2])];
    const { encoded } = await computeStages(acoustic, extractor, [reference.waveforms[Number(match[3])]], context);
    yield* compareTensor(`context ${context} clip${match[3]}`, "encoder", encoded.encoded, expected);
  }
}

interface TranscribeFacts {
  readonly text: string;
  readonly timestamps?: Partial<Record<"char" | "word" | "segment", Record<string, unknown>[]>>;
  readonly token_confidence?: number[] | null;
  readonly word_confidence?: number[] | null;
}

/** Texts, times and confidences of `model.transcribe`. */
function* checkTranscripts(model: ModelPackage, alone: readonly Stages[], reference: Reference): Generator<Check> {
  const all = (reference.facts.transcribe ?? {}) as Record<string, TranscribeFacts[]>;
  const { tokenizer, spec } = model;
  if (!tokenizer) return;
  for (const [kind, rows] of Object.entries(all)) {
    const head: Head = kind === "ctc" ? "ctc" : kind === "rnnt" || spec.heads.transducer ? "transducer" : "ctc";
    for (const [i, expected] of rows.entries()) {
      const hypothesis = alone[i]?.hypotheses[head]?.[0];
      if (!hypothesis) continue;
      const durationSec = reference.waveforms[i].length / spec.sampleRateHz;
      const found = buildTranscript(hypothesis, tokenizer, { spec, head, timestamps: "nemo", durationSec });
      yield* compareTranscript(`transcribe ${head} clip${i}`, model, found, hypothesis, expected);
    }
  }
}

function* compareTranscript(
  where: string,
  { tokenizer, spec }: ModelPackage,
  found: Transcript,
  hypothesis: Hypothesis,
  expected: TranscribeFacts,
): Generator<Check> {
  const { head } = found;
  yield compareEqual(where, "text", found.text, expected.text);
  const times = { char: found.tokens, word: found.words, segment: found.segments };
  for (const level of ["char", "word", "segment"] as const) {
    const rows = expected.timestamps?.[level];
    if (!rows) continue;
    const own = times[level].map((t) => [t.startStep, t.endStep, t.startSec, t.endSec]);
    const theirs = rows.map((t) => [t.start_offset, t.end_offset, t.start, t.end]);
    yield compareEqual(where, `${level} times`, own, theirs);
  }
  if (expected.token_confidence && hypothesis.confidence) {
    yield* compareNumbers(where, "confidence", hypothesis.confidence, expected.token_confidence);
  }
  if (expected.word_confidence && tokenizer) {
    const own = nemoWordConfidence(hypothesis, tokenizer, head, spec.decoding.confidence.aggregation);
    yield* compareNumbers(`${where} words`, "confidence", own ?? [], expected.word_confidence);
  }
}

function* compareLengths(
  where: string,
  stage: string,
  found: readonly number[],
  reference: Reference,
): Generator<Check> {
  const expected = reference.tensors.get(`${where}.${stage}`);
  if (expected) yield compareEqual(where, stage, found, Array.from(expected.data as BigInt64Array, Number));
}

function compareTensor(
  where: string,
  stage: keyof typeof TOLERANCES,
  data: Float32Array,
  expected: Tensor | undefined,
): Check[] {
  return expected ? [...compareNumbers(where, stage, data, expected.data as Float32Array)] : [];
}

function* compareNumbers(
  where: string,
  stage: keyof typeof TOLERANCES,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
): Generator<Check> {
  const tolerance = TOLERANCES[stage];
  if (found.length !== expected.length) {
    yield {
      where,
      stage,
      isOk: false,
      tolerance,
      detail: `${found.length} numbers, ${expected.length} in the reference`,
    };
    return;
  }
  let difference = 0;
  for (let i = 0; i < found.length; i++) {
    const d = Math.abs(found[i] - expected[i]);
    // NaN must not pass for small.
    if (!(d <= difference)) difference = d;
  }
  yield { where, stage, isOk: difference <= tolerance, difference, tolerance };
}

function compareEqual(where: string, stage: string, found: unknown, expected: unknown): Check {
  const own = JSON.stringify(found);
  const theirs = JSON.stringify(expected);
  return own === theirs
    ? { where, stage, isOk: true }
    : { where, stage, isOk: false, detail: `${cut(own)} instead of ${cut(theirs)}` };
}

const cut = (text: string | undefined): string =>
  text === undefined ? "nothing" : text.length > 160 ? `${text.slice(0, 160)}…` : text;
