import { isSpeechError } from "../errors.ts";
import { createFeatureExtractor } from "../features/extractor.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { textOf, textRules } from "../transcript/text.ts";
import type { AcousticModel } from "./acoustic.ts";
import { isBatchInvariant } from "./batching.ts";
import { classifyWindows } from "./classifier.ts";
import type { Head } from "./head-decoder.ts";
import { type ExpectedTokens, nearTie } from "./near-tie.ts";
import type { ModelPackage } from "./package.ts";
import { computeStages, type Stages } from "./stages.ts";
import {
  type Check,
  compareEqual,
  compareNumbers,
  compareTensor,
  excused,
  type Reference,
  TOLERANCES,
  type Verification,
} from "./verify-checks.ts";
import { checkNetworks } from "./verify-networks.ts";
import { checkClasses, checkConfidences, checkTranscripts } from "./verify-transcripts.ts";

type Facts = Readonly<Record<string, unknown>>;

/** What a reference tells of one row of a batch. */
interface RowFacts extends ExpectedTokens {
  readonly text?: string;
  readonly score?: number;
}

/** Compares every stage of a model with a reference. Yields checks as they are made. */
export async function* verifyModel(
  model: ModelPackage,
  acoustic: AcousticModel,
  reference: Reference,
): AsyncGenerator<Check> {
  const extractor = createFeatureExtractor(model.spec.features, model.featureTensors);
  const verification = { model, acoustic, extractor, reference };
  const { recordings, tensors } = reference;
  for (const [name, waveform] of recordings) yield* checkRecording(verification, name, waveform);
  if (tensors.has("batch.features") && isBatchInvariant(model.spec)) {
    const stages = await computeStages(acoustic, extractor, [...recordings.values()]);
    yield* checkStages(verification, "batch", stages, factsOf(reference, "batch"));
  }
  const [first] = recordings.values();
  if (first && tensors.has("prediction.out")) {
    yield* checkNetworks(acoustic, (await computeStages(acoustic, extractor, [first])).encoded, reference);
  }
}

/** Everything that a reference tells of one recording alone. */
async function* checkRecording(
  verification: Verification,
  name: string,
  waveform: Float32Array,
): AsyncGenerator<Check> {
  const { model, acoustic, extractor, reference } = verification;
  if (!isKnown(reference, name)) return;
  try {
    const stages = await computeStages(acoustic, extractor, [waveform]);
    if (stages.features.lengths[0] === 0) {
      // Shorter than one frame: what networks make of nothing is no reference, and NaN in many of them.
      yield* checkFeatures(verification, name, stages);
      return;
    }
    const facts = factsOf(reference, name);
    yield* checkStages(verification, name, stages, facts);
    yield* checkSpeech(verification, name, waveform);
    yield* checkClasses(verification, name, stages, facts);
    yield* checkConfidences(verification, name, stages);
    yield* checkContexts(verification, name, waveform);
    yield* checkTranscripts(verification, name, waveform, stages);
  } catch (error) {
    if (!isSpeechError(error)) throw error;
    const detail = `${error.code}: ${error.message}`;
    yield { where: `${name} of ${model.name}`, stage: "recording", isOk: false, detail };
  }
}

/** Recordings that NeMo itself refused have left no trace in the reference. */
function isKnown({ tensors, facts }: Reference, name: string): boolean {
  return facts[name] !== undefined || [...tensors.keys()].some((tensor) => tensor.startsWith(`${name}.`));
}

function factsOf({ facts }: Reference, name: string): Facts {
  return (facts[name] ?? {}) as Facts;
}

function* checkFeatures({ reference }: Verification, where: string, { features }: Stages): Generator<Check> {
  yield* compareTensor(where, "features", features.data, reference.tensors.get(`${where}.features`));
  yield* compareLengths(reference, where, "features_len", features.lengths);
}

function compareLengths({ tensors }: Reference, where: string, stage: string, found: readonly number[]): Check[] {
  const expected = tensors.get(`${where}.${stage}`);
  return expected ? [compareEqual(where, stage, found, Array.from(expected.data as BigInt64Array, Number))] : [];
}

async function* checkStages(
  verification: Verification,
  where: string,
  stages: Stages,
  facts: Facts,
): AsyncGenerator<Check> {
  const { reference } = verification;
  const { encoded } = stages;
  const numbers = (stage: keyof typeof TOLERANCES, data: Float32Array | undefined): Check[] =>
    data ? compareTensor(where, stage, data, reference.tensors.get(`${where}.${stage}`)) : [];
  yield* checkFeatures(verification, where, stages);
  // A graph of another tool may not show the encoder's own output.
  yield* numbers("encoder", encoded.encoded.length > 0 ? encoded.encoded : undefined);
  yield* compareLengths(reference, where, "encoder_len", encoded.lengths);
  yield* numbers("log_probs", encoded.logProbs);
  yield* numbers("logits", encoded.logits);
  for (const head of ["ctc", "transducer"] as const) {
    const rows = (facts[head] ?? []) as RowFacts[];
    for (const [row, expected] of rows.entries()) {
      const place = rows.length > 1 ? `${where}[${row}]` : where;
      yield* checkTokens(verification, place, head, stages, row, expected);
    }
  }
}

async function* checkTokens(
  { model, acoustic }: Verification,
  where: string,
  head: Head,
  { encoded, hypotheses }: Stages,
  row: number,
  expected: RowFacts,
): AsyncGenerator<Check> {
  const found = hypotheses[head]?.[row];
  if (!found) return;
  const tie = await nearTie(acoustic, head, encoded, row, found, expected);
  yield excused(compareEqual(where, `${head} tokens`, found.tokens, expected.tokens), tie);
  if (expected.frames) yield excused(compareEqual(where, `${head} frames`, found.steps, expected.frames), tie);
  if (expected.durations) {
    yield excused(compareEqual(where, `${head} durations`, found.durations, expected.durations), tie);
  }
  if (expected.text !== undefined && model.tokenizer) {
    // The files have `ids_to_text` for CTC, and what NeMo's decoding prints for transducers.
    const printed = () => textOf(found.tokens, textRules(model.tokenizer as Tokenizer, model.spec.decoding, head));
    const text = head === "ctc" ? model.tokenizer.decode(found.tokens) : printed();
    yield excused(compareEqual(where, `${head} text`, text, expected.text), tie);
  }
  // NeMo's score of a TDT token is normalised over the durations too.
  if (expected.score !== undefined && found.durations === undefined) {
    const score = found.logProbs.reduce((sum, logProb) => sum + logProb, 0);
    const tolerance = TOLERANCES.score * Math.max(1, found.tokens.length);
    yield excused(compareNumbers(where, "score", [score], [expected.score], tolerance), tie);
  }
}

async function* checkSpeech(
  { model, acoustic, reference }: Verification,
  where: string,
  waveform: Float32Array,
): AsyncGenerator<Check> {
  const expected = reference.tensors.get(`${where}.speech_probability`);
  if (!expected || !model.spec.heads.classifier) return;
  const { probability } = await classifyWindows(model, acoustic, waveform);
  yield* compareTensor(where, "speech_probability", probability ?? [], expected);
}

/** Offline passes in every context for which the reference has one. */
async function* checkContexts(verification: Verification, name: string, waveform: Float32Array): AsyncGenerator<Check> {
  const { acoustic, extractor, reference } = verification;
  for (const [tensor, expected] of reference.tensors) {
    const match = /^(?:stream|context)\.([-\d_]+)\.(\w+)\.(?:offline_)?encoder$/.exec(tensor);
    // `stream.…encoder` is NeMo's stream, which is no offline pass.
    if (match?.[2] !== name || /^stream.*\.encoder$/.test(tensor)) continue;
    const context = match[1].split("_").map(Number);
    const where = `context ${context} ${name}`;
    const stages = await computeStages(acoustic, extractor, [waveform], context);
    yield* compareTensor(where, "encoder", stages.encoded.encoded, expected);
    const logProbs = reference.tensors.get(`context.${match[1]}.${name}.log_probs`);
    if (stages.encoded.logProbs) yield* compareTensor(where, "log_probs", stages.encoded.logProbs, logProbs);
    const rows = (reference.facts.contexts as Record<string, Partial<Record<Head, RowFacts>>[]> | undefined)?.[
      `${context}`
    ];
    const facts = rows?.[[...reference.recordings.keys()].indexOf(name)];
    for (const head of ["ctc", "transducer"] as const) {
      const row = facts?.[head];
      if (row) yield* checkTokens(verification, where, head, stages, 0, row);
    }
  }
}
