import type { DecodingSpec } from "../config/spec.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { endsSegment, type Offsets, type WordOffsets } from "./nemo-offsets.ts";
import { type TextRules, textOf } from "./text.ts";

/** Tokens that make one word. */
interface Group {
  text: string;
  readonly tokenIndices: number[];
}

/**
 * Words with their real times, in steps: from the first step of the first token to the end of the last (see
 * `Hypothesis.endSteps`). Punctuation counts for the text only, because models predict it after the pause that follows.
 * Words are in order and do not overlap: one that is not over when the next begins ends there.
 *
 * The words are those of the text: joined with spaces they are the text, but for repeated spaces.
 * @param known what the hypothesis reads, and the step at which the word behind it begins
 */
export function stepWords(
  hypothesis: Hypothesis,
  rules: TextRules,
  wordSeparator: string,
  { text = textOf(hypothesis.tokens, rules), nextStep = Infinity }: { text?: string; nextStep?: number } = {},
): WordOffsets[] {
  const { tokens, steps, endSteps } = hypothesis;
  const groups = matchText(groupTokens(tokens, rules, wordSeparator), text);
  const ranges = groups.map(({ tokenIndices }) => spokenRange(tokenIndices, tokens, rules));
  return groups.map(({ text: word, tokenIndices }, i) => {
    const { first, last } = ranges[i];
    const limit = i + 1 < groups.length ? steps[ranges[i + 1].first] : nextStep;
    const startStep = steps[first];
    const endStep = Math.max(startStep, Math.min(endSteps[last], limit));
    return { text: word, startStep, endStep, tokenIndices };
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

/** Tokens by the words that the tokenizer begins; tokens that show nothing at all make none. */
function groupTokens(ids: readonly number[], rules: TextRules, wordSeparator: string): Group[] {
  const { tokenizer } = rules;
  const isSeparator = (i: number) => tokenizer.kind === "characters" && tokenizer.pieces[ids[i]] === wordSeparator;
  const isUnknown = (i: number) => tokenizer.kind === "sentencepiece" && tokenizer.pieces[ids[i]] === "<unk>";
  const groups: Group[] = [];
  let start = 0;
  for (let i = 1; i <= ids.length; i++) {
    // SentencePiece writes `<unk>` as a mark with spaces around, a word of its own.
    const isEnd =
      i === ids.length || tokenizer.startsWord(ids[i]) || isSeparator(i) || isUnknown(i) || isUnknown(i - 1);
    if (!isEnd) continue;
    const tokenIndices = Array.from({ length: i - start }, (_, k) => start + k).filter((k) => !isSeparator(k));
    start = i;
    const ofGroup = tokenIndices.map((k) => ids[k]);
    const text = textOf(ofGroup, rules).trim();
    if (text !== "") groups.push({ text, tokenIndices });
  }
  return groups;
}

/**
 * Joins groups that the text writes as one word (a mark whose space was taken away), and texts that a group spans. The
 * groups stay as they are where their letters are not the text's, which a tag of several tokens can do.
 */
function matchText(groups: readonly Group[], text: string): Group[] {
  const texts = text.split(/\s+/u).filter((word) => word !== "");
  const letters = groups.map((group) => group.text.replaceAll(/\s+/gu, ""));
  if (letters.join("") !== texts.join("")) return [...groups];
  const words: Group[] = [];
  let next = 0;
  // Letters of the last word that no group has brought yet.
  let missing = 0;
  groups.forEach(({ tokenIndices }, i) => {
    if (missing === 0) {
      missing = texts[next].length;
      words.push({ text: texts[next++], tokenIndices: [] });
    }
    const word = words[words.length - 1];
    for (const index of tokenIndices) word.tokenIndices.push(index);
    missing -= letters[i].length;
    while (missing < 0) {
      missing += texts[next].length;
      word.text += ` ${texts[next++]}`;
    }
  });
  return words;
}

/** The first token of a word that shows anything, and its last one that is more than punctuation. */
function spokenRange(indices: readonly number[], ids: readonly number[], { shownOf, marks }: TextRules) {
  const shown = indices.map((i) => shownOf(ids[i]));
  const first = Math.max(
    0,
    shown.findIndex((text) => text !== ""),
  );
  const last = shown.findLastIndex((text) => text !== "" && ![...text].every((char) => marks.has(char)));
  return { first: indices[first], last: indices[Math.max(first, last)] };
}
