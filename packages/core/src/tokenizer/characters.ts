import type { CharacterData, Tokenizer } from "./tokenizer.ts";

/** Labels joined as they are; the label of a single space separates words. */
export function characterTokenizer(data: CharacterData): Tokenizer {
  const { pieces } = data;
  return {
    kind: "characters",
    size: pieces.length,
    pieces,
    data,
    decode(ids) {
      let text = "";
      for (const id of ids) {
        if (pieces[id] === undefined)
          throw new RangeError(`decode: expected ids in [0, ${pieces.length}), got ${id}. Give ids of this tokenizer.`);
        text += pieces[id];
      }
      return text;
    },
    startsWord: (id) => pieces[id] === " ",
    language: () => undefined,
  };
}
