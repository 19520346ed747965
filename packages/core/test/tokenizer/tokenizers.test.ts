import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TokenizerSpec } from "../../src/config/spec.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { openTokenizer, sentencePieceFromPieces } from "../../src/tokenizer/open.ts";
import { postProcessText, stripLangTags, supportedPunctuation } from "../../src/tokenizer/post-process.ts";
import { readWordPieceVocabulary } from "../../src/tokenizer/wordpiece.ts";

const fixture = (name: string): Buffer => readFileSync(new URL(`./fixtures/${name}`, import.meta.url));
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const SPECIAL = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];

describe("wordPieceTokenizer", () => {
  /** What transformers 5.23 says of random ids: `decode(ids, skip_special_tokens=True)`. */
  const { vocab, cases }: { vocab: string[]; cases: [number[], string][] } = JSON.parse(
    fixture("wordpiece.json").toString(),
  );

  test("decodes as BERT's tokenizer does", () => {
    const pieces = readWordPieceVocabulary(`${vocab.join("\n")}\n`, SPECIAL);
    const tokenizer = createTokenizer({ kind: "wordpiece", pieces, special: SPECIAL });
    for (const [ids, text] of cases) expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.startsWord(vocab.indexOf("the"))).toBe(true);
    expect(tokenizer.startsWord(vocab.indexOf("##ing"))).toBe(false);
    expect(() => tokenizer.decode([99])).toThrow(
      new RangeError("decode: expected ids in [0, 33), got 99. Give ids of this tokenizer."),
    );
  });

  test("gives special tokens that the file lacks the ids behind it", () => {
    expect(readWordPieceVocabulary("a\r\n[CLS]\r\nb\r\n", SPECIAL)).toEqual([
      ...["a", "[CLS]", "b", "[UNK]", "[SEP]", "[PAD]", "[MASK]"],
    ]);
  });
});

describe("characterTokenizer", () => {
  const tokenizer = createTokenizer({ kind: "characters", pieces: [" ", "a", "é"] });

  test("joins labels and begins words at the space", () => {
    expect(tokenizer.decode([0, 1, 2, 0, 1])).toBe(" aé a");
    expect([0, 1, 2].map((id) => tokenizer.startsWord(id))).toEqual([true, false, false]);
    expect(() => tokenizer.decode([3])).toThrow(
      new RangeError("decode: expected ids in [0, 3), got 3. Give ids of this tokenizer."),
    );
  });
});

describe("aggregateTokenizer", () => {
  const english = sentencePieceFromPieces(["<unk>", "▁the", "re"]);
  const spanish = sentencePieceFromPieces(["<unk>", "▁el", "la"]);
  const tokenizer = createTokenizer({
    kind: "aggregate",
    parts: [
      { lang: "en", data: english },
      { lang: "es", data: spanish },
    ],
  });

  test("puts the languages' ids one after another and joins their pieces", () => {
    expect(tokenizer.size).toBe(6);
    expect(tokenizer.pieces).toEqual([...english.pieces, ...spanish.pieces]);
    // As NeMo has it: the first space stays, and an unknown piece is written as it is spelled.
    expect(tokenizer.decode([1, 2, 4, 5, 3])).toBe(" there ella<unk>");
    expect([0, 1, 4].map((id) => tokenizer.startsWord(id))).toEqual([false, true, true]);
    expect([2, 3].map((id) => tokenizer.language(id))).toEqual(["en", "es"]);
    expect(() => tokenizer.decode([6])).toThrow(
      new RangeError("decode: expected ids in [0, 6), got 6. Give ids of this tokenizer."),
    );
  });
});

describe("openTokenizer", () => {
  const files: Record<string, Uint8Array> = {
    "nemo:1_tokenizer.model": fixture("bpe-user-symbols.model"),
    "nemo:2_vocab.txt": bytesOf("[UNK]\n[SEP]\n[PAD]\n[CLS]\n[MASK]\na\n"),
    "broken.txt": Uint8Array.of(0xff),
  };
  const artifact = async (value: string): Promise<Uint8Array | undefined> => files[value];
  const open = (spec: TokenizerSpec) => openTokenizer(spec, artifact);
  const words = (name: string): TokenizerSpec => ({ kind: "wordpiece", artifact: name, specialTokens: SPECIAL });

  test("reads the artifact of every kind", async () => {
    const sentencepiece = { kind: "sentencepiece", artifact: "nemo:1_tokenizer.model", vocabulary: [] } as const;
    expect((await open({ ...sentencepiece, size: 70 })).pieces.slice(0, 3)).toEqual(["<unk>", "<EOU>", "<EOB>"]);
    expect((await open({ ...words("nemo:2_vocab.txt"), size: 6 })).decode([0, 5])).toBe("a");
    expect((await open({ kind: "characters", labels: ["a", "b"], size: 2 })).decode([1])).toBe("b");
    const parts = ["en", "es"].map((lang) => ({ lang, tokenizer: sentencepiece }));
    expect((await open({ kind: "aggregate", parts, size: 140 })).language(70)).toBe("es");
  });

  test("takes the configuration's vocabulary where the model is not in the archive", async () => {
    const vocabulary = ["<unk>", "▁a", "b"];
    const tokenizer = await open({ kind: "sentencepiece", artifact: "gone", vocabulary, size: 3 });
    expect(tokenizer.decode([1, 0, 1, 2])).toBe("a \u2047  ab");
  });

  test.each<[string, TokenizerSpec, string, string]>([
    [
      "a SentencePiece model that is missing",
      { kind: "sentencepiece", artifact: "nemo:x", vocabulary: [] },
      "MODEL_INVALID",
      "tokenizer: the file `x` is not in the checkpoint. The archive is incomplete.",
    ],
    [
      "a WordPiece vocabulary that is missing",
      words("nemo:x"),
      "MODEL_INVALID",
      "tokenizer: the file `x` is not in the checkpoint. The archive is incomplete.",
    ],
    [
      "another size than the heads have",
      { kind: "characters", labels: ["a"], size: 2 },
      "MODEL_INVALID",
      "tokenizer: expected 2 tokens from the model's heads, got 1. The checkpoint contradicts itself.",
    ],
    [
      "a vocabulary that is no text",
      words("broken.txt"),
      "FORMAT_INVALID",
      "broken.txt: expected UTF-8 text, got other bytes.",
    ],
  ])("refuses %s", async (_, spec, code, message) => {
    await expect(open(spec)).rejects.toThrow(expect.objectContaining({ code, message }));
  });

  test("tells types of pieces from their spelling", () => {
    const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
    const { types } = sentencePieceFromPieces(["<unk>", "<s>", "</s>", "<pad>", "▁a", ...bytes]);
    expect(types.slice(0, 6)).toEqual(["unknown", "control", "control", "control", "normal", "byte"]);
    expect(sentencePieceFromPieces(["<0x0A>"]).types).toEqual(["normal"]);
  });
});

describe("postProcessText", () => {
  /** `[vocabulary, its punctuation, text, text without spaces before it, tagged text without tags]`, by NeMo 3.0.0. */
  const cases: [string[], string[], string, string, string][] = JSON.parse(fixture("post-process.json").toString());

  test("takes one space away before punctuation that the vocabulary knows, as NeMo does", () => {
    for (const [pieces, marks, text, processed, untagged] of cases) {
      expect([...supportedPunctuation(pieces)].sort()).toEqual(marks);
      expect(postProcessText(text, createTokenizer({ kind: "characters", pieces }))).toBe(processed);
      expect(stripLangTags(`${text} <en-US>${text}<de-DE> `)).toBe(untagged);
    }
  });

  test("leaves a text alone where the vocabulary has no punctuation", () => {
    expect(postProcessText("a , b", createTokenizer({ kind: "characters", pieces: ["a"] }))).toBe("a , b");
  });

  test("takes a checkpoint's own pattern for language tags", () => {
    expect(stripLangTags("hallo [de] welt [de]", "\\[[a-z]{2}\\]")).toBe("hallo  welt");
  });
});
