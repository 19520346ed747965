import { characterTokenizer } from "./characters.ts";
import { sentencePieceTokenizer } from "./sentencepiece.ts";
import type { AggregateData, Tokenizer, TokenizerData } from "./tokenizer.ts";
import { wordPieceTokenizer } from "./wordpiece.ts";

/** The tokenizer that some data describes. */
export function createTokenizer(data: TokenizerData): Tokenizer {
  switch (data.kind) {
    case "sentencepiece":
      return sentencePieceTokenizer(data);
    case "wordpiece":
      return wordPieceTokenizer(data);
    case "characters":
      return characterTokenizer(data);
    case "aggregate":
      return aggregateTokenizer(data);
  }
}

/**
 * Several tokenizers whose ids follow one another. Text is the pieces of all of them joined, `▁` written as a space, as
 * NeMo's `AggregateTokenizer.ids_to_text` does: no first space is taken off and no piece is special.
 */
function aggregateTokenizer(data: AggregateData): Tokenizer {
  const owners = data.parts.flatMap(({ lang, data: part }) => {
    const tokenizer = createTokenizer(part);
    return tokenizer.pieces.map((piece, localId) => ({ lang, tokenizer, piece, localId }));
  });
  const ownerOf = (id: number): (typeof owners)[number] => {
    const owner = owners[id];
    if (owner === undefined)
      throw new RangeError(`decode: expected ids in [0, ${owners.length}), got ${id}. Give ids of this tokenizer.`);
    return owner;
  };
  return {
    kind: "aggregate",
    size: owners.length,
    pieces: owners.map(({ piece }) => piece),
    data,
    decode: (ids) =>
      ids
        .map((id) => ownerOf(id).piece)
        .join("")
        .replaceAll("\u2581", " "),
    startsWord: (id) => ownerOf(id).tokenizer.startsWord(ownerOf(id).localId),
    language: (id) => ownerOf(id).lang,
  };
}
