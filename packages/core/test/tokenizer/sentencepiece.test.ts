import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  protoWriter,
  writeBytes,
  writeInt,
  writeMessage,
  writeString,
  writtenBytes,
} from "../../src/protobuf/writer.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { readSentencePieceModel } from "../../src/tokenizer/sentencepiece-model.ts";

const fixture = (name: string): Uint8Array => readFileSync(new URL(`./fixtures/${name}`, import.meta.url));

/** Made with SentencePiece 0.2.3 from eight sentences of ours: models, and what its `decode_ids` says of random ids. */
const decoded: Record<string, [number[], string][]> = JSON.parse(fixture("sentencepiece.json").toString());

const read = (name: string) => readSentencePieceModel(fixture(`${name}.model`), `${name}.model`);

/** A model proto of one piece after another, with whatever `write` adds. */
function proto(pieces: [string, number?][], write: (writer: ReturnType<typeof protoWriter>) => void = () => {}) {
  const writer = protoWriter();
  for (const [piece, type] of pieces) {
    writeMessage(writer, 1, () => {
      writeString(writer, 1, piece);
      if (type !== undefined) writeInt(writer, 3, type);
    });
  }
  write(writer);
  return writtenBytes(writer).slice();
}

describe("sentencePieceTokenizer", () => {
  test.each(Object.keys(decoded))("decodes %s as SentencePiece does", (name) => {
    const tokenizer = createTokenizer(read(name));
    for (const [ids, text] of decoded[name]) expect(tokenizer.decode(ids)).toBe(text);
  });

  test("says which tokens begin a word", () => {
    const tokenizer = createTokenizer(read("bpe-user-symbols"));
    const begins = tokenizer.pieces.filter((_, id) => tokenizer.startsWord(id));
    expect(begins.length).toBeGreaterThan(5);
    expect(begins.every((piece) => piece.startsWith("▁"))).toBe(true);
    expect(tokenizer.startsWord(0)).toBe(false);
    expect(tokenizer.language(0)).toBeUndefined();
  });

  test("refuses ids that it does not have", () => {
    const tokenizer = createTokenizer(read("bpe-suffix"));
    expect(() => tokenizer.decode([1, 70])).toThrow(
      new RangeError("decode: expected ids in [0, 70), got 70. Give ids of this tokenizer."),
    );
    expect(() => tokenizer.decode([-1])).toThrow(RangeError);
  });

  test("refuses a byte piece that is no byte", () => {
    const data = readSentencePieceModel(proto([["<0xZZ>", 6]]), "x");
    expect(() => createTokenizer(data)).toThrow('tokenizer: expected a byte piece like <0x0A>, got "<0xZZ>".');
  });
});

describe("readSentencePieceModel", () => {
  test("reads types and the flags of decoding", () => {
    const bytes = read("unigram-bytes");
    expect(bytes.types.filter((type) => type === "byte").length).toBe(256);
    expect(bytes.types.slice(0, 5)).toEqual(["unknown", "control", "control", "control", "control"]);
    expect([bytes.unkSurface, bytes.leadingSpace]).toEqual(["(?)", "one"]);
    const user = read("bpe-user-symbols");
    expect(user.pieces.filter((_, id) => user.types[id] === "user")).toEqual(["<EOU>", "<EOB>", "<en-US>"]);
    expect([user.unkSurface, user.leadingSpace]).toEqual([" \u2047 ", "all"]);
    expect(read("unigram-no-prefix").leadingSpace).toBe("none");
  });

  test("has the proto's defaults for what a model does not say", () => {
    expect(readSentencePieceModel(proto([["a"]]), "x")).toEqual({
      kind: "sentencepiece",
      pieces: ["a"],
      types: ["normal"],
      unkSurface: " \u2047 ",
      leadingSpace: "all",
    });
  });

  test("skips fields that it does not know", () => {
    const bytes = proto([["a"], ["b", 5]], (writer) => {
      writeInt(writer, 99, 7);
      writeBytes(writer, 100, new Uint8Array(1000));
    });
    expect(readSentencePieceModel(bytes, "x").types).toEqual(["normal", "unused"]);
  });

  test.each([
    ["no pieces", proto([]), "x.model: expected a SentencePiece model, got one without pieces."],
    ["an empty piece", proto([[""]]), "x.model: expected a piece with a text, got an empty one."],
    [
      "text",
      new TextEncoder().encode("hello"),
      "x.model: expected a field tag, got field 13 of wire type 4, at byte 2. The file is truncated or corrupt.",
    ],
    ["a cut model", proto([["abc"]]).slice(0, 4), "x.model: expected field 1 to end by byte 4"],
  ])("refuses %s", (_, bytes, text) => {
    expect(() => readSentencePieceModel(bytes, "x.model")).toThrow(expect.objectContaining({ code: "FORMAT_INVALID" }));
    expect(() => readSentencePieceModel(bytes, "x.model")).toThrow(text);
  });

  test("refuses a model that rewrites its output", () => {
    const bytes = proto([["a"]], (writer) => writeMessage(writer, 5, () => writeBytes(writer, 2, new Uint8Array(9))));
    expect(() => readSentencePieceModel(bytes, "x.model")).toThrow(
      expect.objectContaining({
        code: "FORMAT_UNSUPPORTED",
        message: "x.model: expected a SentencePiece model without denormalizer, got one with a table of 9 bytes.",
      }),
    );
  });

  test("stops at more pieces than any tokenizer has", () => {
    const piece = proto([["a"]]);
    const bytes = new Uint8Array(piece.length * (2 ** 20 + 1));
    for (let at = 0; at < bytes.length; at += piece.length) bytes.set(piece, at);
    expect(() => readSentencePieceModel(bytes, "x.model")).toThrow(
      expect.objectContaining({
        code: "LIMIT_EXCEEDED",
        message: "x.model: expected at most 1048576 pieces, got more. No known tokenizer has a quarter of that.",
      }),
    );
  });
});
