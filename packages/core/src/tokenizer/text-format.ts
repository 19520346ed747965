import { shown } from "../config/block.ts";
import { SpeechError } from "../errors.ts";
import { createTokenizer } from "./create.ts";
import { sentencePieceFromPieces } from "./open.ts";
import type { PieceType, Tokenizer, TokenizerData } from "./tokenizer.ts";

/** First member of every tokenizer.txt, by which the format and its version are known. */
const FORMAT = "nemo-stt tokenizer 1";

const PIECE_TYPES: readonly PieceType[] = ["normal", "unknown", "control", "user", "unused", "byte"];
const LEADING_SPACES = ["one", "all", "none"] as const;

/** As in SentencePiece models: a quarter of it is more than any known vocabulary. */
const MAX_TOKENS = 2 ** 20;

/** Names under which blank stands in tokens files of sherpa-onnx, NeMo exports and onnx-asr. */
const BLANKS = new Set(["<blk>", "<blank>", "<eps>"]);

/**
 * The `tokens.txt` that sherpa-onnx and onnx-asr read: `piece id` on each line, blank last as `<blk>`.
 *
 * A piece with white space in it cannot be told apart there: a space is written as `▁`, and only tokenizer.txt is exact.
 */
export function renderTokens(tokenizer: Tokenizer): string {
  const lines = [...tokenizer.pieces, "<blk>"].map((piece, id) => `${piece.replace(/\s/gu, "▁")} ${id}\n`);
  return lines.join("");
}

/**
 * Reads a `tokens.txt` of another exporter: `piece id` on each line in any order, blank anywhere. Types of pieces are
 * told from their spelling; a line with a number alone is the token of a space.
 * @throws SpeechError `FORMAT_INVALID` or `LIMIT_EXCEEDED`
 */
export function tokenizerFromTokens(tokensTxt: string, name = "tokens.txt"): Tokenizer {
  const pieces: string[] = [];
  let count = 0;
  for (const [i, line] of tokensTxt.split(/\r?\n/).entries()) {
    if (line === "") continue;
    const match = /^(?:(.*)[ \t])?(\d{1,9})$/su.exec(line);
    if (!match) throw invalid(name, `line ${i + 1}: expected a token and its number, got ${shown(line)}`);
    const id = Number(match[2]);
    if (id >= MAX_TOKENS) throw tooMany(name, id + 1);
    if (pieces[id] !== undefined) throw invalid(name, `line ${i + 1}: expected every number once, got ${id} again`);
    pieces[id] = match[1] === undefined || match[1] === "" ? " " : match[1];
    count++;
  }
  if (count === 0) throw invalid(name, "expected tokens, got none");
  if (count !== pieces.length) {
    throw invalid(name, `expected the numbers 0 to ${pieces.length - 1}, got ${count} of them`);
  }
  const isBlankLast = BLANKS.has(pieces[pieces.length - 1]);
  const tokens = isBlankLast ? pieces.slice(0, -1) : pieces;
  return createTokenizer(dataFromTokens(tokens));
}

/** Pieces of SentencePiece mark spaces, those of WordPiece continuations; whatever has neither are characters. */
function dataFromTokens(pieces: readonly string[]): TokenizerData {
  if (pieces.some((piece) => piece.includes("▁"))) {
    // Where the only mark is a lone one, it stands for the space of a character model.
    const isCharacters = pieces.every((piece) => piece === "▁" || (!piece.includes("▁") && [...piece].length === 1));
    if (!isCharacters) return sentencePieceFromPieces(pieces);
    return { kind: "characters", pieces: pieces.map((piece) => (piece === "▁" ? " " : piece)) };
  }
  if (pieces.some((piece) => piece.startsWith("##"))) {
    const special = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    return { kind: "wordpiece", pieces, special };
  }
  return { kind: "characters", pieces };
}

/** A tokenizer as text, from which `parseTokenizer` makes the same one again: JSON with one token a line. */
export function formatTokenizer(tokenizer: Tokenizer): string {
  return `${formatData({ format: FORMAT, ...tokenizer.data }, "")}\n`;
}

function formatData(data: TokenizerData & { readonly format?: string }, indent: string): string {
  const inner = `${indent}  `;
  const members = Object.entries(data).map(([key, value]) => {
    if (data.kind === "aggregate" && key === "parts") {
      const parts = data.parts.map(
        ({ lang, data: part }) =>
          `${inner}  {"lang": ${JSON.stringify(lang)}, "data": ${formatData(part, `${inner}  `)}}`,
      );
      return `"parts": [\n${parts.join(",\n")}\n${inner}]`;
    }
    if (key === "pieces") {
      const pieces = (value as string[]).map((piece) => `${inner}  ${JSON.stringify(piece)}`);
      return `"pieces": [\n${pieces.join(",\n")}\n${inner}]`;
    }
    return `${JSON.stringify(key)}: ${JSON.stringify(value)}`;
  });
  return `{\n${inner}${members.join(`,\n${inner}`)}\n${indent}}`;
}

/**
 * Reads what `formatTokenizer` wrote.
 * @throws SpeechError `FORMAT_INVALID`, or `FORMAT_UNSUPPORTED` for another version
 */
export function parseTokenizer(text: string, name = "tokenizer.txt"): Tokenizer {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SpeechError("FORMAT_INVALID", `${name}: expected JSON, got other text. Export the model again.`, {
      cause,
    });
  }
  const data = recordOf(value, name);
  if (data.format !== FORMAT) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${name}: expected format "${FORMAT}", got ${shown(data.format)}. Export the model again.`,
    );
  }
  return createTokenizer(parseData(data, name, true));
}

function parseData(data: Record<string, unknown>, name: string, mayNest: boolean): TokenizerData {
  switch (data.kind) {
    case "sentencepiece":
      return {
        kind: "sentencepiece",
        pieces: textsOf(data, "pieces", name),
        types: parseTypes(data, name),
        unkSurface: textOf(data.unkSurface, "unkSurface", name),
        leadingSpace: oneOf(LEADING_SPACES, data.leadingSpace, "leadingSpace", name),
      };
    case "wordpiece":
      return { kind: "wordpiece", pieces: textsOf(data, "pieces", name), special: textsOf(data, "special", name) };
    case "characters":
      return { kind: "characters", pieces: textsOf(data, "pieces", name) };
    case "aggregate": {
      if (!mayNest || !Array.isArray(data.parts)) throw invalid(name, "expected a list of tokenizers");
      const parts = data.parts.map((part: unknown) => {
        const { lang, data: inner } = recordOf(part, name);
        return { lang: textOf(lang, "lang", name), data: parseData(recordOf(inner, name), name, false) };
      });
      return { kind: "aggregate", parts };
    }
    default:
      throw invalid(name, `expected a kind of tokenizer, got ${shown(data.kind)}`);
  }
}

function parseTypes(data: Record<string, unknown>, name: string): PieceType[] {
  const types = textsOf(data, "types", name).map((type) => oneOf(PIECE_TYPES, type, "types", name));
  const numPieces = textsOf(data, "pieces", name).length;
  if (types.length !== numPieces) throw invalid(name, `expected ${numPieces} types, got ${types.length}`);
  return types;
}

function textsOf(data: Record<string, unknown>, key: string, name: string): string[] {
  const list = data[key];
  if (!Array.isArray(list)) throw invalid(name, `expected a list of ${key}`);
  if (list.length > MAX_TOKENS) throw tooMany(name, list.length);
  return list.map((item: unknown) => textOf(item, key, name));
}

function textOf(value: unknown, key: string, name: string): string {
  if (typeof value !== "string") throw invalid(name, `expected texts as ${key}, got ${shown(value)}`);
  return value;
}

function oneOf<T extends string>(choices: readonly T[], value: unknown, key: string, name: string): T {
  const choice = choices.find((each) => each === value);
  if (choice === undefined) throw invalid(name, `expected ${key} of ${choices.join(", ")}, got ${shown(value)}`);
  return choice;
}

function recordOf(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(name, "expected an object");
  return value as Record<string, unknown>;
}

function invalid(name: string, expected: string): SpeechError {
  return new SpeechError("FORMAT_INVALID", `${name}: ${expected}.`);
}

function tooMany(name: string, count: number): SpeechError {
  return new SpeechError("LIMIT_EXCEEDED", `${name}: expected at most ${MAX_TOKENS} tokens, got ${count}.`);
}
