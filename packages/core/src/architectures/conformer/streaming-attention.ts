import type { ConformerSpec } from "../../config/spec.ts";
import type { StreamGeometry } from "../../config/streaming.ts";
import { float, type GraphBuilder, type Value } from "../../onnx/graph.ts";
import {
  add,
  cast,
  concat,
  div,
  mul,
  range,
  reshape,
  reshapeTo,
  sizeOf,
  slice,
  squeeze,
  sub,
  transpose,
  unsqueeze,
} from "../../onnx/ops.ts";
import { linear, linears, type Net } from "../net.ts";
import { scaledBias } from "./attention.ts";
import { ownChunks, streamMasks } from "./masks.ts";
import { positionRows } from "./positions.ts";
import { cacheLayout, type StreamingInputs, SUMMED_STEPS } from "./streaming-inputs.ts";

/** What the attention of all layers shares. */
export interface SharedAttention {
  readonly numHeads: number;
  readonly numSteps: Value;
  /** Added to the scores, `[batch, 1, step, key]`. Keys are the ring's places and then the new steps. */
  readonly scoreBias: Value;
  /** Position rows `[distance, model]`. */
  readonly positions: Value;
  readonly numDistances: number;
  /** Which of them a score takes, int64 `[batch, head, step, key]`. */
  readonly distances: Value;
  /** Steps of the ring, and that and the new ones, int64 `[2]`. */
  readonly ringSteps: number;
  readonly keyParts: Value;
  /** Ones, `[step, 1]`. */
  readonly ones: Value;
  readonly chunks: SeveralChunks | undefined;
}

/** What is needed where rows have several chunks. */
interface SeveralChunks {
  /** bool: whether they have. */
  readonly isLong: Value;
  /** Ones, `[ordered, 1]`. */
  readonly ones: Value;
  /** Where a new key is of the query's own chunk, bool `[batch, 1, step, step]`. */
  readonly isOwn: Value;
  /** 1 where a query looks at a place of the order, `[batch, 1, step, ordered]`. */
  readonly looks: Value;
  /** The order of keys, int64 `[batch, head, step, ordered]`, and of rows of headSize, int64 `[batch, head, ordered]`. */
  readonly keyOrder: Value;
  readonly rowOrder: Value;
}

/** Masks, distances and orders of one call, from where its streams are. */
export function sharedAttention(
  net: Net,
  spec: ConformerSpec,
  geometry: StreamGeometry,
  inputs: StreamingInputs,
  numSteps: Value,
  steps: Value,
): SharedAttention {
  const { g } = net;
  const { maxSteps } = geometry;
  const { ringSteps } = cacheLayout(spec, geometry);
  const farthest = ringSteps + maxSteps - 1;
  const column = (x: Value) => unsqueeze(g, x, [1]);
  const fresh = unsqueeze(g, range(g, numSteps), [0]);
  // Places of keys, counted from the first new step: the ring's are 1 to `ring` steps before it.
  const batch = sizeOf(g, inputs.pastSteps, 0);
  const freshOfAll = g.op("Expand", [fresh, concat(g, [batch, numSteps], 0)]);
  const places = ringSteps > 0 ? [ringPlaces(g, column(inputs.pastSteps), ringSteps)] : [];
  const keys = concat(g, [...places, freshOfAll], 1);
  const queries = unsqueeze(g, range(g, numSteps), [0, 2]);
  const rows = sub(g, add(g, unsqueeze(g, keys, [1]), g.ints([farthest])), queries);
  const numKeys = sizeOf(g, keys, 1);
  const scoresDims = concat(g, [batch, g.ints([spec.numHeads]), numSteps, numKeys], 0);
  return {
    numHeads: spec.numHeads,
    numSteps,
    scoreBias: unsqueeze(g, streamMasks(g, { ...inputs, keys, numSteps, steps }), [1]),
    positions: positionRows(g, farthest, maxSteps, spec.modelSize),
    numDistances: farthest + maxSteps + 1,
    distances: g.op("Expand", [unsqueeze(g, rows, [1]), scoresDims]),
    ringSteps,
    keyParts: concat(g, [g.ints([ringSteps]), numSteps], 0),
    ones: columnOfOnes(g, numSteps),
    chunks:
      inputs.valueOrder === undefined
        ? undefined
        : severalChunks(g, inputs.valueOrder, inputs.chunkSteps, spec.numHeads, { numSteps, numKeys }),
  };
}

const columnOfOnes = (g: GraphBuilder, length: Value): Value =>
  g.op("Expand", [g.number(1), concat(g, [length, g.ints([1])], 0)]);

/** Where the steps of a ring are, counted from the stream's next step: `-ring … -1`, int64 `[batch, ring]`. */
function ringPlaces(g: GraphBuilder, pastSteps: Value, ringSteps: number): Value {
  const places = unsqueeze(g, range(g, g.ints([ringSteps])), [0]);
  const behind = g.op("Mod", [sub(g, sub(g, pastSteps, g.ints([1])), places), g.ints([ringSteps])]);
  return sub(g, g.ints([-1]), behind);
}

/** What is needed where rows have several chunks, from `StreamingInputs.valueOrder`. */
function severalChunks(
  g: GraphBuilder,
  valueOrder: Value,
  chunkSteps: Value,
  numHeads: number,
  { numSteps, numKeys }: { numSteps: Value; numKeys: Value },
): SeveralChunks {
  const [order, first, end] = g.ops("Split", [cast(g, valueOrder, "int64")], 3, { axis: 0 });
  const perKey = squeeze(g, order, [0]);
  const [batch, numOrdered] = [sizeOf(g, perKey, 0), sizeOf(g, perKey, 1)];
  const query = unsqueeze(g, range(g, numSteps), [0, 2]);
  const perQuery = (x: Value) => transpose(g, x, [1, 0, 2]);
  const looks = g.op("And", [g.op("LessOrEqual", [perQuery(first), query]), g.op("Less", [query, perQuery(end)])]);
  const pairs = range(g, mul(g, batch, g.ints([numHeads])));
  const firstRows = reshape(g, mul(g, pairs, numKeys), [-1, numHeads, 1]);
  return {
    isLong: squeeze(g, g.op("Greater", [numOrdered, g.ints([0])]), [0]),
    ones: columnOfOnes(g, numOrdered),
    isOwn: unsqueeze(g, ownChunks(g, numSteps, chunkSteps), [1]),
    looks: unsqueeze(g, cast(g, looks, "float32"), [1]),
    keyOrder: g.op("Expand", [
      unsqueeze(g, perKey, [1, 2]),
      concat(g, [batch, g.ints([numHeads]), numSteps, numOrdered], 0),
    ]),
    rowOrder: add(g, unsqueeze(g, perKey, [1]), firstRows),
  };
}

/**
 * Self-attention of new steps to the ring and to each other, on rows `[batch · step, model]`.
 * @param kept takes the layer's new keys and values, `[batch, head, step, headSize]`
 */
export function cachedAttention(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  rows: Value,
  rings: { readonly keys: Value; readonly values: Value } | undefined,
  shared: SharedAttention,
  kept: Value[],
): Value {
  const { g } = net;
  const { numHeads, modelSize } = spec;
  const headSize = modelSize / numHeads;
  const scale = 1 / Math.sqrt(headSize);
  // [batch, head, step, headSize]
  const byHead = (x: Value) => transpose(g, reshapeTo(g, x, [-1, shared.numSteps, numHeads, headSize]), [0, 2, 1, 3]);
  const [q, k, v] = linears(net, rows, [
    { prefix: `${prefix}.linear_q`, scale },
    { prefix: `${prefix}.linear_k` },
    { prefix: `${prefix}.linear_v` },
  ]);
  const query = reshape(g, q, [-1, numHeads, headSize]);
  const key = byHead(k);
  const value = byHead(v);
  kept.push(key, value);
  const part: LayerAttention = {
    query: byHead(add(g, query, scaledBias(net, `${prefix}.pos_bias_u`, scale))),
    key,
    value,
    byPosition: positionScores(net, spec, prefix, query, shared),
    rings,
  };
  const { chunks } = shared;
  const context =
    rings && chunks
      ? g.choose(
          chunks.isLong,
          "float32",
          () => attend(g, part, shared, chunks),
          () => attend(g, part, shared, undefined),
        )
      : attend(g, part, shared, undefined);
  const merged = reshape(g, transpose(g, context, [0, 2, 1, 3]), [-1, modelSize]);
  return linear(net, merged, `${prefix}.linear_out`);
}

/** What one layer's queries attend to. */
interface LayerAttention {
  /** Scaled content queries, and the new keys and values: `[batch, head, step, headSize]`. */
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
  /** `[batch, head, step, key]` */
  readonly byPosition: Value;
  readonly rings: { readonly keys: Value; readonly values: Value } | undefined;
}

/** What the queries draw from values, `[batch, head, step, headSize]`; `chunks` where rows have several. */
function attend(
  g: GraphBuilder,
  part: LayerAttention,
  shared: SharedAttention,
  chunks: SeveralChunks | undefined,
): Value {
  const byContent = contentScores(g, part, shared, chunks);
  const scores = add(g, add(g, byContent, part.byPosition), shared.scoreBias);
  const peak = g.op("ReduceMax", [scores], { axes: [-1], keepdims: 1 });
  return weightedValues(g, part, g.op("Exp", [sub(g, scores, peak)]), shared, chunks);
}

/**
 * The products of each row alone with a matrix, `[batch, head, step, in]` × `[batch, head, 1, in, out]` (or `[…, out, in]`).
 *
 * For one row the runtime has a kernel of its own, which reads the matrix where it lies; for several it first copies the
 * matrix into another order, which takes longer than the products as long as rows are few. With one kernel for all a
 * row's numbers are the same bits whatever else is computed beside it. With a single head the runtime would take all rows
 * of a batch of one together again, so there it is the other kernel for all.
 */
function rowProducts(g: GraphBuilder, rows: Value, matrix: Value, transB: 0 | 1, numHeads: number): Value {
  if (numHeads === 1) return twice(g, scaledProduct(g, rows, squeeze(g, matrix, [2]), 1 / FACTOR, transB));
  const products = g.op("FusedMatMul", [unsqueeze(g, rows, [3]), matrix], { transB }, "com.microsoft");
  return squeeze(g, products, [3]);
}

/**
 * A matrix product times a factor.
 *
 * The factor is the operator's own, and not 1, so that the runtime does not compute a single row by the kernel of
 * `rowProducts`, which adds in another order.
 */
function scaledProduct(g: GraphBuilder, a: Value, b: Value, factor: number = FACTOR, transB: 0 | 1 = 0): Value {
  return g.op("FusedMatMul", [a, b], { transB, alpha: float(factor) }, "com.microsoft");
}

/** Any but 1 will do; with a power of two it is exact to take it back. */
const FACTOR = 2;

/** Times `FACTOR`. A product with a constant is none: the runtime would make it the factor of the matrix product before. */
const twice = (g: GraphBuilder, x: Value): Value => add(g, x, x);

/** What the queries find in the keys of ring and new steps, `[batch, head, step, key]`. */
function contentScores(
  g: GraphBuilder,
  { query, key, rings }: LayerAttention,
  { numSteps, numHeads }: SharedAttention,
  chunks: SeveralChunks | undefined,
): Value {
  const toOwn = twice(g, scaledProduct(g, query, key, 1 / FACTOR, 1));
  if (rings === undefined) return toOwn;
  const toRing = rowProducts(g, query, rings.keys, 1, numHeads);
  if (chunks === undefined) return concat(g, [toRing, toOwn], 3);
  // Earlier chunks' keys as they will be found in the ring. A last group that is not whole is summed up otherwise: what
  // fills it up makes it one of no key.
  const filled = g.op("Pad", [key, g.ints([0, 0, 0, 0, 0, 0, SUMMED_STEPS - 1, 0])]);
  const toNew = slice(g, rowProducts(g, query, unsqueeze(g, filled, [2]), 1, numHeads), 3, 0, numSteps);
  return concat(g, [toRing, g.op("Where", [chunks.isOwn, toOwn, toNew])], 3);
}

/**
 * What weights `[batch, head, step, key]` draw from the values of ring and new steps, `[batch, head, step, headSize]`.
 *
 * Sums are the same bits however many chunks a call has. What comes before a step's chunk is summed up by place of the
 * ring, then the chunk itself is added. With one chunk the two are the ring as it lies and the new steps. With several,
 * earlier ones have to be summed up in their places of the ring. The runtime adds up groups of `SUMMED_STEPS` places, so
 * a group is put in once for each of the chunks for which another step stands at one of its places, and each query has
 * weights in one of these only: what is zero changes no sum. (A softmax operator adds up in groups by place.)
 */
function weightedValues(
  g: GraphBuilder,
  { value, rings }: LayerAttention,
  weights: Value,
  { keyParts, ringSteps, numHeads, ones }: SharedAttention,
  chunks: SeveralChunks | undefined,
): Value {
  if (rings === undefined) return weightedMean(g, [summed(g, weights, value, ones)]);
  const [toRing, toNew] = g.ops("Split", [weights, keyParts], 2, { axis: 3 });
  if (chunks === undefined) {
    const ringOnes = g.table(`ones/${ringSteps}x1`, [ringSteps, 1], () => new Float32Array(ringSteps).fill(1));
    return weightedMean(g, [summedByRow(g, toRing, rings.values, ringOnes, numHeads), summed(g, toNew, value, ones)]);
  }
  const toOwn = mul(g, toNew, cast(g, chunks.isOwn, "float32"));
  const toEarlier = concat(g, [toRing, sub(g, toNew, toOwn)], 3);
  const ordered = mul(g, g.op("GatherElements", [toEarlier, chunks.keyOrder], { axis: 3 }), chunks.looks);
  const all = concat(g, [rings.values, unsqueeze(g, value, [2])], 3);
  const flat = reshapeTo(g, all, [-1, sizeOf(g, value, 3)]);
  const values = unsqueeze(g, g.op("Gather", [flat, chunks.rowOrder], { axis: 0 }), [2]);
  // A step of padding may have weights in nothing that it looks at. It must be a number all the same.
  return weightedMean(
    g,
    [summedByRow(g, ordered, values, chunks.ones, numHeads), summed(g, toOwn, value, ones)],
    1e-30,
  );
}

/** Sums over a part of the keys, times `FACTOR`. */
interface Sums {
  readonly values: Value;
  readonly weights: Value;
}

const summed = (g: GraphBuilder, weights: Value, values: Value, ones: Value): Sums => ({
  values: scaledProduct(g, weights, values),
  weights: scaledProduct(g, weights, ones),
});

const summedByRow = (g: GraphBuilder, weights: Value, values: Value, ones: Value, numHeads: number): Sums => ({
  values: twice(g, rowProducts(g, weights, values, 0, numHeads)),
  weights: scaledProduct(g, weights, ones),
});

/** The mean of values by weights, of parts that are summed up one by one. */
function weightedMean(g: GraphBuilder, parts: readonly Sums[], leastWeight?: number): Value {
  const sum = (of: keyof Sums) => parts.map((part) => part[of]).reduce((total, next) => add(g, total, next));
  const weights = sum("weights");
  return div(g, sum("values"), leastWeight === undefined ? weights : g.op("Max", [weights, g.number(leastWeight)]));
}

/** The relative-position half of the scores, `[batch, head, step, key]`, from scaled queries `[batch · step, head, headSize]`. */
function positionScores(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  query: Value,
  { positions, numDistances, distances, numSteps }: SharedAttention,
): Value {
  const { g } = net;
  const headSize = spec.modelSize / spec.numHeads;
  // Constants only: the runtime computes this product once, when it loads the graph.
  const projected = linear({ ...net, precision: "float32" }, positions, `${prefix}.linear_pos`, { scale: 1 / FACTOR });
  const keys = transpose(g, reshape(g, projected, [-1, spec.numHeads, headSize]), [1, 2, 0]);
  // [head, batch · step, headSize]: one product for all rows of a head, however few steps a stream has.
  const bias = scaledBias(net, `${prefix}.pos_bias_v`, 1 / Math.sqrt(headSize));
  const rows = transpose(g, add(g, query, bias), [1, 0, 2]);
  const raw = scaledProduct(g, rows, keys);
  const split = reshapeTo(g, raw, [spec.numHeads, -1, numSteps, numDistances]);
  return g.op("GatherElements", [transpose(g, split, [1, 0, 2, 3]), distances], { axis: 3 });
}
