import { type Aggregation, aggregateConfidence } from "../decoding/confidence.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { postProcessText } from "../tokenizer/post-process.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/**
 * NeMo's `word_confidence`, for comparison with it: one value for each word of the text split at spaces, which for CTC is
 * the text before the space in front of punctuation is taken away. Words of transcripts have the same values wherever
 * the two agree on what a word is.
 *
 * `_aggregate_token_confidence_chars` and `…_subwords_sentencepiece`, asr_confidence_utils.py 3.0.0. Undefined where the
 * hypothesis has no confidence, and where NeMo gives up because it counts other words than the text has.
 */
export function nemoWordConfidence(
  { tokens, confidence }: Hypothesis,
  tokenizer: Tokenizer,
  head: "ctc" | "transducer",
  aggregation: Aggregation,
): number[] | undefined {
  if (!confidence) return undefined;
  const decoded = tokenizer.decode(tokens);
  const text = head === "ctc" ? decoded : postProcessText(decoded, tokenizer);
  const words = text.split(/\s+/u).filter((word) => word !== "");
  const parts = tokenizer.kind === "characters" ? partsByLength(words) : partsByPiece(words, tokens, tokenizer);
  const values = parts.map(([start, end]) => confidence.slice(start, end)).filter((part) => part.length > 0);
  if (values.length !== words.length) return undefined;
  return values.map((part) => aggregateConfidence(part, aggregation));
}

type Part = readonly [start: number, end: number];

/** One label a character and one label between words, NeMo assumes. */
function partsByLength(words: readonly string[]): Part[] {
  let start = 0;
  return words.map((word) => {
    const part = [start, start + [...word].length] as const;
    start = part[1] + 1;
    return part;
  });
}

/** A word begins at a piece that is not its own text, and behind `<unk>`; a `▁` alone is none. */
function partsByPiece(words: readonly string[], tokens: readonly number[], tokenizer: Tokenizer): Part[] {
  if (words.length === 0) return [];
  const parts: Part[] = [];
  let start = 0;
  for (let i = 1; i <= tokens.length; i++) {
    const previous = tokenizer.pieces[tokens[i - 1]];
    const isEnd =
      i === tokens.length || previous === "<unk>" || tokenizer.pieces[tokens[i]] !== tokenizer.decode([tokens[i]]);
    if (!isEnd) continue;
    if (previous !== "▁") parts.push([start, i]);
    start = i;
  }
  return parts;
}
