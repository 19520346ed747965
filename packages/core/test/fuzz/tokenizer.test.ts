import { readFileSync } from "node:fs";
import { describe } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { sentencePieceFromPieces } from "../../src/tokenizer/open.ts";
import { readSentencePieceModel } from "../../src/tokenizer/sentencepiece-model.ts";
import { formatTokenizer, parseTokenizer, renderTokens, tokenizerFromTokens } from "../../src/tokenizer/text-format.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { fuzz } from "./fuzz.ts";

const MODELS = ["bpe-suffix", "bpe-user-symbols", "unigram-bytes", "unigram-no-prefix"];
const models = MODELS.map(
  (name) => new Uint8Array(readFileSync(new URL(`../tokenizer/fixtures/${name}.model`, import.meta.url))),
);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const decodeAll = (tokenizer: Tokenizer): string => tokenizer.decode(tokenizer.pieces.map((_, id) => id));

describe("fuzz", () => {
  fuzz("SentencePiece", models, (bytes) => decodeAll(createTokenizer(readSentencePieceModel(bytes, "input"))));

  const tokenizers = [
    createTokenizer(sentencePieceFromPieces(["<unk>", "▁a", "b"])),
    createTokenizer({
      kind: "aggregate",
      parts: [
        { lang: "en", data: { kind: "characters", pieces: ["a"] } },
        { lang: "de", data: { kind: "wordpiece", pieces: ["a", "##b"], special: [] } },
      ],
    }),
  ];
  fuzz(
    "tokenizer.txt",
    tokenizers.map((each) => utf8(formatTokenizer(each))),
    (bytes) => decodeAll(parseTokenizer(text(bytes))),
  );
  fuzz(
    "tokens.txt",
    tokenizers.map((each) => utf8(renderTokens(each))),
    (bytes) => decodeAll(tokenizerFromTokens(text(bytes))),
  );
});
