import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { add, cast, concat, mul, range, reshape, slice, squeeze, sub, unsqueeze } from "../../onnx/ops.ts";

/** Base of the wave lengths (NeMo `INF_VAL` in `PositionalEncoding.create_pe`). */
const BASE = 10000;

/** Angular frequencies `[1, model / 2]`, rounded to float32 where torch rounds. */
function frequencies(modelSize: number): Float32Array {
  const factor = Math.fround(-(Math.log(BASE) / modelSize));
  return Float32Array.from({ length: modelSize / 2 }, (_, i) => Math.exp(Math.fround(2 * i * factor)));
}

/** Rows of interleaved sines and cosines `[position, model]` for positions given as float32 `[position]`. */
function sinusoids(g: GraphBuilder, positions: Value, modelSize: number): Value {
  const angles = mul(
    g,
    unsqueeze(g, positions, [1]),
    g.table(`position_frequencies/${modelSize}`, [1, modelSize / 2], () => frequencies(modelSize)),
  );
  const pairs = concat(g, [unsqueeze(g, g.op("Sin", [angles]), [2]), unsqueeze(g, g.op("Cos", [angles]), [2])], 2);
  return reshape(g, pairs, [-1, modelSize]);
}

/**
 * Relative positions for `numQueries` queries at the end of `numKeys` keys: rows for the distances
 * `numKeys - 1 … -numQueries`, `[numKeys + numQueries, model]` (NeMo `RelPositionalEncoding`).
 *
 * One row more than needed: with an even width the relative shift of the scores is a reshape and a slice.
 */
function relativePositions(g: GraphBuilder, numKeys: Value, numQueries: Value, modelSize: number): Value {
  return sinusoids(g, cast(g, relativeDistances(g, numKeys, numQueries), "float32"), modelSize);
}

/** The same rows as a constant, for the distances `farthest … -ahead`: `[farthest + ahead + 1, model]`. */
export function positionRows(g: GraphBuilder, farthest: number, ahead: number, modelSize: number): Value {
  const numRows = farthest + ahead + 1;
  return g.table(`position_rows/${farthest}_${ahead}_${modelSize}`, [numRows, modelSize], () => {
    const speeds = frequencies(modelSize);
    const rows = new Float32Array(numRows * modelSize);
    for (let r = 0; r < numRows; r++) writeSinusoids(rows, r * modelSize, farthest - r, speeds);
    return rows;
  });
}

/** One row of interleaved sines and cosines. */
function writeSinusoids(rows: Float32Array, offset: number, position: number, speeds: Float32Array): void {
  speeds.forEach((speed, i) => {
    const angle = Math.fround(position * speed);
    rows[offset + 2 * i] += Math.sin(angle);
    rows[offset + 2 * i + 1] += Math.cos(angle);
  });
}

/** The distances `numKeys - 1 … -numQueries` as int64. */
function relativeDistances(g: GraphBuilder, numKeys: Value, numQueries: Value): Value {
  return sub(g, sub(g, numKeys, g.ints([1])), range(g, add(g, numKeys, numQueries)));
}

/** Absolute positions `0 … numSteps - 1` as rows `[step, model]` (NeMo `PositionalEncoding`). */
export function absolutePositions(g: GraphBuilder, numSteps: Value, modelSize: number): Value {
  return sinusoids(g, cast(g, range(g, numSteps), "float32"), modelSize);
}

/** What a layer makes of position rows. */
export interface PositionUse {
  /** Position rows `[distance, model]` through the layer's `linear_pos`. */
  readonly project: (rows: Value) => Value;
  /** Projected rows as keys, `[1, head, headSize, distance]`. */
  readonly toKeys: (projected: Value) => Value;
}

/** The position keys of a layer for the distances `step - 1 … -step`, `[1, head, headSize, 2 · step]`. */
export type PositionKeys = (use: PositionUse) => Value;

/**
 * Position keys of NeMo's relative attention (`RelPositionalEncoding`).
 *
 * They are the same for every recording, and cost 6 % of an encoder. Up to `numKnownSteps` steps they are constants that
 * the runtime computes once, when it loads the graph, and a call takes its part of them; beyond they are computed.
 */
export function relativePositionKeys(
  g: GraphBuilder,
  numSteps: Value,
  numKnownSteps: number,
  modelSize: number,
): PositionKeys {
  const known = g.ints([numKnownSteps]);
  const knownRows = relativePositions(g, known, known, modelSize);
  const isKnown = squeeze(g, g.op("LessOrEqual", [numSteps, known]), [0]);
  const ownSteps = g.op("Where", [isKnown, g.ints([0]), numSteps]);
  const ownRows = relativePositions(g, ownSteps, ownSteps, modelSize);
  const first = sub(g, known, numSteps);
  const end = add(g, known, numSteps);
  return ({ project, toKeys }) => {
    const knownKeys = toKeys(project(knownRows));
    return g.choose(
      isKnown,
      "float32",
      () => slice(g, knownKeys, 3, first, end),
      () => toKeys(project(ownRows)),
    );
  };
}

/**
 * Position keys of NeMo's local attention: those of every distance as in `relativePositionKeys`, zero where it adds none.
 *
 * `RelPositionMultiHeadAttentionLongformer` keeps one score for each of `2w + 1` slots, `w` the larger context, and adds
 * the position terms to the first `left` slots and to the last `right + 1`. With unequal contexts these are not the
 * slots of the same distances; the checkpoint was trained that way, so it is kept.
 */
export function localPositionKeys(
  g: GraphBuilder,
  numSteps: Value,
  left: number,
  right: number,
  modelSize: number,
): PositionKeys {
  const w = Math.max(left, right);
  const numSlots = 2 * w + 1;
  const rows = g.table(`local_positions/${left}_${right}_${modelSize}`, [numSlots + 1, modelSize], () =>
    localSlots(left, right, modelSize),
  );
  const slots = sub(g, g.ints([w]), relativeDistances(g, numSteps, numSteps));
  const outside = g.op("Or", [g.op("Less", [slots, g.ints([0])]), g.op("GreaterOrEqual", [slots, g.ints([numSlots])])]);
  const chosen = g.op("Where", [outside, g.ints([numSlots]), slots]);
  // The rows are constants, and so is what a layer projects them to: the runtime computes it once.
  return ({ project, toKeys }) => toKeys(g.op("Gather", [project(rows), chosen], { axis: 0 }));
}

/** The position row of every slot, and a last row of zeros for distances outside. */
function localSlots(left: number, right: number, modelSize: number): Float32Array {
  const w = Math.max(left, right);
  const numSlots = 2 * w + 1;
  const speeds = frequencies(modelSize);
  const rows = new Float32Array((numSlots + 1) * modelSize);
  for (let slot = 0; slot < numSlots; slot++) {
    // Row r of NeMo's table is the distance left - r.
    const tableRows = [
      slot < left ? slot : undefined,
      slot >= 2 * w - right ? left + slot - (2 * w - right) : undefined,
    ];
    for (const r of tableRows) {
      if (r === undefined) continue;
      writeSinusoids(rows, slot * modelSize, left - r, speeds);
    }
  }
  return rows;
}
