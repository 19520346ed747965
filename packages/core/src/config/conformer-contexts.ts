import type { SpeechError } from "../errors.ts";
import { type ConfigBlock, choiceOr, modelError, rawValue, wrong } from "./block.ts";
import type { AttContext, ConformerSpec } from "./spec.ts";

/** A published model lists at most twenty; the product of a hostile list must not grow beyond memory. */
const MAX_CONTEXTS = 1000;

/**
 * The attention contexts of a Conformer, by `_calc_context_sizes` of conformer_encoder.py.
 *
 * A single pair and a list of pairs are read alike. In `chunked_limited_with_rc` NeMo starts with full attention, whatever
 * triples `att_context_size` has; those that it was trained with stand in `att_chunk_context_size`, one list for each of
 * left, chunk and right. Either kind can be chosen.
 */
export function describeContexts(
  block: ConfigBlock,
  isLocal: boolean,
): Pick<ConformerSpec["attention"], "contexts" | "style" | "chunkContexts"> {
  const style = choiceOr(
    block,
    "att_context_style",
    ["regular", "chunked_limited", "chunked_limited_with_rc"] as const,
    "regular",
  );
  const chunkContexts = describeChunkContexts(block);
  if (style === "chunked_limited_with_rc") {
    return { style, contexts: [{ left: -1, right: -1 }], chunkContexts: [...listTriples(block), ...chunkContexts] };
  }
  const contexts = listContexts(block);
  for (const context of contexts) checkContext(block, context, style, isLocal, contexts.length);
  return { style, contexts, chunkContexts: [] };
}

function listContexts(block: ConfigBlock): AttContext[] {
  const value = rawValue(block, "att_context_size");
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) {
    return [{ left: -1, right: -1 }];
  }
  const error = (): SpeechError => wrong(block, "att_context_size", "pairs of integers of at least -1", value);
  if (!Array.isArray(value)) throw error();
  const pairs: unknown[] = Array.isArray(value[0]) ? value : [value];
  if (pairs.length > MAX_CONTEXTS) throw tooMany(pairs.length);
  return pairs.map((pair) => {
    const isPair = Array.isArray(pair) && pair.length === 2 && pair.every((n) => Number.isSafeInteger(n) && n >= -1);
    if (!isPair) throw error();
    return { left: pair[0], right: pair[1] };
  });
}

/** The triples of `att_context_size`; NeMo does not read what stands there, so neither is anything else an error. */
function listTriples(block: ConfigBlock): (readonly [number, number, number])[] {
  const value = rawValue(block, "att_context_size");
  if (!Array.isArray(value)) return [];
  const triples: unknown[] = Array.isArray(value[0]) ? value : [value];
  if (triples.length > MAX_CONTEXTS) throw tooMany(triples.length);
  const isInteger = (n: unknown) => Number.isSafeInteger(n);
  return triples.filter((triple): triple is [number, number, number] => {
    return Array.isArray(triple) && triple.length === 3 && triple.every(isInteger) && isWindow(triple);
  });
}

/** A chunk and what is seen beside it. NeMo would count a -1 beside a chunk as one step less than none. */
const isWindow = (triple: readonly number[]) => triple.every((n) => n >= 0) && triple[1] > 0;

function checkContext(
  block: ConfigBlock,
  { left, right }: AttContext,
  style: ConformerSpec["attention"]["style"],
  isLocal: boolean,
  numContexts: number,
): void {
  const value = rawValue(block, "att_context_size");
  if (isLocal && (left < 0 || right < 0 || Math.max(left, right) < 1)) {
    throw wrong(block, "att_context_size", "a limited window for local attention", value);
  }
  if (style !== "chunked_limited") return;
  if (right < 0 && numContexts === 1) throw wrong(block, "att_context_size", "a limited right context", value);
  if (left > 0 && right >= 0 && left % (right + 1) !== 0) {
    throw wrong(block, "att_context_size", "left contexts that are multiples of the chunk (right + 1)", value);
  }
}

function describeChunkContexts(block: ConfigBlock): (readonly [number, number, number])[] {
  const value = rawValue(block, "att_chunk_context_size");
  if (value === undefined || value === null) return [];
  const lists: unknown[] = Array.isArray(value) && value.length === 3 ? Array.from(value) : [undefined];
  const [lefts, chunks, rights] = lists.map((list) => {
    const isList = Array.isArray(list) && list.length > 0 && list.every((n) => Number.isSafeInteger(n) && n >= -1);
    if (!isList) throw wrong(block, "att_chunk_context_size", "three lists of integers: left, chunk, right", value);
    return list as number[];
  });
  const count = lefts.length * chunks.length * rights.length;
  if (count > MAX_CONTEXTS) throw tooMany(count);
  return lefts
    .flatMap((left) => chunks.flatMap((chunk) => rights.map((right) => [left, chunk, right] as const)))
    .filter(isWindow);
}

function tooMany(count: number): SpeechError {
  return modelError(
    "LIMIT_EXCEEDED",
    `model_config.yaml: expected at most ${MAX_CONTEXTS} attention contexts, got ${count}. No known model has more than twenty.`,
  );
}
