import type { Tokenizer } from "./tokenizer.ts";

/** What Python's `\s` and `str.strip` take for space; JavaScript's `\s` differs in the control characters and U+FEFF. */
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";

/** Tokens whose characters do not count as punctuation of the language (`extract_punctuation_from_vocab`). */
const SPECIAL = [/^\[.*\]\n?$/u, /^<.*>\n?$/u, /^##/u, /^▁/u, new RegExp(`^${SPACE}*$`, "u")];

/** `<en-US>` with the space before it: NeMo's own pattern for language tags. */
const LANG_TAG = `${SPACE}*<[a-z]{2}-[A-Z]{2}>`;

const OUTER_SPACE = new RegExp(`^${SPACE}+|${SPACE}+$`, "gu");

const patterns = new WeakMap<Tokenizer, RegExp | undefined>();

/**
 * The marks of punctuation that a vocabulary can write: every character of Unicode category P in a token that neither
 * begins a word (`▁…`), continues one (`##…`) nor stands in brackets (NeMo tokenizer_utils.py).
 */
export function supportedPunctuation(pieces: readonly string[]): ReadonlySet<string> {
  const marks = new Set<string>();
  for (const piece of pieces) {
    if (SPECIAL.some((pattern) => pattern.test(piece))) continue;
    for (const character of piece) if (/^\p{P}$/u.test(character)) marks.add(character);
  }
  return marks;
}

/**
 * NeMo's last step for every transcript: one space is taken away before each mark of punctuation that the vocabulary
 * knows (`decode_tokens_to_str_with_strip_punctuation`, ctc_decoding.py and rnnt_decoding.py).
 */
export function postProcessText(text: string, tokenizer: Tokenizer): string {
  if (!patterns.has(tokenizer)) patterns.set(tokenizer, spaceBefore(supportedPunctuation(tokenizer.pieces)));
  const pattern = patterns.get(tokenizer);
  return pattern === undefined ? text : text.replace(pattern, "$1");
}

/**
 * Takes language tags out of a transcript and the space around it (`decoding.strip_lang_tags`, rnnt_decoding.py).
 * @param pattern the checkpoint's own expression in place of NeMo's `\s*<xx-XX>`
 */
export function stripLangTags(text: string, pattern: string = LANG_TAG): string {
  return text.replace(new RegExp(pattern, "gu"), "").replace(OUTER_SPACE, "");
}

function spaceBefore(marks: ReadonlySet<string>): RegExp | undefined {
  if (marks.size === 0) return undefined;
  const escaped = [...marks].map((mark) => mark.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(`${SPACE}(${escaped.join("|")})`, "gu");
}
