import type { ConformerSpec } from "../../config/spec.ts";
import type { StreamGeometry } from "../../config/streaming.ts";
import { float, type GraphBuilder, type Value } from "../../onnx/graph.ts";
import { add, concat, reshape, reshapeTo, sizeOf, slice, transpose, unsqueeze } from "../../onnx/ops.ts";
import { rowZeros } from "../int8.ts";
import { linear, type Net, toRows, weight } from "../net.ts";
import { alignFlatPositions } from "./attention.ts";
import { convolvedImage, gatedRows } from "./convolution.ts";
import { conformerLayer } from "./encoder.ts";
import { streamMasks } from "./masks.ts";
import { positionRows } from "./positions.ts";
import { subsampleChunk } from "./streaming-subsampling.ts";

/**
 * Inputs of a streaming Conformer. Everything in which latency modes and positions of streams differ is data, so that any
 * streams share a batch.
 *
 * What a stream remembers lies in `pool`, rows of one model width: for every layer `left` rows of keys, `left` of values
 * and `convLeft` of the convolution's input (`cacheRows`). It is an input that the runtime reads in place: a batch
 * gathers just the rows it needs, layer by layer, and gives back the rows of its own steps for the caller to put there.
 */
export interface StreamingInputs {
  /** `[batch, frame, mel]`: the frames that a chunk's steps hear, zero outside of the recording. */
  readonly frames: Value;
  /** int64 `[batch]`: frames `[begin, end)` of each row are of the recording; what lies outside is masked in every stage. */
  readonly frameBegin: Value;
  readonly frameEnd: Value;
  /** float32 `[row, model]` */
  readonly pool: Value;
  /** int32 `[batch, cached]`: rows of the first layer's keys, oldest first; what is missing points at rows of zeros. */
  readonly attentionRows: Value;
  /** int64 `[batch]`: how many of the last `cached` keys are of the stream. */
  readonly cachedSteps: Value;
  /** int64 `[batch]`: steps of one chunk, to whose end each of its steps looks ahead. */
  readonly chunkSteps: Value;
  /** int64 `[batch]`: steps before a chunk that its steps look back on. */
  readonly leftSteps: Value;
  /** int32 `[batch, convLeft]`: rows of the first layer's convolution input, zeros before the stream's beginning. */
  readonly convRows: Value | undefined;
}

/** How the rows of one stream lie in the pool. */
export interface CacheLayout {
  /** Steps of attention that are kept. */
  readonly left: number;
  readonly convLeft: number;
  readonly rowsPerLayer: number;
  readonly numRows: number;
}

/** The layout of a stream's rows: layer after layer, in each keys, values and convolution input. */
export function cacheLayout(spec: ConformerSpec, { maxLeft, convLeft }: StreamGeometry): CacheLayout {
  const rowsPerLayer = 2 * maxLeft + convLeft;
  return { left: maxLeft, convLeft, rowsPerLayer, numRows: spec.numLayers * rowsPerLayer };
}

/**
 * The next chunks of any number of streams: `encoded` `[batch, step, model]`, `steps` int64 `[batch]` valid steps of each row,
 * and `cache` `[3 · layer, batch, step, model]`: the new rows of keys, values and convolution input of every layer.
 *
 * The numbers are those of the offline encoder with the same context (NeMo `ConformerEncoder.forward_internal` with
 * caches, conformer_encoder.py; there the caches hold the attention's input, here what is projected from it).
 */
export function streamingConformer(
  net: Net,
  spec: ConformerSpec,
  geometry: StreamGeometry,
  inputs: StreamingInputs,
): { encoded: Value; steps: Value; cache: Value } {
  const { g } = net;
  const scale = spec.xscaling ? Math.sqrt(spec.modelSize) : 1;
  const sequence = g.scope("pre_encode", () => subsampleChunk(net, spec.subsampling, inputs, spec.numMels, scale));
  const numSteps = sizeOf(g, sequence.x, 1);
  const numCached = sizeOf(g, inputs.attentionRows, 1);
  const farthest = geometry.maxLeft + geometry.maxSteps - 1;
  const layout = cacheLayout(spec, geometry);
  const offsets = (within: number) =>
    Array.from({ length: spec.numLayers }, (_, i) => i * layout.rowsPerLayer + within);
  const shared: Shared = {
    ...inputs,
    numSteps,
    numCached,
    keyOnes: g.op("Expand", [g.number(1), concat(g, [add(g, numCached, numSteps), g.ints([1])], 0)]),
    heads: reshape(g, inputs.pool, [-1, spec.numHeads, spec.modelSize / spec.numHeads]),
    keyRows: rowsAt(g, inputs.attentionRows, offsets(0)),
    valueRows: rowsAt(g, inputs.attentionRows, offsets(layout.left)),
    convRowsAt: inputs.convRows === undefined ? [] : rowsAt(g, inputs.convRows, offsets(0)),
    scoreBias: streamMasks(g, { ...inputs, numCached, numSteps, steps: sequence.lengths }),
    positions: positionRows(g, farthest, geometry.maxSteps, spec.modelSize),
    farthest,
  };
  let rows = toRows(net, sequence.x, spec.modelSize);
  const cache: Value[] = [];
  const layers = net.precision === "int8" ? { ...net, rowZeros: rowZeros(g, rows) } : net;
  for (let i = 0; i < spec.numLayers; i++) {
    const prefix = `encoder.layers.${i}`;
    const parts = {
      attention: (x: Value) => cachedAttention(layers, spec, `${prefix}.self_attn`, x, { ...shared, layer: i }, cache),
      convolution: (x: Value) => cachedConvolution(layers, spec, `${prefix}.conv`, x, { ...shared, layer: i }, cache),
    };
    rows = g.scope(`layers.${i}`, () => conformerLayer(layers, prefix, rows, parts));
  }
  const size = spec.outSize ?? spec.modelSize;
  if (spec.outSize !== undefined) rows = linear(net, rows, "encoder.out_proj");
  const newRows = reshapeTo(g, concat(g, cache, 0), [3 * spec.numLayers, -1, numSteps, spec.modelSize]);
  return { encoded: reshapeTo(g, rows, [-1, numSteps, size]), steps: sequence.lengths, cache: newRows };
}

interface Shared extends StreamingInputs {
  readonly numSteps: Value;
  readonly numCached: Value;
  readonly scoreBias: Value;
  /** Position rows `[distance, model]`, from `farthest` down. */
  readonly positions: Value;
  readonly farthest: number;
  /** Ones, float32 `[key, 1]`. */
  readonly keyOnes: Value;
  /** The pool as `[row, head, headSize]`. */
  readonly heads: Value;
  /** Rows of the pool, `[batch, 1, row]` for each layer. */
  readonly keyRows: readonly Value[];
  readonly valueRows: readonly Value[];
  readonly convRowsAt: readonly Value[];
}

type OfLayer = Shared & { readonly layer: number };

/**
 * Rows of the pool for every layer and part: `base` rows of the first layer moved to each, as one constant sum that is
 * split, because a sum for each layer costs more than it adds.
 * @returns `[batch, 1, row]` for each offset
 */
function rowsAt(g: GraphBuilder, base: Value, offsets: readonly number[]): Value[] {
  const moves = g.initializer({
    name: `const/int32/${offsets.join("_")}`,
    type: "int32",
    dims: [1, offsets.length, 1],
    bytes: () => new Uint8Array(Int32Array.from(offsets).buffer),
  });
  const all = add(g, unsqueeze(g, base, [1]), moves);
  return offsets.length === 1 ? [all] : g.ops("Split", [all], offsets.length, { axis: 1 });
}

/** Self-attention of new steps to the cached ones and to each other, on rows `[batch · step, model]`. */
function cachedAttention(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  rows: Value,
  shared: OfLayer,
  cache: Value[],
): Value {
  const { g } = net;
  const { numHeads, modelSize } = spec;
  const headSize = modelSize / numHeads;
  const query = reshape(g, linear(net, rows, `${prefix}.linear_q`), [-1, numHeads, headSize]);
  const key = linear(net, rows, `${prefix}.linear_k`);
  const value = linear(net, rows, `${prefix}.linear_v`);
  cache.push(key, value);
  // [1, head, batch, key, headSize]
  const known = (cachedAt: readonly Value[], own: Value) => {
    const fresh = reshapeTo(g, own, [-1, 1, shared.numSteps, numHeads, headSize]);
    const cached = g.op("Gather", [shared.heads, cachedAt[shared.layer]], { axis: 0 });
    return transpose(g, concat(g, [cached, fresh], 2), [1, 3, 0, 2, 4]);
  };
  // [head, batch · step, headSize]: one product for all rows of a head, however few steps a stream has.
  const biased = (name: string) => transpose(g, add(g, query, weight(net, `${prefix}.${name}`)), [1, 0, 2]);
  const perStream = reshapeTo(g, biased("pos_bias_u"), [1, numHeads, -1, shared.numSteps, headSize]);
  const byContent = scaledProduct(g, perStream, known(shared.keyRows, key), 1 / Math.sqrt(headSize), true);
  const byPosition = positionScores(net, spec, prefix, biased("pos_bias_v"), shared);
  const scores = add(g, add(g, byContent, byPosition), shared.scoreBias);
  const context = weightedSum(g, scores, known(shared.valueRows, value), shared);
  const merged = reshape(g, transpose(g, context, [0, 2, 3, 1, 4]), [-1, modelSize]);
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

/**
 * Softmax of scores over the keys, times the values.
 *
 * Weights and values are summed by products, key after key, so that keys that do not count (exact zeros) change no bit,
 * wherever they stand: how many chunks a call has, and how much others remember, does not show. A softmax operator adds
 * up in groups by place.
 */
function weightedSum(g: GraphBuilder, scores: Value, values: Value, { keyOnes }: Shared): Value {
  const peak = g.op("ReduceMax", [scores], { axes: [-1], keepdims: 1 });
  const weights = g.op("Exp", [g.op("Sub", [scores, peak])]);
  const sums = scaledProduct(g, weights, keyOnes, BESIDE_ONE, false);
  return g.op("Div", [scaledProduct(g, weights, values, BESIDE_ONE, false), sums]);
}

/** The relative-position half of the scores, `[head, batch, step, key]`, from queries `[head, batch · step, headSize]`. */
function positionScores(net: Net, spec: ConformerSpec, prefix: string, query: Value, shared: OfLayer): Value {
  const { g } = net;
  const headSize = spec.modelSize / spec.numHeads;
  // Constants only: the runtime computes this product once, when it loads the graph.
  const projected = linear({ ...net, precision: "float32" }, shared.positions, `${prefix}.linear_pos`);
  const keys = transpose(g, reshape(g, projected, [-1, spec.numHeads, headSize]), [1, 2, 0]);
  const raw = scaledProduct(g, query, keys, 1 / Math.sqrt(headSize), false);
  const { numSteps, numCached } = shared;
  const numKeys = add(g, numCached, numSteps);
  // Distances numKeys - 1 … -numSteps: where they begin among those from `farthest` down.
  const first = g.op("Sub", [g.ints([shared.farthest + 1]), numKeys]);
  const width = add(g, numKeys, numSteps);
  const wanted = slice(g, raw, 2, first, add(g, first, width));
  const flat = reshapeTo(g, wanted, [spec.numHeads, -1, g.op("Mul", [numSteps, width])]);
  return alignFlatPositions(net, flat, numSteps, numKeys);
}

/** The convolution module over cached and new steps, on rows `[batch · step, model]`. */
function cachedConvolution(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  rows: Value,
  shared: OfLayer,
  cache: Value[],
): Value {
  const { g } = net;
  const gated = gatedRows(net, prefix, rows);
  cache.push(gated);
  const fresh = reshapeTo(g, gated, [-1, 1, shared.numSteps, spec.modelSize]);
  const cachedAt = shared.convRowsAt.at(shared.layer);
  const all = cachedAt ? concat(g, [g.op("Gather", [shared.pool, cachedAt], { axis: 0 }), fresh], 2) : fresh;
  return convolvedImage(net, spec, prefix, transpose(g, all, [0, 3, 1, 2]), [0, 0]);
}
