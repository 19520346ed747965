import { checkContext } from "../config/contexts.ts";
import { subsamplingFactor } from "../config/geometry.ts";
import type { ConfidenceSpec, ModelSpec } from "../config/spec.ts";
import { checkConfidence } from "../decoding/confidence.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import type { Window } from "../decoding/windows.ts";
import { defaultContext } from "../export/layouts.ts";
import { createFeatureExtractor, type FeatureExtractor } from "../features/extractor.ts";
import type { Runtime } from "../runtime.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { buildTranscript } from "../transcript/build.ts";
import { type Calibration, headCalibration } from "../transcript/calibration.ts";
import type { Transcript } from "../transcript/transcript.ts";
import { type AcousticModel, type Encoded, type FeatureBatch, openAcousticModel } from "./acoustic.ts";
import { type BatchLimits, DEFAULT_BATCH_LIMITS, isBatchInvariant, planBatches } from "./batching.ts";
import {
  createHeadDecoder,
  defaultHead,
  type Head,
  type HeadDecoder,
  type StepRange,
  validSteps,
} from "./head-decoder.ts";
import { type LongFormLimits, type LongFormPlan, planLongForm } from "./long-form.ts";
import type { ModelPackage } from "./package.ts";
import { textTokenizer } from "./writes-text.ts";

/** How recordings are transcribed. */
export interface TranscribeOptions {
  /** The transducer where the model has one, unless told. */
  readonly head?: Head;
  /** One of the model's attention contexts; its default unless told. */
  readonly attContext?: readonly number[];
  /** Real starts and ends unless told; `nemo` gives NeMo's own. */
  readonly timestamps?: "steps" | "nemo";
  /** Replaces parts of the checkpoint's own confidence method. */
  readonly confidence?: Partial<ConfidenceSpec>;
  readonly limits?: BatchLimits;
  /** From which length on a recording is cut into overlapping windows, and how long these are. */
  readonly longForm?: LongFormLimits;
  /** Makes probabilities of confidences, which are NeMo's own without it: `calibration` of the recogniser, or another. */
  readonly calibration?: Calibration;
  /** Stops between batches. */
  readonly signal?: AbortSignalLike;
}

/** The part of the Web's `AbortSignal` that is used here. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
}

/** A transcript and how its recording was put through the encoder. */
export interface TranscribeResult extends Transcript {
  readonly longForm: LongFormPlan["method"];
}

/** A speech model, loaded: waveforms in, transcripts out. */
export interface Recognizer {
  readonly name: string;
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer;
  readonly extractor: FeatureExtractor;
  readonly acoustic: AcousticModel;
  /** As in `ModelPackage`; unknown for graphs of other tools. */
  readonly fingerprint?: string;
  /** What makes probabilities of the model's confidences, where that was measured. */
  readonly calibration?: Calibration;
  /**
   * Transcribes mono waveforms in [-1, 1] at the model's sample rate, batched by length. A recording's answer does not
   * depend on what it is batched with.
   */
  transcribe(waveforms: readonly Float32Array[], options?: TranscribeOptions): Promise<TranscribeResult[]>;
  /** Frees the model; idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Loads a speech model.
 * @throws SpeechError `MODEL_UNSUPPORTED` for classifiers, `RUNTIME_FAILED` when the runtime refuses a graph.
 */
export async function openRecognizer(model: ModelPackage, runtime: Runtime, numThreads = 1): Promise<Recognizer> {
  const tokenizer = textTokenizer(model);
  const acoustic = await openAcousticModel(model, runtime, numThreads);
  return recognizerOf({ ...model, tokenizer, acoustic });
}

/** What a recogniser is made of, wherever its graphs come from. */
export interface RecognizerParts {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly featureTensors: ModelPackage["featureTensors"];
  readonly acoustic: AcousticModel;
  readonly fingerprint?: string;
  readonly calibration?: Calibration;
}

/** A recogniser around loaded networks; it owns them. */
export function recognizerOf({
  name,
  tokenizer,
  featureTensors,
  acoustic,
  fingerprint,
  calibration,
}: RecognizerParts): Recognizer {
  const { spec } = acoustic;
  // NeMo's `transcribe` switches `pad_to` off; padding frames change nothing but models that do not mask.
  const extractor = createFeatureExtractor({ ...spec.features, padTo: 0 }, featureTensors);
  const close = () => acoustic.close();
  return {
    name,
    spec,
    tokenizer,
    extractor,
    acoustic,
    ...(fingerprint !== undefined && { fingerprint }),
    ...(calibration && { calibration }),
    transcribe: (waveforms, options = {}) => transcribe({ acoustic, extractor, tokenizer }, waveforms, options),
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Parts {
  readonly acoustic: AcousticModel;
  readonly extractor: FeatureExtractor;
  readonly tokenizer: Tokenizer;
}

/** One window of one recording. */
interface Job {
  readonly recording: number;
  readonly waveform: Float32Array;
  readonly firstStep: number;
  readonly endStep: number | undefined;
}

async function transcribe(
  parts: Parts,
  waveforms: readonly Float32Array[],
  options: TranscribeOptions,
): Promise<TranscribeResult[]> {
  const { context, decoder } = decodingOf(parts, options);
  const { spec } = parts.acoustic;
  const plans = waveforms.map((waveform) => planLongForm(spec, context, waveform.length, options.longForm));
  const states = waveforms.map(() => decoder.createState());
  // A recording shorter than one hop has no frame: its answer is empty.
  const isHeard = (waveform: Float32Array) => parts.extractor.frameCounts(waveform.length).validFrames > 0;
  const jobs = waveforms.map((waveform, recording) =>
    (isHeard(waveform) ? plans[recording].windows : []).map(
      (w): Job => ({
        recording,
        waveform: waveform.subarray(w.startSample, w.endSample),
        firstStep: w.firstStep,
        endStep: w.endStep,
      }),
    ),
  );
  const run = (batch: readonly Job[]) => runBatch(parts, decoder, states, batch, context, options);
  for (const batch of planJobs(parts, jobs.filter((windows) => windows.length === 1).flat(), options.limits))
    await run(batch);
  // The windows of a long recording follow one another, because the decoder's state goes from one to the next.
  for (const windows of jobs) if (windows.length > 1) for (const job of windows) await run([job]);
  return waveforms.map((waveform, i) =>
    answerOf(parts, decoder.hypothesis(states[i]), waveform.length, plans[i].method, options),
  );
}

/**
 * How a model decodes under some options.
 * @throws SpeechError for a head or an attention context that it does not have; ArgumentError for a confidence method that
 * nobody has
 */
export function decodingOf(
  { acoustic }: Pick<Parts, "acoustic">,
  options: TranscribeOptions,
): { readonly context: readonly number[]; readonly decoder: HeadDecoder } {
  const { spec } = acoustic;
  if (options.attContext) checkContext(spec, options.attContext);
  if (options.confidence !== undefined) checkConfidence("transcribe: options.confidence", options.confidence);
  const confidence = { ...spec.decoding.confidence, ...options.confidence };
  const decoder = createHeadDecoder(acoustic, options.head ?? defaultHead(spec), confidence);
  return { context: options.attContext ?? defaultContext(spec), decoder };
}

/** The answer for one recording. */
export function answerOf(
  { acoustic: { spec }, tokenizer }: Pick<Parts, "acoustic" | "tokenizer">,
  hypothesis: Hypothesis,
  numSamples: number,
  longForm: LongFormPlan["method"],
  options: TranscribeOptions,
): TranscribeResult {
  const head = options.head ?? defaultHead(spec);
  const confidence = { ...spec.decoding.confidence, ...options.confidence };
  const transcript = buildTranscript(hypothesis, tokenizer, {
    spec,
    head,
    timestamps: options.timestamps ?? "steps",
    durationSec: numSamples / spec.sampleRateHz,
    calibration: headCalibration(options.calibration, head, confidence),
  });
  return { ...transcript, longForm };
}

/** Batches of jobs of like length. */
function planJobs(parts: Parts, jobs: readonly Job[], limits: BatchLimits = DEFAULT_BATCH_LIMITS): Job[][] {
  const { spec } = parts.acoustic;
  if (!isBatchInvariant(spec)) return jobs.map((job) => [job]);
  const factor = subsamplingFactor(spec.encoder);
  const numSteps = jobs.map((job) => Math.ceil(parts.extractor.frameCounts(job.waveform.length).numFrames / factor));
  return planBatches(numSteps, limits).map((batch) => batch.map((i) => jobs[i]));
}

/** Features of several waveforms as one batch. */
export function featureBatch(extractor: FeatureExtractor, waveforms: readonly Float32Array[]): FeatureBatch {
  const counts = waveforms.map((waveform) => extractor.frameCounts(waveform.length));
  const width = Math.max(...counts.map((c) => c.numFrames));
  const data = new Float32Array(waveforms.length * extractor.numMels * width);
  waveforms.forEach((waveform, i) => {
    extractor.extractInto(waveform, data, i * extractor.numMels * width, width);
  });
  return { data, numMels: extractor.numMels, numFrames: width, lengths: counts.map((c) => c.validFrames) };
}

async function runBatch(
  parts: Parts,
  decoder: HeadDecoder,
  states: readonly ReturnType<HeadDecoder["createState"]>[],
  batch: readonly Job[],
  context: readonly number[],
  options: TranscribeOptions,
): Promise<void> {
  if (options.signal?.aborted) throw options.signal.reason;
  const features = featureBatch(
    parts.extractor,
    batch.map((job) => job.waveform),
  );
  const encoded = await parts.acoustic.encode(features, context, decoder.head);
  await decoder.push(
    encoded,
    batch.map((job, row) => ({ state: states[job.recording], ...keptSteps(encoded, row, job) })),
  );
}

/** The steps of a row that its window keeps. */
export function keptSteps(
  encoded: Encoded,
  row: number,
  { firstStep, endStep }: Pick<Window, "firstStep" | "endStep">,
): Omit<StepRange, "state"> {
  const valid = validSteps(encoded, row);
  return { row, firstStep, endStep: Math.max(firstStep, Math.min(endStep ?? encoded.numSteps, valid)) };
}
