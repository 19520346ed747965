import type { DecodingSpec } from "../config/spec.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { startsWithMark } from "./text.ts";

/** A text with NeMo's `start_offset` and `end_offset`, in encoder steps. */
export interface Offsets {
  readonly text: string;
  readonly startStep: number;
  readonly endStep: number;
}

/** A word and which tokens of the hypothesis are in it. */
export interface WordOffsets extends Offsets {
  readonly tokenIndices: readonly number[];
}

/** Everything NeMo's offsets depend on besides the hypothesis. */
export interface OffsetRules {
  readonly tokenizer: Tokenizer;
  /** The marks of `supportedPunctuation`. */
  readonly marks: ReadonlySet<string>;
  readonly decoding: Pick<DecodingSpec, "wordSeparator" | "segmentSeparators" | "segmentGapThresholdSteps">;
}

/**
 * Times of tokens as NeMo gives them (`timestamp['char']`), one for each token.
 *
 * CTC: from the step of the token before to its own, which is one token late; RNNT: its step; TDT: as long as predicted.
 * Punctuation takes no time: CTC keeps its start, TDT moves it to the end of the token before.
 * `_compute_offsets`, `_refine_timestamps` of ctc_decoding.py and rnnt_decoding.py, NeMo 3.0.0.
 */
export function nemoTokenOffsets(hypothesis: Hypothesis, head: "ctc" | "transducer", rules: OffsetRules): Offsets[] {
  const { tokens, steps, durations } = hypothesis;
  const offsets: Offsets[] = [];
  tokens.forEach((token, i) => {
    const text = tokenText(token, rules.tokenizer);
    if (head === "ctc") {
      const startStep = i === 0 ? Math.max(0, steps[0] - 1) : steps[i - 1];
      const isMark = i > 0 && startsWithMark(text, rules.marks);
      offsets.push({ text, startStep, endStep: isMark ? startStep : steps[i] });
    } else if (durations) {
      const end = offsets.at(-1)?.endStep;
      const isMark = end !== undefined && rules.marks.has(text);
      offsets.push(
        isMark
          ? { text, startStep: end, endStep: end }
          : { text, startStep: steps[i], endStep: steps[i] + durations[i] },
      );
    } else {
      offsets.push({ text, startStep: steps[i], endStep: steps[i] + 1 });
    }
  });
  return offsets;
}

/**
 * Words out of tokens as NeMo makes them (`get_words_offsets`, timestamp_utils.py 3.0.0), its quirks included: words may
 * be empty (a lone `▁`), and `<unk>` begins a word but does not end one.
 */
export function nemoWordOffsets(ids: readonly number[], tokens: readonly Offsets[], rules: OffsetRules): WordOffsets[] {
  const { tokenizer, marks } = rules;
  const delimiter = rules.decoding.wordSeparator;
  const startsWord = wordStartRule(ids, tokens, rules);
  const words: { text: string; startStep: number; endStep: number; tokenIndices: number[] }[] = [];
  let built: number[] = [];
  let first = 0;
  const word = (end: number) => ({
    text: decodeWord(tokenizer, ids, built),
    startStep: tokens[first].startStep,
    endStep: tokens[end].endStep,
    tokenIndices: built,
  });
  tokens.forEach(({ text, endStep }, i) => {
    const isMark = text !== delimiter && marks.has(text);
    const last = words.at(-1);
    if (!isMark && startsWord(i)) {
      if (built.length > 0) words.push(word(i - 1));
      built = [];
      if (text !== delimiter) {
        built.push(i);
        first = i;
      }
    } else if (isMark && built.length === 0 && last) {
      last.text = last.text.replace(/ $/, "") + text;
      last.endStep = endStep;
      last.tokenIndices.push(i);
    } else if (isMark && built.length > 0) {
      if ([" ", "_", "▁"].includes(tokenizer.pieces[ids[built[built.length - 1]]])) built.pop();
      built.push(i);
    } else {
      if (built.length === 0) first = i;
      built.push(i);
    }
  });
  if (words.length > 0) words[0].startStep = tokens[0].startStep;
  else first = 0;
  if (built.length > 0) words.push(word(tokens.length - 1));
  return words;
}

/**
 * Segments out of words as NeMo makes them (`get_segment_offsets`, timestamp_utils.py 3.0.0). Where a gap threshold is
 * set, separators close a segment only if no word is pending, that is at its first word: a quirk, kept.
 */
export function nemoSegmentOffsets(words: readonly Offsets[], decoding: OffsetRules["decoding"]): Offsets[] {
  const { segmentSeparators, segmentGapThresholdSteps: threshold } = decoding;
  const segments: Offsets[] = [];
  let pending: string[] = [];
  let first = 0;
  const close = (end: number) => {
    const { startStep } = words[first];
    segments.push({ text: pending.join(" "), startStep, endStep: words[end].endStep });
  };
  words.forEach((word, i) => {
    if (threshold && pending.length > 0) {
      if (word.startStep - words[i - 1].endStep >= threshold) {
        close(i - 1);
        pending = [];
        first = i;
      }
    } else if (endsSegment(word.text, segmentSeparators)) {
      pending.push(word.text);
      close(i);
      pending = [];
      first = i + 1;
      return;
    }
    pending.push(word.text);
  });
  if (pending.length > 0) close(words.length - 1);
  return segments;
}

/** True where a word's last character is a separator, or the whole word. */
export function endsSegment(word: string, separators: readonly string[]): boolean {
  const last = [...word.slice(-2)].at(-1);
  return last !== undefined && (separators.includes(last) || separators.includes(word));
}

/** A token alone as NeMo shows it: `▁` is gone, `##` stays. */
function tokenText(id: number, tokenizer: Tokenizer): string {
  return tokenizer.kind === "wordpiece" ? tokenizer.pieces[id] : tokenizer.decode([id]);
}

function decodeWord(tokenizer: Tokenizer, ids: readonly number[], indices: readonly number[]): string {
  return tokenizer.decode(indices.map((i) => ids[i]));
}

/** NeMo's `define_word_start_condition`, for the token at an index. */
function wordStartRule(
  ids: readonly number[],
  tokens: readonly Offsets[],
  rules: OffsetRules,
): (index: number) => boolean {
  const { tokenizer, marks } = rules;
  const delimiter = rules.decoding.wordSeparator;
  if (delimiter !== " ") return (i) => tokens[i].text === delimiter;
  // The text of the next token that is neither empty nor the delimiter, for every token.
  const following: (string | undefined)[] = new Array(tokens.length).fill(undefined);
  for (let i = tokens.length - 2; i >= 0; i--) {
    const { text } = tokens[i + 1];
    following[i] = text === "" || text === delimiter ? following[i + 1] : text;
  }
  const isDelimiter = (i: number) => {
    const next = following[i];
    return tokens[i].text === delimiter && !(next !== undefined && marks.has(next));
  };
  if (tokenizer.kind === "characters") return isDelimiter;
  if (tokenizer.kind === "wordpiece") {
    return (i) => (tokens[i].text !== "" && !tokens[i].text.startsWith("##")) || isDelimiter(i);
  }
  return (i) => tokenizer.pieces[ids[i]] !== tokens[i].text || isDelimiter(i);
}
