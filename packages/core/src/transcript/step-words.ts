import type { DecodingSpec } from "../config/spec.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { endsSegment, type Offsets, type WordOffsets } from "./nemo-offsets.ts";
import { startsWithMark, type TextRules, textOf } from "./text.ts";

/** Tokens that follow one another and make one word. */
interface Group {
  text: string;
  readonly tokenIndices: number[];
  /** The first token that shows anything and the last one that is not punctuation. */
  readonly first: number;
  readonly last: number;
}

/**
 * Words with their real times, in steps: from the first step of the first token to the end of the last (see
 * `Hypothesis.endSteps`). Punctuation counts for the text only, because models predict it after the pause that follows.
 * Words are in order and do not overlap: one that is not over when the next begins ends there.
 *
 * The words are those of the text: joined with spaces they are the text, but for repeated spaces.
 */
export function stepWords(hypothesis: Hypothesis, rules: TextRules, wordSeparator: string): WordOffsets[] {
  const groups = groupTokens(hypothesis.tokens, rules, wordSeparator);
  const { steps, endSteps } = hypothesis;
  return groups.map(({ text, tokenIndices, first, last }, i) => {
    const nextStep = i + 1 < groups.length ? steps[groups[i + 1].first] : Infinity;
    const startStep = steps[first];
    const endStep = Math.max(startStep, Math.min(endSteps[last], nextStep));
    return { text, startStep, endStep, tokenIndices };
  });
}

/**
 * Segments of words: closed by a word that ends with one of the separators, or by a pause of at least the configured
 * number of steps.
 */
export function stepSegments(
  words: readonly Offsets[],
  decoding: Pick<DecodingSpec, "segmentSeparators" | "segmentGapThresholdSteps">,
): Offsets[] {
  const { segmentSeparators, segmentGapThresholdSteps: threshold } = decoding;
  const segments: Offsets[] = [];
  let first = 0;
  words.forEach((word, i) => {
    const next = words[i + 1];
    const isPause = threshold && next !== undefined && next.startStep - word.endStep >= threshold;
    if (next !== undefined && !isPause && !endsSegment(word.text, segmentSeparators)) return;
    const text = words.slice(first, i + 1).map((w) => w.text);
    segments.push({ text: text.join(" "), startStep: words[first].startStep, endStep: word.endStep });
    first = i + 1;
  });
  return segments;
}

function groupTokens(ids: readonly number[], rules: TextRules, wordSeparator: string): Group[] {
  const { tokenizer, marks } = rules;
  const isSeparator = (i: number) => tokenizer.kind === "characters" && tokenizer.pieces[ids[i]] === wordSeparator;
  const isUnknown = (i: number) => tokenizer.kind !== "characters" && tokenizer.pieces[ids[i]] === "<unk>";
  const groups: Group[] = [];
  let start = 0;
  for (let i = 1; i <= ids.length; i++) {
    // `<unk>` becomes a mark with spaces around, a word of its own.
    const isEnd =
      i === ids.length || tokenizer.startsWord(ids[i]) || isSeparator(i) || isUnknown(i) || isUnknown(i - 1);
    if (!isEnd) continue;
    const indices = Array.from({ length: i - start }, (_, k) => start + k).filter((k) => !isSeparator(k));
    start = i;
    const text = textOf(
      indices.map((k) => ids[k]),
      rules,
    ).trim();
    if (text === "") continue;
    const previous = groups.at(-1);
    if (previous && startsWithMark(text, marks)) {
      previous.text += text;
      previous.tokenIndices.push(...indices);
    } else {
      groups.push({ text, tokenIndices: indices, ...spokenRange(indices, ids, rules) });
    }
  }
  return groups;
}

/** The first token of a word that shows anything, and its last one that is more than punctuation. */
function spokenRange(indices: readonly number[], ids: readonly number[], { tokenizer, marks }: TextRules) {
  const shown = indices.map((i) => tokenizer.decode([ids[i]]).trim());
  const first = Math.max(
    0,
    shown.findIndex((text) => text !== ""),
  );
  const last = shown.findLastIndex((text) => text !== "" && ![...text].every((char) => marks.has(char)));
  return { first: indices[first], last: indices[Math.max(first, last)] };
}
