import type { ConformerSpec } from "../../src/config/spec.ts";
import { attention, positionRow } from "./attention.ts";
import { addRows, dot, type Matrix, scaleRows, sigmoid, silu, standardized, transposed, zeros } from "./matrix.ts";
import { layerNorm, linear, type Params } from "./params.ts";
import { type Row, reduceSteps, subsample } from "./subsampling.ts";

/**
 * A Conformer encoder on one recording: `[frame][mel]` → `[step][model]` (nemo.md 3.2).
 * @param numDropped steps left out behind the subsampling, as NeMo's streaming exports drop the first ones
 */
export function conformer(
  p: Params,
  spec: ConformerSpec,
  input: Row,
  context: readonly number[] | undefined,
  numDropped = 0,
): Row {
  const { x, length } = subsample(p, spec.subsampling, input);
  let row: Row = { x: x.slice(numDropped), length: length - numDropped };
  if (spec.xscaling) row = { ...row, x: scaleRows(row.x, Math.sqrt(spec.modelSize)) };
  if (spec.attention.kind === "abs_pos") {
    row = {
      ...row,
      x: addRows(
        row.x,
        row.x.map((_, t) => positionRow(t, spec.modelSize)),
      ),
    };
  }
  for (let i = 0; i < spec.numLayers; i++) {
    row = { ...row, x: layer(p, spec, `encoder.layers.${i}`, row, context) };
    if (spec.reduction?.position === i) row = reduceSteps(p, spec.reduction, row);
  }
  if (spec.outSize !== undefined) row = { ...row, x: linear(p, "encoder.out_proj", row.x) };
  if (spec.reduction?.position === -1) row = reduceSteps(p, spec.reduction, row);
  return row;
}

/** One layer (nemo.md 3.5). */
function layer(
  p: Params,
  spec: ConformerSpec,
  prefix: string,
  input: Row,
  context: readonly number[] | undefined,
): Matrix {
  let r = addRows(input.x, scaleRows(feedForward(p, prefix, 1, input.x), 0.5));
  const attended = layerNorm(p, `${prefix}.norm_self_att`, r);
  r = addRows(r, attention(p, spec, `${prefix}.self_attn`, { ...input, x: attended }, context));
  const convolved = layerNorm(p, `${prefix}.norm_conv`, r);
  r = addRows(r, convolution(p, spec, `${prefix}.conv`, { ...input, x: convolved }));
  r = addRows(r, scaleRows(feedForward(p, prefix, 2, r), 0.5));
  return layerNorm(p, `${prefix}.norm_out`, r);
}

function feedForward(p: Params, prefix: string, n: number, x: Matrix): Matrix {
  const hidden = linear(p, `${prefix}.feed_forward${n}.linear1`, layerNorm(p, `${prefix}.norm_feed_forward${n}`, x));
  return linear(
    p,
    `${prefix}.feed_forward${n}.linear2`,
    hidden.map((row) => row.map(silu)),
  );
}

/** The convolution module (nemo.md 3.5.3). */
function convolution(p: Params, spec: ConformerSpec, prefix: string, input: Row): Matrix {
  const size = spec.modelSize;
  const gated = linear(p, `${prefix}.pointwise_conv1`, input.x).map((row, t) =>
    row.slice(0, size).map((a, i) => (t < input.length ? a * sigmoid(row[size + i]) : 0)),
  );
  const kernels = p.rows(`${prefix}.depthwise_conv.weight`);
  const name = `${prefix}.depthwise_conv.bias`;
  const bias = p.has(name) ? p.flat(name) : kernels.map(() => 0);
  const mixed = gated.map((_, t) =>
    kernels.map(
      (kernel, c) =>
        bias[c] +
        dot(
          kernel,
          kernel.map((_, n) => gated[t + n - spec.convContext.left]?.[c] ?? 0),
        ),
    ),
  );
  const normed = convNorm(p, spec, `${prefix}.batch_norm`, mixed);
  return linear(
    p,
    `${prefix}.pointwise_conv2`,
    normed.map((row) => row.map(silu)),
  );
}

/** The norm of the convolution module on `[step][model]`, epsilon 1e-5. */
function convNorm(p: Params, spec: ConformerSpec, prefix: string, x: Matrix): Matrix {
  const norm = spec.convNorm;
  if (norm.kind === "layer_norm") return layerNorm(p, prefix, x);
  if (norm.kind === "instance_norm") return transposed(transposed(x).map((channel) => standardized(channel, 1e-5)));
  const weight = p.flat(`${prefix}.weight`);
  const bias = p.flat(`${prefix}.bias`);
  const affine = (rows: Matrix) => rows.map((row) => row.map((v, i) => v * weight[i] + bias[i]));
  if (norm.kind === "fused_batch_norm") return affine(x);
  if (norm.kind === "group_norm") return affine(transposed(groupStandardized(transposed(x), norm.numGroups)));
  const mean = p.flat(`${prefix}.running_mean`);
  const variance = p.flat(`${prefix}.running_var`);
  return affine(x.map((row) => row.map((v, i) => (v - mean[i]) / Math.sqrt(variance[i] + 1e-5))));
}

/** Standardises groups of channels `[channel][step]` over their channels and all of time, epsilon 1e-5. */
export function groupStandardized(x: Matrix, numGroups: number): Matrix {
  const size = x.length / numGroups;
  const out = zeros(x.length, x[0].length);
  for (let group = 0; group < numGroups; group++) {
    const flat = standardized(x.slice(group * size, (group + 1) * size).flat(), 1e-5);
    flat.forEach((v, i) => {
      out[group * size + Math.floor(i / x[0].length)][i % x[0].length] = v;
    });
  }
  return out;
}
