import type { Tokenizer, WordPieceData } from "./tokenizer.ts";

const CONTINUATION = "##";

/** What BERT's tokenizers tidy up in each token, in this order (`WordPiece` decoder of the `tokenizers` library). */
const CLEANUPS: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/**
 * Decodes as NeMo's `AutoTokenizer.ids_to_text` does for a BERT vocabulary: special tokens are left out, then a space is
 * put before every token that is no continuation (`##ing`).
 */
export function wordPieceTokenizer(data: WordPieceData): Tokenizer {
  const { pieces } = data;
  const special = new Set(data.special);
  const checked = (id: number): string => {
    const piece = pieces[id];
    if (piece === undefined)
      throw new RangeError(`decode: expected ids in [0, ${pieces.length}), got ${id}. Give ids of this tokenizer.`);
    return piece;
  };
  return {
    kind: "wordpiece",
    size: pieces.length,
    pieces,
    data,
    decode: (ids) =>
      ids
        .map(checked)
        .filter((piece) => !special.has(piece))
        .map(surface)
        .join(""),
    startsWord: (id) => !checked(id).startsWith(CONTINUATION),
    language: () => undefined,
  };
}

function surface(piece: string, index: number): string {
  let text = piece;
  if (index > 0) text = piece.startsWith(CONTINUATION) ? piece.slice(CONTINUATION.length) : ` ${piece}`;
  for (const [from, to] of CLEANUPS) text = text.replaceAll(from, to);
  return text;
}

/**
 * The tokens of a `vocab.txt`, one a line, in order of ids. A special token that the file lacks has an id behind it, as
 * BERT's tokenizer gives it one.
 */
export function readWordPieceVocabulary(text: string, special: readonly string[]): string[] {
  const pieces = text.split(/\r?\n/);
  if (pieces.at(-1) === "") pieces.pop();
  const known = new Set(pieces);
  return [...pieces, ...special.filter((token) => !known.has(token))];
}
