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
  /** What a token shows by itself. */
  readonly shownOf: (token: number) => string;
  /** Takes language tags out of a text, where they are to be taken out. */
  readonly stripTags: ((text: string) => string) | undefined;
  /** True for a token that stands beside the text (see `separateEvents`). */
  readonly isEvent: (token: number) => boolean;
}

/** What of a checkpoint's decoding decides on texts. */
export type TextSpec = Pick<DecodingSpec, "eouString" | "eobString" | "stripLangTags" | "langTagPattern">;

/** What is known of a vocabulary, and the rules of every way in which it is written: they are asked for with each text. */
interface Vocabulary {
  readonly base: Pick<TextRules, "tokenizer" | "marks" | "shownOf">;
  readonly rules: Readonly<Record<"ctc" | "transducer", WeakMap<TextSpec, TextRules>>>;
}

const vocabularies = new WeakMap<Tokenizer, Vocabulary>();

/** The same function, which computes each token's value once. */
function perToken<T>(numTokens: number, make: (token: number) => T): (token: number) => T {
  const known = new Array<T | undefined>(numTokens).fill(undefined);
  return (token) => {
    known[token] ??= make(token);
    return known[token];
  };
}

function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  const known = vocabularies.get(tokenizer);
  if (known) return known;
  const { data, pieces } = tokenizer;
  const printing = data.kind === "wordpiece" ? createTokenizer({ ...data, special: [] }) : tokenizer;
  const made = {
    base: {
      tokenizer: printing,
      marks: supportedPunctuation(pieces),
      shownOf: perToken(pieces.length, (token) => printing.decode([token]).trim()),
    },
    rules: { ctc: new WeakMap(), transducer: new WeakMap() },
  };
  vocabularies.set(tokenizer, made);
  return made;
}

/**
 * The rules by which a model's transcripts are written. NeMo decodes transcripts piece by piece, so that a BERT
 * vocabulary's special tokens (`[UNK]`) are printed, which its `ids_to_text` leaves out; language tags are stripped by
 * transducers that ask for it.
 */
export function textRules(tokenizer: Tokenizer, spec: TextSpec, head: "ctc" | "transducer"): TextRules {
  const { base, rules } = vocabularyOf(tokenizer);
  const known = rules[head].get(spec);
  if (known) return known;
  const strips = spec.stripLangTags && head === "transducer";
  const stripTags = strips ? (text: string) => stripLangTags(text, spec.langTagPattern) : undefined;
  const isEvent = perToken(tokenizer.pieces.length, (token) => {
    const name = eventName(token, base.tokenizer);
    if (name.trim() === "") return false;
    return name === spec.eouString || name === spec.eobString || stripTags?.(name) === "";
  });
  const made = { ...base, stripTags, isEvent };
  rules[head].set(spec, made);
  return made;
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
  /** Undefined where there are none. */
  readonly events: Hypothesis | undefined;
}

/**
 * Takes out the tokens that are events: `<EOU>` and `<EOB>` (end of an utterance, of a backchannel) and, where they are
 * to be stripped, language tags that are one piece.
 */
export function separateEvents(hypothesis: Hypothesis, { isEvent }: TextRules): Separated {
  const { tokens } = hypothesis;
  if (!tokens.some(isEvent)) return { speech: hypothesis, events: undefined };
  return {
    speech: selectTokens(hypothesis, (i) => !isEvent(tokens[i])),
    events: selectTokens(hypothesis, (i) => isEvent(tokens[i])),
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
