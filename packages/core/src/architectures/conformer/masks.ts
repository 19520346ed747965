import type { ConformerSpec } from "../../config/spec.ts";
import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { add, cast, div, range, slice, sub, unsqueeze } from "../../onnx/ops.ts";

/** What is added to a score that must not count; softmax turns it into an exact zero. */
const MASKED = -1e4;

/** Larger than any number of steps. */
const UNLIMITED = 1e6;

/** Which steps count, for one batch. */
export interface StepMasks {
  /** 1 for valid steps, 0 beyond: float32 `[batch, step, 1]`. */
  readonly valid: Value;
  /** Added to attention scores: float32, broadcasts to `[batch, head, query, key]`. */
  readonly scoreBias: Value;
}

/**
 * Masks from lengths and attention context (NeMo `ConformerEncoder._create_masks`).
 * @param context int64 `[2]` (`[3]` for `chunked_limited_with_rc`) as in `att_context_size`; undefined for full attention
 */
export function stepMasks(
  g: GraphBuilder,
  style: ConformerSpec["attention"]["style"],
  numSteps: Value,
  lengths: Value,
  context: Value | undefined,
): StepMasks {
  const steps = range(g, numSteps);
  const isValid = g.op("Less", [unsqueeze(g, steps, [0]), unsqueeze(g, lengths, [1])]);
  const keyBias = unsqueeze(g, g.op("Where", [isValid, g.number(0), g.number(MASKED)]), [1, 2]);
  const valid = unsqueeze(g, cast(g, isValid, "float32"), [2]);
  if (context === undefined) return { valid, scoreBias: keyBias };
  const query = unsqueeze(g, steps, [1]);
  const key = unsqueeze(g, steps, [0]);
  const isVisible = visible(g, style, query, key, context);
  return { valid, scoreBias: add(g, keyBias, g.op("Where", [isVisible, g.number(0), g.number(MASKED)])) };
}

/** What decides on the keys that the queries of a stream see: int64 `[batch]` where nothing else is said. */
export interface StreamMaskInputs {
  /** Steps of the keys, counted from the first new step: `[batch, key]`. */
  readonly keys: Value;
  /** New steps, int64 `[1]`. */
  readonly numSteps: Value;
  /** Steps before these. */
  readonly pastSteps: Value;
  /** Valid new steps. */
  readonly steps: Value;
  readonly chunkSteps: Value;
  readonly leftSteps: Value;
}

/**
 * What is added to the scores of whole chunks, float32 `[batch, query, key]`: a query sees from `leftSteps` before its
 * chunk's beginning to its chunk's end, as far as there are keys.
 */
export function streamMasks(g: GraphBuilder, inputs: StreamMaskInputs): Value {
  const column = (x: Value) => unsqueeze(g, x, [1, 2]);
  const keys = unsqueeze(g, inputs.keys, [1]);
  const begin = chunkBegins(g, inputs.numSteps, inputs.chunkSteps);
  const first = g.op("Max", [sub(g, begin, column(inputs.leftSteps)), g.op("Neg", [column(inputs.pastSteps)])]);
  const end = g.op("Min", [add(g, begin, column(inputs.chunkSteps)), column(inputs.steps)]);
  const isVisible = g.op("And", [g.op("GreaterOrEqual", [keys, first]), g.op("Less", [keys, end])]);
  return g.op("Where", [isVisible, g.number(0), g.number(MASKED)]);
}

/** Where two new steps are of one chunk: bool `[batch, query, key]`. */
export function ownChunks(g: GraphBuilder, numSteps: Value, chunkSteps: Value): Value {
  const begin = chunkBegins(g, numSteps, chunkSteps);
  const perKey = g.op("Transpose", [begin], { perm: [0, 2, 1] });
  return g.op("Equal", [begin, perKey]);
}

/** The first step of each new step's chunk, int64 `[batch, step, 1]`. */
function chunkBegins(g: GraphBuilder, numSteps: Value, chunkSteps: Value): Value {
  const chunk = unsqueeze(g, chunkSteps, [1, 2]);
  return g.op("Mul", [div(g, unsqueeze(g, range(g, numSteps), [0, 2]), chunk), chunk]);
}

/** Whether query step `query` sees key step `key`: bool `[query, key]`. */
function visible(
  g: GraphBuilder,
  style: ConformerSpec["attention"]["style"],
  query: Value,
  key: Value,
  context: Value,
): Value {
  const part = (i: number) => slice(g, context, 0, i, i + 1);
  const between = (x: Value, low: Value, high: Value) =>
    g.op("And", [g.op("LessOrEqual", [low, x]), g.op("LessOrEqual", [x, high])]);
  const zero = g.ints([0]);
  const unlimitedIfNegative = (x: Value) => g.op("Where", [g.op("Less", [x, zero]), g.ints([UNLIMITED]), x]);
  const behind = sub(g, query, key);
  const left = unlimitedIfNegative(part(0));
  if (style === "regular") {
    return between(behind, g.op("Neg", [unlimitedIfNegative(part(1))]), left);
  }
  if (style === "chunked_limited_with_rc") {
    const chunk = g.op("Where", [g.op("Less", [part(1), zero]), g.ints([UNLIMITED]), part(1)]);
    const first = g.op("Mul", [div(g, query, chunk), chunk]);
    const last = add(g, first, add(g, sub(g, chunk, g.ints([1])), unlimitedIfNegative(part(2))));
    return between(key, sub(g, first, left), last);
  }
  // chunked_limited: whole chunks of right + 1 steps; an unlimited right context leaves only the left limit.
  const right = part(1);
  const chunk = add(g, g.op("Max", [right, zero]), g.ints([1]));
  const behindChunks = sub(g, div(g, query, chunk), div(g, key, chunk));
  const chunked = between(behindChunks, zero, div(g, left, chunk));
  const isLeftOnly = g.op("Less", [right, zero]);
  const leftOnly = g.op("And", [isLeftOnly, g.op("LessOrEqual", [behind, left])]);
  return g.op("Or", [leftOnly, g.op("And", [g.op("Not", [isLeftOnly]), chunked])]);
}
