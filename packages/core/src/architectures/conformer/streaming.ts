import type { ConformerSpec } from "../../config/spec.ts";
import type { StreamGeometry } from "../../config/streaming.ts";
import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { add, concat, reshapeTo, sizeOf, transpose, unsqueeze } from "../../onnx/ops.ts";
import { rowZeros } from "../int8.ts";
import { linear, type Net, toRows } from "../net.ts";
import { convolvedImage, gatedRows } from "./convolution.ts";
import { conformerLayer } from "./encoder.ts";
import { cachedAttention, sharedAttention } from "./streaming-attention.ts";
import type { StreamingInputs } from "./streaming-inputs.ts";
import { subsampleChunk } from "./streaming-subsampling.ts";

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
