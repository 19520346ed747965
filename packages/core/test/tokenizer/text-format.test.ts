import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { sentencePieceFromPieces } from "../../src/tokenizer/open.ts";
import { formatTokenizer, parseTokenizer, renderTokens, tokenizerFromTokens } from "../../src/tokenizer/text-format.ts";
import type { TokenizerData } from "../../src/tokenizer/tokenizer.ts";

const text = fc.string({ unit: "binary", maxLength: 5 });
const types = fc.constantFrom("normal", "unknown", "control", "user", "unused");
const simple = fc.oneof(
  fc.array(fc.tuple(text, types), { minLength: 1, maxLength: 8 }).chain((pieces) =>
    fc.record({
      kind: fc.constant("sentencepiece" as const),
      pieces: fc.constant(pieces.map(([piece]) => piece)),
      types: fc.constant(pieces.map(([, type]) => type)),
      unkSurface: text,
      leadingSpace: fc.constantFrom("one", "all", "none"),
    }),
  ),
  fc.record({ kind: fc.constant("wordpiece" as const), pieces: fc.array(text), special: fc.array(text) }),
  fc.record({ kind: fc.constant("characters" as const), pieces: fc.array(text) }),
) as fc.Arbitrary<TokenizerData>;
const anyData = fc.oneof(
  simple,
  fc.record({
    kind: fc.constant("aggregate" as const),
    parts: fc.array(fc.record({ lang: text, data: simple }), { maxLength: 3 }),
  }),
);

describe("formatTokenizer", () => {
  test("writes what parseTokenizer reads back, whatever the tokenizer", () => {
    fc.assert(
      fc.property(anyData, (data) => {
        const tokenizer = createTokenizer(data);
        const again = parseTokenizer(formatTokenizer(tokenizer));
        expect(again.data).toEqual({ ...data });
        const ids = tokenizer.pieces.map((_, id) => id);
        expect(again.decode(ids)).toBe(tokenizer.decode(ids));
      }),
      { seed: 4 },
    );
  });

  test("writes one token a line", () => {
    const tokenizer = createTokenizer(sentencePieceFromPieces(["<unk>", "▁a"]));
    expect(formatTokenizer(tokenizer)).toBe(
      [
        '{\n  "format": "nemo-stt tokenizer 1",\n  "kind": "sentencepiece",\n  "pieces": [\n    "<unk>",\n    "▁a"\n  ],',
        '  "types": ["unknown","normal"],\n  "unkSurface": " \u2047 ",\n  "leadingSpace": "one"\n}\n',
      ].join("\n"),
    );
  });
});

describe("parseTokenizer", () => {
  const file = (members: object): string => JSON.stringify({ format: "nemo-stt tokenizer 1", ...members });
  const nested = { kind: "aggregate", parts: [{ lang: "en", data: { kind: "aggregate", parts: [] } }] };

  test.each([
    ["another text", "hello", "FORMAT_INVALID", "t.txt: expected JSON, got other text. Export the model again."],
    ["another JSON", "[]", "FORMAT_INVALID", "t.txt: expected an object."],
    [
      "another version",
      '{"format":"nemo-stt tokenizer 9"}',
      "FORMAT_UNSUPPORTED",
      't.txt: expected format "nemo-stt tokenizer 1", got "nemo-stt tokenizer 9". Export the model again.',
    ],
    ["another kind", file({ kind: "x" }), "FORMAT_INVALID", 't.txt: expected a kind of tokenizer, got "x".'],
    [
      "a list of numbers",
      file({ kind: "characters", pieces: [1] }),
      "FORMAT_INVALID",
      "t.txt: expected texts as pieces, got 1.",
    ],
    ["no list", file({ kind: "characters" }), "FORMAT_INVALID", "t.txt: expected a list of pieces."],
    [
      "too few types",
      file({ kind: "sentencepiece", pieces: ["a", "b"], types: ["normal"] }),
      "FORMAT_INVALID",
      "t.txt: expected 2 types, got 1.",
    ],
    [
      "an unknown type",
      file({ kind: "sentencepiece", pieces: ["a"], types: ["odd"] }),
      "FORMAT_INVALID",
      't.txt: expected types of normal, unknown, control, user, unused, byte, got "odd".',
    ],
    ["nested aggregates", file(nested), "FORMAT_INVALID", "t.txt: expected a list of tokenizers."],
  ])("refuses %s", (_, content, code, message) => {
    expect(() => parseTokenizer(content, "t.txt")).toThrow(expect.objectContaining({ code, message }));
  });
});

describe("renderTokens", () => {
  test("writes sherpa-onnx's form, blank last and white space as its mark", () => {
    const tokenizer = createTokenizer({ kind: "characters", pieces: [" ", "a", "'"] });
    expect(renderTokens(tokenizer)).toBe("▁ 0\na 1\n' 2\n<blk> 3\n");
  });

  test("is read back by tokenizerFromTokens", () => {
    for (const data of [
      sentencePieceFromPieces(["<unk>", "▁a", "b", "▁", "1"]),
      { kind: "wordpiece", pieces: ["[UNK]", "a", "##b"], special: ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"] },
      { kind: "characters", pieces: [" ", "a", "中"] },
      { kind: "characters", pieces: ["中", "文"] },
    ] as TokenizerData[]) {
      expect(tokenizerFromTokens(renderTokens(createTokenizer(data))).data).toEqual(data);
    }
  });
});

describe("tokenizerFromTokens", () => {
  test("reads lines in any order, with and without blank, a bare number as the space", () => {
    expect(tokenizerFromTokens("b 1\r\n2\r\na 0\r\n<blank> 3\r\n").pieces).toEqual(["a", "b", " "]);
    expect(tokenizerFromTokens("a 0\nb 1\n").pieces).toEqual(["a", "b"]);
  });

  test.each([
    [
      "a line without number",
      "a 0\nb\n",
      "FORMAT_INVALID",
      'tokens.txt: line 2: expected a token and its number, got "b".',
    ],
    ["a number twice", "a 0\nb 0\n", "FORMAT_INVALID", "tokens.txt: line 2: expected every number once, got 0 again."],
    ["a gap", "a 0\nb 2\n", "FORMAT_INVALID", "tokens.txt: expected the numbers 0 to 2, got 2 of them."],
    ["nothing", "\n", "FORMAT_INVALID", "tokens.txt: expected tokens, got none."],
    [
      "a huge number",
      "a 999999999\n",
      "LIMIT_EXCEEDED",
      "tokens.txt: expected at most 1048576 tokens, got 1000000000.",
    ],
  ])("refuses %s", (_, content, code, message) => {
    expect(() => tokenizerFromTokens(content)).toThrow(expect.objectContaining({ code, message }));
  });
});
