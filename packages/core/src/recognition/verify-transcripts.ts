import type { ClassifierSpec, ConfidenceSpec } from "../config/spec.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { createFeatureExtractor } from "../features/extractor.ts";
import { buildTranscript } from "../transcript/build.ts";
import { nemoWordConfidence } from "../transcript/nemo-word-confidence.ts";
import type { TimedText, Transcript } from "../transcript/transcript.ts";
import { decodeRows, type Head } from "./head-decoder.ts";
import { type ExpectedTokens, nearTie } from "./near-tie.ts";
import type { ModelPackage } from "./package.ts";
import { computeStages, type Stages } from "./stages.ts";
import { type Check, compareEqual, compareNumbers, excused, type Verification } from "./verify-checks.ts";

type Facts = Readonly<Record<string, unknown>>;

interface TranscriptFacts {
  readonly text: string;
  readonly timestamps?: Partial<Record<"char" | "word" | "segment", Facts[]>>;
  readonly token_confidence?: number[] | null;
  readonly word_confidence?: number[] | null;
}

/** What one way of measuring confidence gave; without tokens where NeMo failed. */
interface ConfidenceFacts {
  readonly head: string;
  readonly method: { name?: string; entropy_type?: string; entropy_norm?: string; alpha?: number };
  readonly aggregation: ConfidenceSpec["aggregation"];
  readonly exclude_blank: boolean;
  readonly tdt_include_duration: boolean;
  readonly token_confidence?: number[] | null;
  readonly word_confidence?: number[] | null;
}

/** Texts, times and confidences of `model.transcribe`; for classifiers of whole recordings the class. */
export async function* checkTranscripts(
  { model, acoustic, reference }: Verification,
  name: string,
  waveform: Float32Array,
  stages: Stages,
): AsyncGenerator<Check> {
  const { spec, tokenizer } = model;
  const all = (reference.facts.transcribe ?? {}) as Record<string, (TranscriptFacts | string)[]>;
  const index = [...reference.recordings.keys()].indexOf(name);
  if (!Object.values(all).some((rows) => index in rows)) return;
  // NeMo's `transcribe` switches `pad_to` off.
  const isPadded = spec.features.padTo > 0;
  const extractor = createFeatureExtractor({ ...spec.features, padTo: 0 }, model.featureTensors);
  const own = isPadded ? await computeStages(acoustic, extractor, [waveform]) : stages;
  for (const [kind, rows] of Object.entries(all)) {
    const expected = rows[index];
    if (typeof expected === "string") yield* checkPrintedClass(model, name, own, expected);
    if (typeof expected !== "object" || !tokenizer) continue;
    const head = headOf(model, kind);
    const hypothesis = own.hypotheses[head]?.[0];
    if (!hypothesis) continue;
    const decoded = (reference.facts[name] as Partial<Record<Head, ExpectedTokens[]>> | undefined)?.[head]?.[0];
    const tie = decoded && !isPadded ? await nearTie(acoustic, head, own.encoded, 0, hypothesis, decoded) : undefined;
    const durationSec = waveform.length / spec.sampleRateHz;
    const found = buildTranscript(hypothesis, tokenizer, { spec, head, timestamps: "nemo", durationSec });
    for (const check of compareTranscript(`transcribe ${head} ${name}`, model, found, hypothesis, expected)) {
      yield excused(check, tie);
    }
  }
}

/** The two kinds of classifiers' labels: of the recording, or of every step. */
export function* checkClasses(
  { model }: Verification,
  where: string,
  { encoded }: Stages,
  { labels: expected }: Facts,
): Generator<Check> {
  const { classifier } = model.spec.heads;
  if (!classifier || !encoded.logits || !Array.isArray(expected)) return;
  const numRows = classifier.kind === "frame" ? Math.min(encoded.lengths[0], encoded.numSteps) : 1;
  const found = bestClasses(encoded.logits, classifier, numRows).map((best) => classifier.labels[best]);
  yield compareEqual(where, "labels", found, classifier.kind === "frame" ? expected[0] : expected);
}

/** One recording by every method, norm and aggregation that the reference has. */
export async function* checkConfidences(
  { model, acoustic, reference }: Verification,
  name: string,
  { encoded }: Stages,
): AsyncGenerator<Check> {
  const all = (reference.facts.confidence ?? []) as ConfidenceFacts[];
  // The reference has them for its second recording.
  if (name !== [...reference.recordings.keys()][1]) return;
  for (const facts of all) {
    const { method, aggregation, token_confidence: ofTokens, word_confidence: ofWords } = facts;
    if (!ofTokens) continue;
    const head = headOf(model, facts.head);
    const [hypothesis] = await decodeRows(acoustic, head, encoded, confidenceSpec(facts));
    const where = `${name} ${head} ${Object.values(method).join(" ")} ${aggregation} blank ${!facts.exclude_blank}`;
    yield compareNumbers(where, "confidence", hypothesis.confidence ?? [], ofTokens);
    if (!ofWords || !model.tokenizer) continue;
    const found = nemoWordConfidence(hypothesis, model.tokenizer, head, aggregation) ?? [];
    yield compareNumbers(`${where} words`, "confidence", found, ofWords);
  }
}

/** What the facts leave out has NeMo's defaults (`ConfidenceMethodConfig`). */
function confidenceSpec({ method, ...facts }: ConfidenceFacts): ConfidenceSpec {
  return {
    excludeBlank: facts.exclude_blank,
    aggregation: facts.aggregation,
    tdtIncludeDuration: facts.tdt_include_duration,
    method: (method.name ?? "entropy") as ConfidenceSpec["method"],
    entropyType: (method.entropy_type ?? "tsallis") as ConfidenceSpec["entropyType"],
    alpha: method.alpha ?? 0.33,
    entropyNorm: (method.entropy_norm ?? "exp") as ConfidenceSpec["entropyNorm"],
  };
}

/** References name heads `ctc`, `rnnt` and, of models with one head, `default`. */
function headOf({ spec }: ModelPackage, kind: string): Head {
  return kind !== "ctc" && spec.heads.transducer ? "transducer" : "ctc";
}

function* compareTranscript(
  where: string,
  { tokenizer, spec }: ModelPackage,
  found: Transcript,
  hypothesis: Hypothesis,
  expected: TranscriptFacts,
): Generator<Check> {
  yield compareEqual(where, "text", found.text, expected.text);
  const levels = { char: found.tokens, word: found.words, segment: found.segments };
  for (const level of ["char", "word", "segment"] as const) {
    const rows = expected.timestamps?.[level];
    if (rows) yield compareTimes(where, level, levels[level], rows);
  }
  if (expected.token_confidence && hypothesis.confidence) {
    yield compareNumbers(where, "confidence", hypothesis.confidence, expected.token_confidence);
  }
  if (expected.word_confidence && tokenizer) {
    const own = nemoWordConfidence(hypothesis, tokenizer, found.head, spec.decoding.confidence.aggregation);
    yield compareNumbers(`${where} words`, "confidence", own ?? [], expected.word_confidence);
  }
}

/** Texts and times; NeMo gives no seconds where the configuration has no `window_stride`. */
function compareTimes(where: string, level: string, found: readonly TimedText[], rows: readonly Facts[]): Check {
  const own = found.map(({ text, startStep, endStep, startSec, endSec }, i) =>
    rows[i] && (rows[i].start ?? null) === null
      ? [text, startStep, endStep, null, null]
      : [text, startStep, endStep, startSec, endSec],
  );
  // Tokens of transducers come as lists of one.
  const theirs = rows.map((row) => [
    [row[level]].flat()[0],
    row.start_offset,
    row.end_offset,
    row.start ?? null,
    row.end ?? null,
  ]);
  return compareEqual(where, `${level} times`, own, theirs);
}

/** `tensor([3])`, as `transcribe` of a classifier prints; what it prints of frame classifiers are no classes. */
function* checkPrintedClass(
  { spec }: ModelPackage,
  name: string,
  { encoded }: Stages,
  printed: string,
): Generator<Check> {
  const { classifier } = spec.heads;
  if (classifier?.kind !== "pooled" || !encoded.logits) return;
  const expected = Number(/\[(\d+)\]/.exec(printed)?.[1]);
  yield compareEqual(`transcribe ${name}`, "class", bestClasses(encoded.logits, classifier, 1)[0], expected);
}

function bestClasses(logits: Float32Array, { numClasses }: ClassifierSpec, numRows: number): number[] {
  return Array.from({ length: numRows }, (_, row) => {
    const own = logits.subarray(row * numClasses, (row + 1) * numClasses);
    return own.indexOf(Math.max(...own));
  });
}
