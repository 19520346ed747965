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
  squeeze,
  sub,
  transpose,
  unsqueeze,
} from "../../onnx/ops.ts";
import { rowZeros } from "../int8.ts";
import { linear, linears, type Net, toRows, weight } from "../net.ts";
import { convolvedImage, gatedRows } from "./convolution.ts";
import { conformerLayer } from "./encoder.ts";
import { ownChunks, streamMasks } from "./masks.ts";
import { positionRows } from "./positions.ts";
import { subsampleChunk } from "./streaming-subsampling.ts";

/**
 * Inputs of a streaming Conformer. Everything in which latency modes and positions of streams differ is data, so that any
 * streams share a batch.
 *
 * What attention looks back on are rings that the runtime reads in place, nothing is gathered or joined: the key of step
 * `t` stands at place `t mod left`, whatever stood there before is `left` steps older and no longer seen.
 */
export interface StreamingInputs {
  /** `[batch, frame, mel]`: the frames that a chunk's steps hear, zero outside of the recording. */
  readonly frames: Value;
  /** int64 `[batch]`: frames `[begin, end)` of each row are of the recording; what lies outside is masked in every stage. */
  readonly frameBegin: Value;
  readonly frameEnd: Value;
  /** int64 `[batch]`: steps of the stream before this call. */
  readonly pastSteps: Value;
  /** int64 `[batch]`: steps of one chunk, to whose end each of its steps looks ahead. */
  readonly chunkSteps: Value;
  /** int64 `[batch]`: steps before a chunk that its steps look back on. */
  readonly leftSteps: Value;
  /** Keys and values of each layer, float32 `[batch, head, left, headSize]`; none where nothing is looked back on. */
  readonly keys: readonly Value[];
  readonly values: readonly Value[];
  /**
   * int32 `[batch, left + step]` where a row has several chunks: ring and new steps in the order in which they are summed
   * up, see `attended`; `[batch, 0]` where all have one chunk.
   */
  readonly valueOrder: Value | undefined;
  /** The convolutions' inputs that are kept, and the rows of them that the first layer's takes, oldest first. */
  readonly conv: { readonly pool: Value; readonly rows: Value } | undefined;
}

/** How what the layers remember of one stream is laid out. */
export interface CacheLayout {
  /** Steps of attention that are kept. */
  readonly left: number;
  readonly convLeft: number;
  /** Rows of one model width: keys, values and convolution input of all layers. */
  readonly numRows: number;
}

/** The layout of a stream's caches. */
export function cacheLayout(spec: ConformerSpec, { maxLeft, convLeft }: StreamGeometry): CacheLayout {
  return { left: maxLeft, convLeft, numRows: spec.numLayers * (2 * maxLeft + convLeft) };
}

/** What a call adds to the caches of its streams. */
export interface NewRows {
  /** Keys and values of layer after layer, `[2 · layer · batch, head, step, headSize]`. */
  readonly attention: Value;
  /** Input of the convolutions, `[layer · batch · step, model]`. */
  readonly conv: Value;
}

/**
 * The next chunks of any number of streams: `encoded` `[batch, step, model]`, `steps` int64 `[batch]` valid steps of each
 * row, and what is to be kept of them.
 *
 * The numbers are those of the offline encoder with the same context (NeMo `ConformerEncoder.forward_internal` with
 * caches, conformer_encoder.py; there the caches hold the attention's input, here what is projected from it).
 */
export function streamingConformer(
  net: Net,
  spec: ConformerSpec,
  geometry: StreamGeometry,
  inputs: StreamingInputs,
): { encoded: Value; steps: Value; rows: NewRows } {
  const { g } = net;
  const scale = spec.xscaling ? Math.sqrt(spec.modelSize) : 1;
  const sequence = g.scope("pre_encode", () => subsampleChunk(net, spec.subsampling, inputs, spec.numMels, scale));
  const numSteps = sizeOf(g, sequence.x, 1);
  const attention = g.scope("shared", () => sharedAttention(net, spec, geometry, inputs, numSteps, sequence.lengths));
  const convRows = inputs.conv && g.scope("shared", () => rowsOfLayers(g, inputs.conv?.rows as Value, spec, geometry));
  let rows = toRows(net, sequence.x, spec.modelSize);
  const kept: Value[] = [];
  const keptConv: Value[] = [];
  const layers = net.precision === "int8" ? { ...net, rowZeros: rowZeros(g, rows) } : net;
  for (let i = 0; i < spec.numLayers; i++) {
    const prefix = `encoder.layers.${i}`;
    const rings = inputs.keys.length > 0 ? { keys: inputs.keys[i], values: inputs.values[i] } : undefined;
    const before = inputs.conv && convRows && { pool: inputs.conv.pool, rows: convRows[i] };
    const parts = {
      attention: (x: Value) => cachedAttention(layers, spec, `${prefix}.self_attn`, x, rings, attention, kept),
      convolution: (x: Value) => cachedConvolution(layers, spec, `${prefix}.conv`, x, before, numSteps, keptConv),
    };
    rows = g.scope(`layers.${i}`, () => conformerLayer(layers, prefix, rows, parts));
  }
  const size = spec.outSize ?? spec.modelSize;
  if (spec.outSize !== undefined) rows = linear(net, rows, "encoder.out_proj");
  return {
    encoded: reshapeTo(g, rows, [-1, numSteps, size]),
    steps: sequence.lengths,
    // As they are joined: giving them axes of their own would copy them.
    rows: { attention: concat(g, kept, 0), conv: concat(g, keptConv, 0) },
  };
}

/** Rows of the pool for every layer's convolution, `[batch, 1, row]`: one sum for all that is split. */
function rowsOfLayers(
  g: GraphBuilder,
  first: Value,
  { numLayers }: ConformerSpec,
  { convLeft }: StreamGeometry,
): Value[] {
  const moves = g.initializer({
    name: `const/int32/layers/${numLayers}_${convLeft}`,
    type: "int32",
    dims: [1, numLayers, 1],
    bytes: () => new Uint8Array(Int32Array.from({ length: numLayers }, (_, i) => i * convLeft).buffer),
  });
  const all = add(g, unsqueeze(g, first, [1]), moves);
  return numLayers === 1 ? [all] : g.ops("Split", [all], numLayers, { axis: 1 });
}

/** What the attention of all layers shares. */
interface SharedAttention {
  readonly numSteps: Value;
  /** Added to the scores, `[batch, 1, step, key]`. Keys are the ring's places and then the new steps. */
  readonly scoreBias: Value;
  /** Position rows `[distance, model]`. */
  readonly positions: Value;
  readonly numDistances: number;
  /** Which of them a score takes, int64 `[batch, head, step, key]`. */
  readonly distances: Value;
  /** Steps of the ring. */
  readonly left: number;
  /** Ones, `[step, 1]`. */
  readonly ones: Value;
  readonly chunks: SeveralChunks | undefined;
}

/** What is needed where rows have several chunks. */
interface SeveralChunks {
  /** bool: whether they have. */
  readonly isLong: Value;
  /** Ones, `[left + step, 1]`. */
  readonly ones: Value;
  /** 1 where a new key is of the query's own chunk, `[batch, 1, step, step]`. */
  readonly own: Value;
  /** The order of keys, int64 `[batch, head, step, key]`, and of rows of headSize, int64 `[batch, head, key]`. */
  readonly keyOrder: Value;
  readonly rowOrder: Value;
}

function sharedAttention(
  net: Net,
  spec: ConformerSpec,
  { maxLeft: left, maxSteps }: StreamGeometry,
  inputs: StreamingInputs,
  numSteps: Value,
  steps: Value,
): SharedAttention {
  const { g } = net;
  const farthest = left + maxSteps - 1;
  const column = (x: Value) => unsqueeze(g, x, [1]);
  const fresh = unsqueeze(g, range(g, numSteps), [0]);
  // Places of keys, counted from the first new step: the ring's are 1 to `left` steps before it.
  const batch = sizeOf(g, inputs.pastSteps, 0);
  const freshOfAll = g.op("Expand", [fresh, concat(g, [batch, numSteps], 0)]);
  const keys = left === 0 ? freshOfAll : concat(g, [ringPlaces(g, column(inputs.pastSteps), left), freshOfAll], 1);
  const queries = unsqueeze(g, range(g, numSteps), [0, 2]);
  const rows = sub(g, add(g, unsqueeze(g, keys, [1]), g.ints([farthest])), queries);
  const numKeys = sizeOf(g, keys, 1);
  const scoresDims = concat(g, [batch, g.ints([spec.numHeads]), numSteps, numKeys], 0);
  const ones = (length: Value) => g.op("Expand", [g.number(1), concat(g, [length, g.ints([1])], 0)]);
  return {
    numSteps,
    scoreBias: unsqueeze(g, streamMasks(g, { ...inputs, keys, numSteps, steps }), [1]),
    positions: positionRows(g, farthest, maxSteps, spec.modelSize),
    numDistances: farthest + maxSteps + 1,
    distances: g.op("Expand", [unsqueeze(g, rows, [1]), scoresDims]),
    left,
    ones: ones(numSteps),
    chunks:
      inputs.valueOrder === undefined
        ? undefined
        : {
            isLong: squeeze(g, g.op("Greater", [sizeOf(g, inputs.valueOrder, 1), g.ints([0])]), [0]),
            ones: ones(numKeys),
            own: unsqueeze(g, ownChunks(g, numSteps, inputs.chunkSteps), [1]),
            ...orders(g, inputs.valueOrder, { numHeads: spec.numHeads, batch, numSteps, numKeys }),
          },
  };
}

/** Where the steps of a ring are, counted from the stream's next step: `-left … -1`, int64 `[batch, left]`. */
function ringPlaces(g: GraphBuilder, pastSteps: Value, left: number): Value {
  const places = unsqueeze(g, range(g, g.ints([left])), [0]);
  const behind = g.op("Mod", [sub(g, sub(g, pastSteps, g.ints([1])), places), g.ints([left])]);
  return sub(g, g.ints([-1]), behind);
}

/** The order of values for scores and for rows of all heads. */
function orders(
  g: GraphBuilder,
  order: Value,
  sizes: { numHeads: number; batch: Value; numSteps: Value; numKeys: Value },
): { keyOrder: Value; rowOrder: Value } {
  const { numHeads, batch, numSteps, numKeys } = sizes;
  const perKey = cast(g, order, "int64");
  const dims = concat(g, [batch, g.ints([numHeads]), numSteps, sizeOf(g, order, 1)], 0);
  const pairs = range(g, mul(g, batch, g.ints([numHeads])));
  const firstRows = reshape(g, mul(g, pairs, numKeys), [-1, numHeads, 1]);
  return {
    keyOrder: g.op("Expand", [unsqueeze(g, perKey, [1, 2]), dims]),
    rowOrder: add(g, unsqueeze(g, perKey, [1]), firstRows),
  };
}

/** Self-attention of new steps to the ring and to each other, on rows `[batch · step, model]`. */
function cachedAttention(
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
  const names = ["linear_q", "linear_k", "linear_v"];
  const [q, k, v] = linears(
    net,
    rows,
    names.map((name) => ({ prefix: `${prefix}.${name}` })),
  );
  const query = reshape(g, q, [-1, numHeads, headSize]);
  const key = byHead(k);
  const value = byHead(v);
  kept.push(key, value);
  const forContent = byHead(add(g, query, weight(net, `${prefix}.pos_bias_u`)));
  const toNew = scaledProduct(g, forContent, key, scale, true);
  const byContent = rings ? concat(g, [scaledProduct(g, forContent, rings.keys, scale, true), toNew], 3) : toNew;
  const byPosition = positionScores(net, spec, prefix, query, shared);
  const scores = add(g, add(g, byContent, byPosition), shared.scoreBias);
  const peak = g.op("ReduceMax", [scores], { axes: [-1], keepdims: 1 });
  const weights = g.op("Exp", [sub(g, scores, peak)]);
  const context = attended(g, weights, rings?.values, value, shared);
  const merged = reshape(g, transpose(g, context, [0, 2, 1, 3]), [-1, modelSize]);
  return linear(net, merged, `${prefix}.linear_out`);
}

/**
 * A matrix product times a factor.
 *
 * The factor is the operator's own: the runtime computes plain products of one row by another kernel, which adds in
 * another order. With a factor a row's numbers are the same bits whether it is alone or not.
 */
function scaledProduct(g: GraphBuilder, a: Value, b: Value, factor: number, transposesB: boolean): Value {
  return g.op("FusedMatMul", [a, b], { transB: transposesB ? 1 : 0, alpha: float(factor) }, "com.microsoft");
}

/** Cancels out; any factor but 1 will do (see `scaledProduct`). */
const BESIDE_ONE = 2;

/** The mean of values by weights, in parts that are summed up one by one. */
function weightedMean(
  g: GraphBuilder,
  parts: readonly { readonly weights: Value; readonly values: Value; readonly ones: Value }[],
): Value {
  const sum = (of: "values" | "ones") =>
    parts
      .map((part) => scaledProduct(g, part.weights, part[of], BESIDE_ONE, false))
      .reduce((total, next) => add(g, total, next));
  return div(g, sum("values"), sum("ones"));
}

/**
 * What the weights `[batch, head, step, key]` draw from the values of ring and new steps, `[batch, head, step, headSize]`.
 *
 * Sums are the same bits however many chunks a call has. What comes before a step's chunk is summed up by place of the
 * ring, then the chunk itself is added. With one chunk the two are the ring as it lies and the new steps. With several,
 * earlier ones have to be summed up in their places of the ring, so values are put into that order: of the steps with one
 * place just one is seen at a time, and products with zero change no sum. (A softmax operator adds up in groups by place.)
 */
function attended(
  g: GraphBuilder,
  weights: Value,
  ringValues: Value | undefined,
  value: Value,
  { numSteps, left, ones, chunks }: SharedAttention,
): Value {
  if (ringValues === undefined || chunks === undefined) return weightedMean(g, [{ weights, values: value, ones }]);
  const ringOnes = g.table(`ones/${left}x1`, [left, 1], () => new Float32Array(left).fill(1));
  const [toRing, toNew] = g.ops("Split", [weights, concat(g, [g.ints([left]), numSteps], 0)], 2, { axis: 3 });
  const inOrder = () => {
    const toOwn = mul(g, toNew, chunks.own);
    const toEarlier = concat(g, [toRing, sub(g, toNew, toOwn)], 3);
    const all = concat(g, [ringValues, value], 2);
    const headSize = sizeOf(g, value, 3);
    const flat = reshapeTo(g, all, [-1, headSize]);
    return weightedMean(g, [
      {
        weights: g.op("GatherElements", [toEarlier, chunks.keyOrder], { axis: 3 }),
        values: g.op("Gather", [flat, chunks.rowOrder], { axis: 0 }),
        ones: chunks.ones,
      },
      { weights: toOwn, values: value, ones },
    ]);
  };
  const inPlace = () =>
    weightedMean(g, [
      { weights: toRing, values: ringValues, ones: ringOnes },
      { weights: toNew, values: value, ones },
    ]);
  return g.choose(chunks.isLong, "float32", inOrder, inPlace);
}

/** The relative-position half of the scores, `[batch, head, step, key]`, from queries `[batch · step, head, headSize]`. */
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
  const projected = linear({ ...net, precision: "float32" }, positions, `${prefix}.linear_pos`);
  const keys = transpose(g, reshape(g, projected, [-1, spec.numHeads, headSize]), [1, 2, 0]);
  // [head, batch · step, headSize]: one product for all rows of a head, however few steps a stream has.
  const rows = transpose(g, add(g, query, weight(net, `${prefix}.pos_bias_v`)), [1, 0, 2]);
  const raw = scaledProduct(g, rows, keys, 1 / Math.sqrt(headSize), false);
  const split = reshapeTo(g, raw, [spec.numHeads, -1, numSteps, numDistances]);
  return g.op("GatherElements", [transpose(g, split, [1, 0, 2, 3]), distances], { axis: 3 });
}

/** The convolution module over cached and new steps, on rows `[batch · step, model]`. */
function cachedConvolution(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  rows: Value,
  before: { readonly pool: Value; readonly rows: Value } | undefined,
  numSteps: Value,
  kept: Value[],
): Value {
  const { g } = net;
  const gated = gatedRows(net, prefix, rows);
  kept.push(gated);
  const fresh = reshapeTo(g, gated, [-1, 1, numSteps, spec.modelSize]);
  const all = before ? concat(g, [g.op("Gather", [before.pool, before.rows], { axis: 0 }), fresh], 2) : fresh;
  return convolvedImage(net, spec, prefix, transpose(g, all, [0, 3, 1, 2]), [0, 0]);
}
