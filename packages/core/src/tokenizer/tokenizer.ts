/** Ids to text, by the rules of the model's own tokenizer. Blank is not part of it: its id is `size`. */
export interface Tokenizer {
  readonly kind: "sentencepiece" | "wordpiece" | "characters" | "aggregate";
  /** Number of ids; ids are `0 … size - 1`. */
  readonly size: number;
  /** The vocabulary as the checkpoint spells it (`▁the`, `##ing`, `a`), in order of ids. */
  readonly pieces: readonly string[];
  /** The text of a whole id sequence, before NeMo's own post-processing of punctuation. */
  decode(ids: readonly number[]): string;
  /** True where a token begins a new word (`▁…`; not `##…`; in character models nothing but the separator does). */
  startsWord(id: number): boolean;
  /** The language of a token in aggregate tokenizers; undefined in all others. */
  language(id: number): string | undefined;
}
