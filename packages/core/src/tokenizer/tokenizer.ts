/** Ids to text, by the rules of the model's own tokenizer. Blank is not part of it: its id is `size`. */
export interface Tokenizer {
  readonly kind: "sentencepiece" | "wordpiece" | "characters" | "aggregate";
  /** Number of ids; ids are `0 … size - 1`. */
  readonly size: number;
  /** The vocabulary as the checkpoint spells it (`▁the`, `##ing`, `a`), in order of ids. */
  readonly pieces: readonly string[];
  /** All that the tokenizer is made of, from which `createTokenizer` makes the same one again. */
  readonly data: TokenizerData;
  /** The text of a whole id sequence, before NeMo's own post-processing of punctuation. */
  decode(ids: readonly number[]): string;
  /** True where a token begins a new word (`▁…`; not `##…`; in character models nothing but the separator does). */
  startsWord(id: number): boolean;
  /** The language of a token in aggregate tokenizers; undefined in all others. */
  language(id: number): string | undefined;
}

/** A tokenizer as plain data. */
export type TokenizerData = SentencePieceData | WordPieceData | CharacterData | AggregateData;

/** What decoding needs of a SentencePiece model. */
export interface SentencePieceData {
  readonly kind: "sentencepiece";
  readonly pieces: readonly string[];
  /** Of each piece, as in `sentencepiece_model.proto`. */
  readonly types: readonly PieceType[];
  /** What an unknown piece is written as. */
  readonly unkSurface: string;
  /**
   * What becomes of the space that the first pieces begin with: `one` is taken from the first, `all` from every piece
   * before the text begins, `none` at all.
   */
  readonly leadingSpace: "one" | "all" | "none";
}

/** Types of SentencePiece pieces, by the names of `sentencepiece_model.proto`. */
export type PieceType = "normal" | "unknown" | "control" | "user" | "unused" | "byte";

/** A BERT vocabulary. */
export interface WordPieceData {
  readonly kind: "wordpiece";
  readonly pieces: readonly string[];
  /** Tokens that are left out of the text. */
  readonly special: readonly string[];
}

/** Labels, one a class. */
export interface CharacterData {
  readonly kind: "characters";
  readonly pieces: readonly string[];
}

/** Tokenizers of several languages, their ids one after another. */
export interface AggregateData {
  readonly kind: "aggregate";
  readonly parts: readonly { readonly lang: string; readonly data: TokenizerData }[];
}
