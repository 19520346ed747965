import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type ParsedNode,
  Parser,
  type Scalar,
} from "yaml";
import { SpeechError } from "../errors.ts";
import { resolveInterpolations } from "./interpolation.ts";
import { define, isRecord } from "./plain-data.ts";
import { quote, strictTextDecoder } from "./text.ts";
import { resolvePlainScalar } from "./yaml-scalars.ts";

/** The largest published configuration (three vocabularies of 16,000 pieces) has 0.6 MB. */
const MAX_YAML_BYTES = 4 << 20;
/** Words, indicators, spaces and line ends: four for each label of a vocabulary. They take far more memory than text. */
const MAX_LEXEMES = 1_000_000;
/** NeMo's configurations are at most eight deep. */
const MAX_DEPTH = 64;
/** Values after aliases are expanded; the largest configuration has 50,000. */
const MAX_VALUES = 500_000;

/**
 * Reads `model_config.yaml` as NeMo does: the YAML of `parseYaml`, the sub-tree `model` where the file is a whole
 * experiment's (`save_restore_connector.py`), OmegaConf's interpolations resolved and missing values (`???`) left out.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED`, `LIMIT_EXCEEDED`, `MODEL_INVALID` (interpolations).
 */
export function parseModelConfig(bytes: Uint8Array, where: string): Record<string, unknown> {
  const root = parseYaml(decodeText(bytes, where), where);
  if (!isRecord(root)) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a mapping of keys to values, got ${kindOf(root)}. The file is no model configuration.`,
    );
  }
  return resolveInterpolations(root, isRecord(root.model) ? ["model"] : [], where);
}

/**
 * Reads one YAML document into plain data, with scalars as OmegaConf's loader (PyYAML, YAML 1.1) reads them: `yes` is
 * true, `1e-05` and `1_000` are numbers, `0o7` and dates are text. Keys are text as written. Aliases are copies,
 * `<<` merges; unlike with the Web's usual readers, `__proto__` is a key like any other.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED` (tags, several documents), `LIMIT_EXCEEDED`.
 */
export function parseYaml(text: string, where: string): unknown {
  const tokens = tokenize(text, where);
  checkDepth(tokens, where);
  const lineStarts = lineOffsets(text);
  const fail: Fail = (code, offset, message) => {
    const line = lineStarts.findLastIndex((start) => start <= offset) + 1;
    throw new SpeechError(code, `${where}: line ${line}: ${message}`);
  };
  // Scalars are resolved here, so "failsafe"; duplicates too, because the library takes quadratic time for them.
  const composer = new Composer({ schema: "failsafe", uniqueKeys: false });
  const documents = composer.compose(tokens, true, text.length) as Generator<Document.Parsed<ParsedNode>, void>;
  const document = documents.next().value as Document.Parsed<ParsedNode>; // There is one, because it is asked for.
  const second = documents.next().value ?? undefined;
  const error = document.errors[0] ?? second?.errors[0];
  if (error !== undefined) fail("FORMAT_INVALID", error.pos[0], `expected YAML, got a syntax error: ${error.message}.`);
  if (second !== undefined) fail("FORMAT_UNSUPPORTED", second.range[0], "expected one document, got several.");
  const builder: Builder = { anchors: new Map(), numValues: 0, fail };
  return document.contents === null ? null : build(builder, document.contents);
}

type Fail = (
  code: "FORMAT_INVALID" | "FORMAT_UNSUPPORTED" | "LIMIT_EXCEEDED",
  offset: number,
  message: string,
) => never;

interface Builder {
  /** Finished values only, so that no value can contain itself. */
  readonly anchors: Map<string, unknown>;
  numValues: number;
  readonly fail: Fail;
}

function build(builder: Builder, node: ParsedNode): unknown {
  count(builder, node);
  if (isAlias(node)) {
    if (!builder.anchors.has(node.source))
      builder.fail("FORMAT_INVALID", node.range[0], `alias ${quote(node.source)} has no anchor before it.`);
    return copy(builder, builder.anchors.get(node.source), node);
  }
  const value = isMap(node)
    ? buildMap(builder, node)
    : isSeq(node)
      ? buildSequence(builder, node)
      : buildScalar(builder, node);
  if (node.anchor !== undefined) builder.anchors.set(node.anchor, value);
  return value;
}

function buildMap(
  builder: Builder,
  node: ParsedNode & { items: readonly { key: ParsedNode; value: ParsedNode | null }[] },
) {
  checkTag(builder, node, ["map"]);
  const map: Record<string, unknown> = {};
  const merged: Record<string, unknown> = {};
  for (const { key, value } of node.items) {
    if (!isScalar(key))
      builder.fail("FORMAT_UNSUPPORTED", key.range[0], "expected text as a key, got a collection or an alias.");
    const item = value === null ? null : build(builder, value);
    if (key.type === "PLAIN" && key.source === "<<") {
      for (const source of Array.isArray(item) ? item : [item]) {
        if (!isRecord(source)) builder.fail("FORMAT_INVALID", key.range[0], "expected mappings to merge with `<<`.");
        for (const [name, inner] of Object.entries(source))
          if (!Object.hasOwn(merged, name)) define(merged, name, inner);
      }
      continue;
    }
    const name = key.type === "PLAIN" ? (key.source ?? "") : String(key.value);
    if (Object.hasOwn(map, name)) builder.fail("FORMAT_INVALID", key.range[0], `key ${quote(name)} stands twice.`);
    define(map, name, item);
  }
  for (const [name, value] of Object.entries(merged)) if (!Object.hasOwn(map, name)) define(map, name, value);
  return map;
}

function buildSequence(builder: Builder, node: ParsedNode & { items: readonly ParsedNode[] }): unknown {
  const tag = checkTag(builder, node, ["seq", "python/tuple", "python/object/apply:pathlib.PosixPath"]);
  const items = node.items.map((item) => build(builder, item));
  // OmegaConf writes a Path as a call of its class with the parts.
  return tag.includes("pathlib") ? items.join("/").replace(/^\/+/, "/") : items;
}

function buildScalar(builder: Builder, node: Scalar.Parsed): unknown {
  const tag = checkTag(builder, node, ["str", "int", "float", "bool", "null"]);
  const text = node.type === "PLAIN" ? (node.source ?? "") : String(node.value);
  const isText = tag === "str" || (tag === "" && node.type !== "PLAIN") || node.tag === "!";
  return isText ? text : resolvePlainScalar(text);
}

/** The node's tag without its prefix, "" for none. */
function checkTag(builder: Builder, node: ParsedNode, known: readonly string[]): string {
  const tag = (node.tag ?? "").replace(/^tag:yaml\.org,2002:/, "").replace(/^!$/, "");
  if (tag !== "" && !known.includes(tag))
    builder.fail("FORMAT_UNSUPPORTED", node.range[0], `tag ${quote(tag)} is not read.`);
  return tag;
}

function copy(builder: Builder, value: unknown, at: ParsedNode): unknown {
  count(builder, at);
  if (Array.isArray(value)) return value.map((item) => copy(builder, item, at));
  if (!isRecord(value)) return value;
  const map: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) define(map, name, copy(builder, item, at));
  return map;
}

function count(builder: Builder, node: ParsedNode): void {
  if (++builder.numValues > MAX_VALUES) {
    builder.fail(
      "LIMIT_EXCEEDED",
      node.range[0],
      `expected at most ${MAX_VALUES} values, aliases expanded. No model configuration has so many.`,
    );
  }
}

/** The token tree, as `Parser.parse` makes it, with the number of its leaves counted as they come. */
function tokenize(text: string, where: string): CST.Token[] {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  let numLexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++numLexemes > MAX_LEXEMES) {
      throw new SpeechError(
        "LIMIT_EXCEEDED",
        `${where}: expected at most ${MAX_LEXEMES} pieces of syntax. No model configuration has so many.`,
      );
    }
    for (const token of parser.next(lexeme)) tokens.push(token);
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

/** Nesting of the token tree; by a stack of our own, because the library composes recursively. */
function checkDepth(tokens: readonly CST.Token[], where: string): void {
  const pending: [CST.Token | null | undefined, number][] = tokens.map((token) => [token, 0]);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [token, depth] = next;
    if (depth > MAX_DEPTH) {
      throw new SpeechError(
        "LIMIT_EXCEEDED",
        `${where}: expected at most ${MAX_DEPTH} levels of nesting. No model configuration is so deep.`,
      );
    }
    if (token?.type === "document") pending.push([token.value, depth]);
    if (token != null && "items" in token) {
      for (const item of token.items) pending.push([item.key, depth + 1], [item.value, depth + 1]);
    }
  }
}

function decodeText(bytes: Uint8Array, where: string): string {
  if (bytes.length > MAX_YAML_BYTES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${where}: expected at most ${MAX_YAML_BYTES} bytes, got ${bytes.length}. No model configuration is so large.`,
    );
  }
  try {
    return strictTextDecoder.decode(bytes);
  } catch {
    throw new SpeechError("FORMAT_INVALID", `${where}: expected UTF-8 text. The file is corrupt.`);
  }
}

function lineOffsets(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function kindOf(value: unknown): string {
  if (value === null) return "nothing";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
