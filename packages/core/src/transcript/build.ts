import { nemoSubsamplingFactor, subsamplingFactor } from "../config/geometry.ts";
import type { ModelSpec } from "../config/spec.ts";
import { type Aggregation, aggregateConfidence } from "../decoding/confidence.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type ConfidenceMap, calibrate, type HeadCalibration } from "./calibration.ts";
import {
  nemoSegmentOffsets,
  nemoTokenOffsets,
  nemoWordOffsets,
  type OffsetRules,
  type Offsets,
  type WordOffsets,
} from "./nemo-offsets.ts";
import { stepSegments, stepWords } from "./step-words.ts";
import { eventName, separateEvents, type TextRules, textOf, textRules } from "./text.ts";
import type { TimedText, Transcript } from "./transcript.ts";

/** How a hypothesis becomes a transcript. */
export interface TranscriptOptions {
  readonly spec: Pick<ModelSpec, "decoding" | "encoder" | "features">;
  /** Which head found the hypothesis. */
  readonly head: "ctc" | "transducer";
  /**
   * `steps`: real times. A token lasts from the first step of its run to the end of the run (CTC), for its step (RNNT),
   * or as long as predicted (TDT); words and segments go from the start of their first token to the end of their last,
   * punctuation not counted, do not overlap, and end with the recording.
   *
   * `nemo`: what `model.transcribe(timestamps=True)` of NeMo 3.0.0 gives, its peculiarities included: CTC tokens one
   * token late, punctuation without length, empty words, events among the tokens, a reduction inside the encoder not
   * counted. Where NeMo has none (aggregate tokenizers), the same rules.
   */
  readonly timestamps: "steps" | "nemo";
  readonly durationSec: number;
  /** The step at which the word behind the hypothesis begins, where there is one: the last word ends there (`steps`). */
  readonly nextStep?: number;
  /** Makes probabilities of tokens' and words' confidences; they stay as the method gives them without it. */
  readonly calibration?: HeadCalibration;
}

/**
 * Makes a transcript of a hypothesis: text, tokens, words and segments with times and confidence.
 *
 * The text is the one that NeMo prints. `<EOU>`, `<EOB>` and, where the checkpoint strips them, language tags stand in
 * `events` and, unless NeMo's times are asked for, not among tokens, words and segments. A word's confidence is that of
 * its tokens by the checkpoint's aggregation, as NeMo's `word_confidence`.
 */
export function buildTranscript(hypothesis: Hypothesis, tokenizer: Tokenizer, options: TranscriptOptions): Transcript {
  const { spec, head } = options;
  const { decoding } = spec;
  const rules = textRules(tokenizer, decoding, head);
  const { speech, events } = separateEvents(hypothesis, rules);
  const timed = timing(options);
  const isNemo = options.timestamps === "nemo";
  const shown = isNemo ? hypothesis : speech;
  const times = isNemo
    ? nemoTimes(shown, head, { ...rules, decoding })
    : stepTimes(shown, rules, decoding, options.nextStep);
  const tokens = times.tokens.map((token, i) => ({
    id: shown.tokens[i],
    ...timed(token),
    ...confidenceOf(shown, [i], decoding.confidence.aggregation, options.calibration?.token),
  }));
  return {
    text: textOf(hypothesis.tokens, rules),
    durationSec: options.durationSec,
    tokens,
    words: times.words.map((word) => timedWord(word, shown, timed, options)),
    segments: times.segments.map(timed),
    head,
    ...(events && {
      events: events.tokens.map((token, i) => ({
        ...timed({ text: eventName(token, tokenizer), startStep: events.steps[i], endStep: events.endSteps[i] }),
        ...confidenceOf(events, [i], decoding.confidence.aggregation),
      })),
    }),
  };
}

/**
 * Text and words of a transcript alone, with real times: for what is told again with every chunk.
 * @param speech a hypothesis without events
 */
export function buildWords(
  speech: Hypothesis,
  tokenizer: Tokenizer,
  options: Omit<TranscriptOptions, "timestamps">,
): Pick<Transcript, "text" | "words"> {
  const { decoding } = options.spec;
  const rules = textRules(tokenizer, decoding, options.head);
  const timed = timing({ ...options, timestamps: "steps" });
  const text = textOf(speech.tokens, rules);
  const words = stepWords(speech, rules, decoding.wordSeparator, { text });
  return { text, words: words.map((word) => timedWord(word, speech, timed, options)) };
}

function timedWord(
  word: WordOffsets,
  hypothesis: Hypothesis,
  timed: (offsets: Offsets) => TimedText,
  { spec, calibration }: Pick<TranscriptOptions, "spec" | "calibration">,
): TimedText {
  const { aggregation } = spec.decoding.confidence;
  return { ...timed(word), ...confidenceOf(hypothesis, word.tokenIndices, aggregation, calibration?.word) };
}

interface Times {
  readonly tokens: readonly Offsets[];
  readonly words: readonly WordOffsets[];
  readonly segments: readonly Offsets[];
}

function nemoTimes(hypothesis: Hypothesis, head: "ctc" | "transducer", rules: OffsetRules): Times {
  const tokens = nemoTokenOffsets(hypothesis, head, rules);
  const words = nemoWordOffsets(hypothesis.tokens, tokens, rules);
  return { tokens, words, segments: nemoSegmentOffsets(words, rules.decoding) };
}

function stepTimes(
  speech: Hypothesis,
  rules: TextRules,
  decoding: ModelSpec["decoding"],
  nextStep: number | undefined,
): Times {
  const tokens = speech.tokens.map((id, i) => ({
    text: rules.tokenizer.pieces[id],
    startStep: speech.steps[i],
    endStep: speech.endSteps[i],
  }));
  const words = stepWords(speech, rules, decoding.wordSeparator, { nextStep });
  return { tokens, words, segments: stepSegments(words, decoding) };
}

/**
 * Adds seconds to steps, multiplied in NeMo's order so that they are equal to the last digit. The last step may reach
 * beyond the recording: real times do not.
 */
function timing({
  spec: { encoder, features },
  timestamps: kind,
  durationSec,
}: TranscriptOptions): (offsets: Offsets) => TimedText {
  const lastSec = kind === "nemo" ? Number.POSITIVE_INFINITY : durationSec;
  const realSec = features.hopSamples / features.sampleRateHz;
  const frameSec = kind === "nemo" ? (features.hopSec ?? realSec) : realSec;
  const factor = kind === "nemo" ? nemoSubsamplingFactor(encoder) : subsamplingFactor(encoder);
  return ({ text, startStep, endStep }) => ({
    text,
    startSec: Math.min(startStep * frameSec * factor, lastSec),
    endSec: Math.min(endStep * frameSec * factor, lastSec),
    startStep,
    endStep,
  });
}

function confidenceOf(
  { confidence }: Hypothesis,
  indices: readonly number[],
  aggregation: Aggregation,
  map?: ConfidenceMap,
): { confidence?: number } {
  if (!confidence || indices.length === 0) return {};
  const values = indices.map((i) => confidence[i]);
  const total = aggregateConfidence(values, aggregation);
  return { confidence: map ? calibrate(map, total) : total };
}
