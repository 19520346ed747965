import { stepSec } from "../config/geometry.ts";
import type { ModelSpec } from "../config/spec.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import type { OpenHypothesis } from "../decoding/open-hypothesis.ts";
import type { Head } from "../recognition/head-decoder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { buildTranscript, buildWords } from "../transcript/build.ts";
import type { HeadCalibration } from "../transcript/calibration.ts";
import { eventName, type Separated, separateEvents, textOf, textRules } from "../transcript/text.ts";
import type { TimedText } from "../transcript/transcript.ts";
import type { EndpointRules, FinalEvent, InterimEvent } from "./stream.ts";
import { createTextUnits } from "./text-units.ts";
import { COMPARED_STEPS, firstAhead } from "./two-speed.ts";

/** What the division of a stream into utterances has to remember: plain data. */
export interface SavedUtterances {
  utterance: number;
  /** Tokens of the hypothesis that finals have already. */
  numFinal: number;
  stableText: string;
  interimText: string;
  isFirst: boolean;
  /** Spaces behind the last final's text, as one before an event: what follows begins a word. */
  numSpaces: number;
  /** Steps at whose end it was asked whether an utterance is over. */
  numAsked: number;
}

/** Silence up to a place in steps, in seconds. */
export type SilenceAt = (step: number) => number;

/** Makes events of a growing hypothesis. */
export interface Utterances {
  /**
   * Finals that are due at any new step, then the interim if its text has changed.
   * @param silenceSecAt silence up to the end of a step, where something other than the decoder tells; asked for in order
   * @param fast what a faster lane has found, for the interim
   */
  update(heardSec: number, silenceSecAt?: SilenceAt, fast?: OpenHypothesis): (FinalEvent | InterimEvent)[];
  /**
   * Finals that are due at a place, of the tokens before it: one that is decoded, or one behind, where a detector has
   * heard silence since before what is decoded.
   * @param step the place
   */
  endsAt(step: number, heardSec: number, silenceSec?: number): FinalEvent[];
  /** The interim, if its text has changed. */
  interim(heardSec: number): InterimEvent[];
  /** Everything found so far as a final, if there is text. */
  cut(reason: FinalEvent["reason"], heardSec: number): FinalEvent[];
  save(): SavedUtterances;
}

/** Rules that are not told. */
export const DEFAULT_ENDPOINT = {
  minSilenceSec: 0.8,
  maxUtteranceSec: 30,
  silence: "decoder",
} as const satisfies EndpointRules;

type UtteranceRules = Required<Pick<EndpointRules, keyof typeof DEFAULT_ENDPOINT>>;

const SILENCES: readonly unknown[] = ["decoder", "vad", "energy", "none"] satisfies EndpointRules["silence"][];

/** The rules that utterances end by, checked, with the defaults where nothing is told. @throws RangeError */
export function utteranceRules({ minSilenceSec, maxUtteranceSec, silence }: EndpointRules = {}): UtteranceRules {
  const rules = {
    minSilenceSec: minSilenceSec ?? DEFAULT_ENDPOINT.minSilenceSec,
    maxUtteranceSec: maxUtteranceSec ?? DEFAULT_ENDPOINT.maxUtteranceSec,
    silence: silence ?? DEFAULT_ENDPOINT.silence,
  };
  for (const name of ["minSilenceSec", "maxUtteranceSec"] as const) {
    if (rules[name] >= 0) continue; // False for NaN, too.
    throw new RangeError(
      `endpoint.${name}: expected a number of seconds from 0 up, got ${rules[name]}. Leave it out, or give one.`,
    );
  }
  if (SILENCES.includes(rules.silence)) return rules;
  throw new RangeError(
    `endpoint.silence: expected one of ${SILENCES.join(", ")}, got ${rules.silence}. Leave it out, or give one.`,
  );
}

/** Without a token for this long, a decoder has nothing left to say of what it heard. */
const SETTLING_SEC = 0.24;

/** A token comes at most this much later than its sound, so that a detector that missed speech is not followed. */
const LATE_SEC = 0.48;

/** What utterances are made from. */
export interface UtteranceParts {
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer;
  readonly head: Head;
  readonly hypothesis: OpenHypothesis;
  readonly rules: EndpointRules;
  /** Makes probabilities of confidences. */
  readonly calibration?: HeadCalibration;
}

/** Follows one hypothesis, from its beginning or from where it was saved. */
export function createUtterances(parts: UtteranceParts, saved?: SavedUtterances): Utterances {
  const { spec, tokenizer, head, hypothesis } = parts;
  const rules = utteranceRules(parts.rules);
  const state: SavedUtterances = saved
    ? { ...saved }
    : { utterance: 0, numFinal: 0, stableText: "", interimText: "", isFirst: true, numSpaces: 0, numAsked: 0 };
  /** Tokens of the hypothesis when the last interim was made. */
  let numTold = -1;
  const secOfStep = stepSec(spec);
  const eouId = tokenizer.pieces.findIndex((_, id) => eventName(id, tokenizer) === spec.decoding.eouString);
  const textual = textRules(tokenizer, spec.decoding, head);
  const units = createTextUnits(textual);
  /** Times end with the sound that was heard: a recording may end inside of its last step, which is known only later. */
  const writing = (durationSec: number) => ({ spec, head, durationSec, calibration: parts.calibration });
  const transcript = (tokens: Hypothesis, durationSec: number, nextStep?: number) =>
    buildTranscript(tokens, tokenizer, { ...writing(durationSec), timestamps: "steps", nextStep });
  /** Tokens that are events stand beside the text, not in it: a stream's text is what was said. */
  const speechOf = (tokens: Hypothesis) => separateEvents(tokens, textual);
  const transcriptOf = ({ speech, events }: Separated, durationSec: number, nextStep: number | undefined) => ({
    ...transcript(speech, durationSec, nextStep),
    ...(events && { events: transcript(events, durationSec).events }),
  });
  const wordsOf = (tokens: Hypothesis, durationSec: number) =>
    goingOn(buildWords(speechOf(tokens).speech, tokenizer, writing(durationSec)));
  /** BERT pieces that go on with a word are written with a mark where nothing stands before them. */
  const withoutMark = (text: string) =>
    tokenizer.data.kind === "wordpiece" && !state.isFirst ? text.replace(/^##/, "") : text;
  const goingOn = <T extends { readonly text: string; readonly words: readonly TimedText[] }>(part: T): T => {
    const text = withoutMark(part.text);
    if (text === part.text) return part;
    return {
      ...part,
      text,
      words: part.words.map((word, i) => (i > 0 ? word : { ...word, text: withoutMark(word.text) })),
    };
  };

  function finalOf(end: number, reason: FinalEvent["reason"], heardSec: number): FinalEvent[] {
    if (end <= state.numFinal) return [];
    const part = speechOf(sliceHypothesis(hypothesis, state.numFinal, end));
    const spoken = part.speech.tokens;
    const isJoined = !state.isFirst && units.continueWord(spoken, state.numSpaces);
    const wordsEnd = units.wordsEnd(spoken, 0, spoken.length);
    state.numSpaces = spoken.length - wordsEnd + (wordsEnd === 0 ? state.numSpaces : 0);
    const next = hypothesis.tokens.findIndex((token, i) => i >= end && textual.shownOf(token) !== "");
    const { text, words, tokens, events } = goingOn(transcriptOf(part, heardSec, hypothesis.steps[next]));
    state.numFinal = end;
    dropFinal(hypothesis, state);
    numTold = -1;
    state.stableText = "";
    state.interimText = "";
    if (text.trim() === "") return [];
    state.isFirst = false;
    const event = {
      type: "final",
      utterance: state.utterance++,
      text: reason === "end" ? text : text.trimEnd(),
      words,
      tokens,
      ...(events && { events }),
      startSec: words[0]?.startSec ?? heardSec,
      endSec: words.at(-1)?.endSec ?? heardSec,
      confidence: meanConfidence(words),
      reason,
      joinsPrevious: isJoined,
      heardSec,
    } as const;
    return [event];
  }

  /** Where an utterance ends at a place, if it does. */
  function due(
    step: number,
    silenceSec: number | undefined,
  ): { end: number; reason: FinalEvent["reason"] } | undefined {
    const { steps, endSteps, numSteps } = hypothesis;
    const later = step < numSteps ? steps.findIndex((each) => each >= step) : -1;
    const tokens = later < 0 ? hypothesis.tokens : hypothesis.tokens.slice(0, later);
    const from = state.numFinal;
    if (from >= tokens.length) return undefined;
    const eou = eouId < 0 ? -1 : tokens.indexOf(eouId, from);
    if (eou >= 0) return { end: eou + 1, reason: "eou" };
    if (rules.silence !== "none" && silenceAt(step, endSteps[tokens.length - 1], silenceSec) >= rules.minSilenceSec) {
      const end = units.wordsEnd(tokens, from, tokens.length);
      return end > from ? { end, reason: "silence" } : undefined;
    }
    if ((Math.min(step, numSteps) - steps[from]) * secOfStep < rules.maxUtteranceSec) return undefined;
    const begin = units.lastBegin(tokens, from);
    const end = units.wordsEnd(tokens, from, begin);
    return end > from ? { end, reason: "max-utterance" } : undefined;
  }

  /** Silence at a place, as far as the decoder, whose last token ends at `endStep`, does not contradict a detector. */
  function silenceAt(step: number, endStep: number, silenceSec: number | undefined): number {
    const quietSec = (step - endStep) * secOfStep;
    if (silenceSec === undefined) return quietSec;
    // A detector tells of silence before the decoder has heard the last word out, and of sound it has yet to decode.
    const isHeardOut = (Math.min(step, hypothesis.numSteps) - endStep) * secOfStep >= SETTLING_SEC;
    const isDecoded = (step - hypothesis.numSteps) * secOfStep <= silenceSec;
    return isHeardOut && isDecoded ? Math.min(silenceSec, quietSec + LATE_SEC) : 0;
  }

  function finalsAt(step: number, heardSec: number, silenceSec: number | undefined): FinalEvent[] {
    const finals: FinalEvent[] = [];
    for (let next = due(step, silenceSec); next !== undefined; next = due(step, silenceSec)) {
      finals.push(...finalOf(next.end, next.reason, heardSec));
    }
    return finals;
  }

  /** A chunk has many steps, and a pause may begin and end inside of it. */
  function newFinals(heardSec: number, silenceSecAt: SilenceAt | undefined): FinalEvent[] {
    const finals: FinalEvent[] = [];
    while (state.numAsked < hypothesis.numSteps) {
      const step = ++state.numAsked;
      finals.push(...finalsAt(step, heardSec, silenceSecAt?.(step)));
    }
    return finals;
  }

  function interim(heardSec: number, fast: OpenHypothesis | undefined): InterimEvent[] {
    const { length } = hypothesis.tokens;
    // Most chunks bring no token: nothing is made for them.
    if (fast === undefined && length === numTold) return [];
    numTold = length;
    const part = sliceHypothesis(hypothesis, state.numFinal, hypothesis.tokens.length);
    const slow = wordsOf(part, heardSec);
    const stable = stableText();
    // A checkpoint's own pattern of tags may take away what stood there: then nothing more is promised.
    if (stable.startsWith(state.stableText) && slow.text.startsWith(stable)) state.stableText = stable;
    const joined = fast ? wordsOf(joinLanes(part, tokensAhead(fast)), heardSec) : slow;
    const { text, words } = joined.text.startsWith(state.stableText) ? joined : slow;
    if (text === state.interimText || text.trim() === "") return [];
    state.interimText = text;
    return [{ type: "interim", utterance: state.utterance, text, stableText: state.stableText, words, heardSec }];
  }

  /** The text of the utterance before its last unit: that may still grow, or begin the next utterance. */
  function stableText(): string {
    const { tokens } = hypothesis;
    const end = units.wordsEnd(tokens, state.numFinal, units.lastBegin(tokens, state.numFinal));
    const { speech } = speechOf(sliceHypothesis(hypothesis, state.numFinal, end));
    return withoutMark(textOf(speech.tokens, textual)).trimEnd();
  }

  /** What the faster lane has beyond the slower one; forgets the tokens that it needs no more. */
  function tokensAhead(fast: OpenHypothesis): Hypothesis {
    dropBefore(fast, hypothesis.numSteps - COMPARED_STEPS, fast.tokens.length);
    dropFinal(hypothesis, state);
    return sliceHypothesis(fast, firstAhead(hypothesis, fast), fast.tokens.length);
  }

  return {
    update: (heardSec, silenceSecAt, fast) => [...newFinals(heardSec, silenceSecAt), ...interim(heardSec, fast)],
    endsAt: finalsAt,
    interim: (heardSec) => interim(heardSec, undefined),
    cut(reason, heardSec) {
      const { length } = hypothesis.tokens;
      return finalOf(
        reason === "end" ? length : units.wordsEnd(hypothesis.tokens, state.numFinal, length),
        reason,
        heardSec,
      );
    },
    save: () => ({ ...state }),
  };
}

/** Forgets tokens that are final, but for those that a faster lane may find only later. */
function dropFinal(hypothesis: OpenHypothesis, state: SavedUtterances): void {
  state.numFinal -= dropBefore(hypothesis, hypothesis.numSteps - COMPARED_STEPS, state.numFinal);
}

/** Forgets those of the first `end` tokens that begin before a step, but for the last, whose run may still go on; tells how many. */
function dropBefore(hypothesis: OpenHypothesis, step: number, end: number): number {
  const later = hypothesis.steps.findIndex((each) => each >= step);
  const count = Math.max(0, Math.min(later < 0 ? end : later, end - 1));
  dropTokens(hypothesis, count);
  return count;
}

/** Forgets the first tokens: what was found grows with an utterance, not with a stream. */
function dropTokens({ tokens, steps, endSteps, durations, logProbs, confidence }: OpenHypothesis, count: number): void {
  for (const values of [tokens, steps, endSteps, durations, logProbs, confidence]) values?.splice(0, count);
}

/** Tokens `[start, end)` as a hypothesis of their own; steps stay those of the stream. */
function sliceHypothesis(open: OpenHypothesis, start: number, end: number): Hypothesis {
  const { durations, confidence } = open;
  return {
    tokens: open.tokens.slice(start, end),
    steps: open.steps.slice(start, end),
    endSteps: open.endSteps.slice(start, end),
    ...(durations && { durations: durations.slice(start, end) }),
    logProbs: open.logProbs.slice(start, end),
    ...(confidence && { confidence: confidence.slice(start, end) }),
    numSteps: open.numSteps,
  };
}

/** A slower lane's tokens and those of a faster one behind them, in order. */
function joinLanes(slow: Hypothesis, ahead: Hypothesis): Hypothesis {
  const begin = slow.steps.at(-1) ?? 0;
  const both = (a?: readonly number[], b?: readonly number[]) => [...(a ?? []), ...(b ?? [])];
  return {
    tokens: both(slow.tokens, ahead.tokens),
    steps: both(
      slow.steps,
      ahead.steps.map((step) => Math.max(step, begin)),
    ),
    endSteps: both(slow.endSteps, ahead.endSteps),
    ...(slow.durations && { durations: both(slow.durations, ahead.durations) }),
    logProbs: both(slow.logProbs, ahead.logProbs),
    ...(slow.confidence && { confidence: both(slow.confidence, ahead.confidence) }),
    numSteps: ahead.numSteps,
  };
}

function meanConfidence(words: readonly TimedText[]): number | undefined {
  const values = words.flatMap(({ confidence }) => (confidence === undefined ? [] : [confidence]));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}
