import type { DecodingSpec } from "../config/spec.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { createTokenizer } from "../tokenizer/create.ts";
import { postProcessText, stripLangTags, supportedPunctuation } from "../tokenizer/post-process.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** How ids become the text that NeMo prints. */
export interface TextRules {
  /** Prints all that NeMo prints (see `textRules`). */
  readonly tokenizer: Tokenizer;
  /** The punctuation marks that the vocabulary can write. */
  readonly marks: ReadonlySet<string>;
  /** Takes language tags out of a text, where they are to be taken out. */
  readonly stripTags: ((text: string) => string) | undefined;
}

/** What of a checkpoint's decoding decides on texts. */
export type TextSpec = Pick<DecodingSpec, "eouString" | "eobString" | "stripLangTags" | "langTagPattern">;

const vocabularies = new WeakMap<Tokenizer, Pick<TextRules, "tokenizer" | "marks">>();

/**
 * The rules by which a model's transcripts are written. NeMo decodes transcripts piece by piece, so that a BERT
 * vocabulary's special tokens (`[UNK]`) are printed, which its `ids_to_text` leaves out; language tags are stripped by
 * transducers that ask for it.
 */
export function textRules(tokenizer: Tokenizer, spec: TextSpec, head: "ctc" | "transducer"): TextRules {
  let vocabulary = vocabularies.get(tokenizer);
  if (!vocabulary) {
    const { data } = tokenizer;
    const printing = data.kind === "wordpiece" ? createTokenizer({ ...data, special: [] }) : tokenizer;
    vocabulary = { tokenizer: printing, marks: supportedPunctuation(tokenizer.pieces) };
    vocabularies.set(tokenizer, vocabulary);
  }
  const strips = spec.stripLangTags && head === "transducer";
  return { ...vocabulary, stripTags: strips ? (text) => stripLangTags(text, spec.langTagPattern) : undefined };
}

/** The text of ids as NeMo prints it (`decode_tokens_to_str_with_strip_punctuation`). */
export function textOf(ids: readonly number[], { tokenizer, stripTags }: TextRules): string {
  const text = postProcessText(tokenizer.decode(ids), tokenizer);
  return stripTags ? stripTags(text) : text;
}

/** True where a text begins with a punctuation mark. */
export function startsWithMark(text: string, marks: ReadonlySet<string>): boolean {
  const first = text.codePointAt(0);
  return first !== undefined && marks.has(String.fromCodePoint(first));
}

/** Speech and what is no speech: two hypotheses out of one. */
export interface Separated {
  readonly speech: Hypothesis;
  readonly events: Hypothesis;
}

/**
 * Takes out the tokens that are events: `<EOU>` and `<EOB>` (end of an utterance, of a backchannel) and, where they are
 * to be stripped, language tags that are one piece.
 */
export function separateEvents(hypothesis: Hypothesis, spec: TextSpec, rules: TextRules): Separated {
  const isEvent = hypothesis.tokens.map((token) => {
    const name = eventName(token, rules.tokenizer);
    if (name.trim() === "") return false;
    return name === spec.eouString || name === spec.eobString || rules.stripTags?.(name) === "";
  });
  return {
    speech: selectTokens(hypothesis, (i) => !isEvent[i]),
    events: selectTokens(hypothesis, (i) => isEvent[i]),
  };
}

/** What an event's token is called: its piece without the mark of a word's beginning. */
export function eventName(token: number, tokenizer: Tokenizer): string {
  return tokenizer.pieces[token].replace(/^▁/u, "");
}

function selectTokens(hypothesis: Hypothesis, isKept: (index: number) => boolean): Hypothesis {
  const pick = (values: readonly number[]) => values.filter((_, i) => isKept(i));
  const { tokens, steps, endSteps, durations, logProbs, confidence, numSteps } = hypothesis;
  return {
    tokens: pick(tokens),
    steps: pick(steps),
    endSteps: pick(endSteps),
    ...(durations && { durations: pick(durations) }),
    logProbs: pick(logProbs),
    ...(confidence && { confidence: pick(confidence) }),
    numSteps,
  };
}
