import type { ConformerSpec } from "../../config/spec.ts";
import type { Value } from "../../onnx/graph.ts";
import {
  add,
  concat,
  matMul,
  mul,
  range,
  reshape,
  reshapeTo,
  sizeOf,
  slice,
  squeeze,
  sub,
  transpose,
} from "../../onnx/ops.ts";
import { linear, linears, type Net, toRows, weight } from "../net.ts";
import type { StepMasks } from "./masks.ts";
import type { PositionKeys, PositionUse } from "./positions.ts";

/** Sizes every layer of one encoder call shares. */
export interface AttentionInputs {
  /** int64 `[1]` */
  readonly numSteps: Value;
  readonly masks: StepMasks;
  /** Undefined for absolute positions. */
  readonly positionKeys: PositionKeys | undefined;
}

/**
 * Self-attention of one layer on rows `[batch · step, model]` (NeMo `RelPositionMultiHeadAttention`,
 * `RelPositionMultiHeadAttentionLongformer`, `MultiHeadAttention`, multi_head_attention.py).
 */
export function attention(net: Net, spec: ConformerSpec, prefix: string, rows: Value, inputs: AttentionInputs): Value {
  const { g } = net;
  const headSize = spec.modelSize / spec.numHeads;
  const scale = 1 / Math.sqrt(headSize);
  const heads = (x: Value) => reshapeTo(g, x, [-1, inputs.numSteps, spec.numHeads, headSize]);
  const [q, k, v] = linears(net, rows, [
    { prefix: `${prefix}.linear_q`, scale },
    { prefix: `${prefix}.linear_k` },
    { prefix: `${prefix}.linear_v` },
  ]);
  const query = heads(q);
  const key = transpose(g, heads(k), [0, 2, 3, 1]);
  const value = transpose(g, heads(v), [0, 2, 1, 3]);
  const plain = (q: Value) => transpose(g, q, [0, 2, 1, 3]);
  const biased = (name: string) => plain(add(g, query, scaledBias(net, `${prefix}.${name}`, scale)));

  let scores: Value;
  if (inputs.positionKeys === undefined) {
    scores = matMul(g, plain(query), key);
  } else {
    const keys = inputs.positionKeys(positionUse(net, spec, prefix));
    const byPosition = alignPositions(net, matMul(g, biased("pos_bias_v"), keys), inputs.numSteps, inputs.numSteps);
    scores = add(g, matMul(g, biased("pos_bias_u"), key), byPosition);
  }
  scores = add(g, scores, inputs.masks.scoreBias);
  const merge = (context: Value) => reshape(g, transpose(g, context, [0, 2, 1, 3]), [0, 0, spec.modelSize]);
  // NeMo zeroes the attention of padded queries; adding the output bias afterwards is its doing too.
  const hidePadding = (x: Value) => mul(g, x, inputs.masks.valid);
  const merged =
    spec.attention.globalTokens > 0
      ? withGlobalTokens(net, spec, prefix, {
          rows,
          scores,
          query: plain(query),
          key,
          value,
          scale,
          inputs,
          finish: (context) => hidePadding(merge(context)),
        })
      : hidePadding(merge(matMul(g, g.op("Softmax", [scores], { axis: -1 }), value)));
  return linear(net, toRows(net, merged, spec.modelSize), `${prefix}.linear_out`);
}

/** `pos_bias_u` or `pos_bias_v` times the scale of the queries, `[head, 1-step broadcast, headSize]`. */
export function scaledBias(net: Net, name: string, scale: number): Value {
  return mul(net.g, weight(net, name), net.g.number(scale));
}

/** How a layer turns position rows into keys; in float32 whatever the encoder's precision. */
function positionUse(net: Net, spec: ConformerSpec, prefix: string): PositionUse {
  const { g } = net;
  const headSize = spec.modelSize / spec.numHeads;
  return {
    project: (rows) => linear({ ...net, precision: "float32" }, rows, `${prefix}.linear_pos`),
    toKeys: (projected) => transpose(g, reshape(g, projected, [1, -1, spec.numHeads, headSize]), [0, 2, 3, 1]),
  };
}

/**
 * `[a, b, query, key + query]` by distance → `[a, b, query, key]` by key, for queries that are the last of the keys.
 *
 * Columns are the distances `key - 1 … -query`. Score (i, j), of distance `key - query + i - j`, stands in column
 * `query - 1 - i + j`, which is position `i · (key + query - 1) + query - 1 + j` of the flattened matrix: cutting
 * `query - 1` off the front and one off the end leaves rows one shorter, aligned by key.
 */
export function alignPositions(net: Net, raw: Value, numQueries: Value, numKeys: Value): Value {
  const { g } = net;
  const one = g.ints([1]);
  const flat = reshape(g, raw, [0, 0, -1]);
  const cut = slice(g, flat, 2, sub(g, numQueries, one), -1);
  const width = sub(g, add(g, numKeys, numQueries), one);
  const aligned = g.op("Reshape", [cut, concat(g, [g.ints([0, 0]), numQueries, width], 0)]);
  return slice(g, aligned, 3, 0, numKeys);
}

interface GlobalParts {
  readonly rows: Value;
  readonly scores: Value;
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
  readonly scale: number;
  readonly inputs: AttentionInputs;
  /** Joins the heads of `[batch, head, query, headSize]` and zeroes padded queries: `[batch, query, model]`. */
  readonly finish: (context: Value) => Value;
}

/**
 * Longformer's global tokens: every query sees them besides its band (a global key inside the band counts twice), and
 * they themselves attend to every step. Gives `[batch, step, model]`.
 */
function withGlobalTokens(net: Net, spec: ConformerSpec, prefix: string, p: GlobalParts): Value {
  const { g } = net;
  const { globalTokens, globalTokensSpacing, globalAttnSeparate } = spec.attention;
  const headSize = spec.modelSize / spec.numHeads;
  const heads = (name: string, scale: number) =>
    reshapeTo(g, linear(net, p.rows, `${prefix}.${name}`, { scale }), [-1, p.inputs.numSteps, spec.numHeads, headSize]);
  const query = globalAttnSeparate ? transpose(g, heads("global_q", p.scale), [0, 2, 1, 3]) : p.query;
  const key = globalAttnSeparate ? transpose(g, heads("global_k", 1), [0, 2, 3, 1]) : p.key;
  const value = globalAttnSeparate ? transpose(g, heads("global_v", 1), [0, 2, 1, 3]) : p.value;

  const indices = globalIndices(net, p.inputs.numSteps, globalTokens, globalTokensSpacing);
  const globalKeys = g.op("Gather", [key, indices], { axis: 3 });
  const globalScores = matMul(g, query, globalKeys);
  const all = g.op("Softmax", [concat(g, [globalScores, p.scores], 3)], { axis: -1 });
  const numGlobal = sizeOf(g, globalKeys, 3);
  // The values of global keys are the ordinary ones, even where the projections are separate (NeMo passes `value=v`).
  const fromGlobal = matMul(g, slice(g, all, 3, 0, numGlobal), g.op("Gather", [p.value, indices], { axis: 2 }));
  const fromBand = matMul(g, slice(g, all, 3, numGlobal, add(g, numGlobal, p.inputs.numSteps)), p.value);
  const local = p.finish(add(g, fromGlobal, fromBand));

  // NeMo reshapes the global queries `[global, head, headSize]` to `[head, global, headSize]` without transposing them
  // (`_compute_out_global_to_all`): with several tokens and heads each query meets another head's keys. Trained so, kept.
  const tokenMajor = transpose(g, g.op("Gather", [query, indices], { axis: 2 }), [0, 2, 1, 3]);
  const ownQuery = reshape(g, tokenMajor, [0, spec.numHeads, -1, headSize]);
  const ownScores = add(g, matMul(g, ownQuery, key), keyBias(net, p.inputs));
  const own = matMul(g, g.op("Softmax", [ownScores], { axis: -1 }), value);
  // The rows of global tokens are replaced even where they are padding: later layers see those as keys.
  const ownRows = reshape(g, transpose(g, own, [2, 0, 1, 3]), [0, 0, spec.modelSize]);
  const replaced = g.op("ScatterND", [
    transpose(g, local, [1, 0, 2]),
    g.op("Unsqueeze", [indices, g.ints([1])]),
    ownRows,
  ]);
  return transpose(g, replaced, [1, 0, 2]);
}

/** Steps `0, s, 2s, …` that exist, as int64 `[global]`. */
function globalIndices(net: Net, numSteps: Value, count: number, spacing: number): Value {
  const { g } = net;
  const end = g.op("Min", [numSteps, g.ints([count * spacing])]);
  const number = g.op("Div", [add(g, end, g.ints([spacing - 1])), g.ints([spacing])]);
  return mul(g, range(g, number), g.ints([spacing]));
}

/** Bias that hides padded keys only: `[batch, 1, 1, key]`. */
function keyBias(net: Net, inputs: AttentionInputs): Value {
  const { g } = net;
  const invalid = sub(g, g.number(1), squeeze(g, inputs.masks.valid, [2]));
  return g.op("Unsqueeze", [mul(g, invalid, g.number(-1e4)), g.ints([1, 2])]);
}
