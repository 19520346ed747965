import type { ConformerSpec } from "../../config/spec.ts";
import { float, type Value } from "../../onnx/graph.ts";
import { add, mul, reshape, reshapeTo, silu, transpose } from "../../onnx/ops.ts";
import { derived, linear, type Net, normalize, toRows, weight } from "../net.ts";
import type { StepMasks } from "./masks.ts";

/** Epsilon of torch's norms. */
const EPSILON = 1e-5;

/** The convolution module of one layer on rows `[batch · step, model]` (NeMo `ConformerConvolution`). */
export function convolution(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  rows: Value,
  inputs: { numSteps: Value; masks: StepMasks },
): Value {
  const { g } = net;
  const size = spec.modelSize;
  const [signal, gate] = g.ops("Split", [linear(net, rows, `${prefix}.pointwise_conv1`)], 2, { axis: 1 });
  const gated = reshapeTo(g, mul(g, signal, g.op("Sigmoid", [gate])), [-1, inputs.numSteps, size]);
  const channelsFirst = transpose(g, mul(g, gated, inputs.masks.valid), [0, 2, 1]);
  let x = depthwise(net, spec, prefix, channelsFirst);
  if (spec.convNorm.kind === "layer_norm") {
    x = normalize(net, transpose(g, x, [0, 2, 1]), `${prefix}.batch_norm`);
  } else {
    x = transpose(g, overTime(net, spec, prefix, x), [0, 2, 1]);
  }
  return linear(net, toRows(net, silu(g, x), size), `${prefix}.pointwise_conv2`);
}

/** Depthwise convolution of `[batch, model, step]`, with the norm folded in where the norm is affine at inference. */
function depthwise(net: Net, spec: ConformerSpec, prefix: string, x: Value): Value {
  const { g, w } = net;
  const size = spec.modelSize;
  const name = `${prefix}.depthwise_conv`;
  const attributes = {
    kernel_shape: [spec.convKernel],
    pads: [spec.convContext.left, spec.convContext.right],
    group: size,
  };
  const isFolded = spec.convNorm.kind === "batch_norm" || spec.convNorm.kind === "fused_batch_norm";
  if (!isFolded) {
    const bias = w.has(`${name}.bias`) ? [weight(net, `${name}.bias`)] : [];
    return g.op("Conv", [x, weight(net, `${name}.weight`), ...bias], attributes);
  }
  const norm = `${prefix}.batch_norm`;
  const weights = derived(net, `${name}.weight:folded`, [size, 1, spec.convKernel], async () => {
    const { scale } = await affineOf(net, spec, norm);
    return (await w.read(`${name}.weight`)).map((v, i) => v * scale[Math.floor(i / spec.convKernel)]);
  });
  const bias = derived(net, `${name}.bias:folded`, [size], async () => {
    const { scale, shift } = await affineOf(net, spec, norm);
    const own = w.has(`${name}.bias`) ? await w.read(`${name}.bias`) : new Float32Array(size);
    return own.map((v, i) => v * scale[i] + shift[i]);
  });
  return g.op("Conv", [x, weights, bias], attributes);
}

/** A batch norm at inference as `scale · x + shift`. */
async function affineOf(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
): Promise<{ scale: Float64Array; shift: Float64Array }> {
  const { w } = net;
  const scale = Float64Array.from(await w.read(`${prefix}.weight`));
  const shift = Float64Array.from(await w.read(`${prefix}.bias`));
  if (spec.convNorm.kind === "batch_norm") {
    const mean = await w.read(`${prefix}.running_mean`);
    const variance = await w.read(`${prefix}.running_var`);
    for (let i = 0; i < scale.length; i++) {
      scale[i] /= Math.sqrt(variance[i] + EPSILON);
      shift[i] -= mean[i] * scale[i];
    }
  }
  return { scale, shift };
}

/** Norms whose statistics run over time (they see the padding of a batch, so such models are run alone). */
function overTime(net: Net, spec: ConformerSpec, prefix: string, x: Value): Value {
  const { g } = net;
  const norm = spec.convNorm;
  const plain = (value: Value, channels: number) =>
    g.op(
      "InstanceNormalization",
      [
        value,
        g.table(`ones/${channels}`, [channels], () => new Float32Array(channels).fill(1)),
        g.table(`zeros/${channels}`, [channels], () => new Float32Array(channels)),
      ],
      { epsilon: float(EPSILON) },
    );
  if (norm.kind === "instance_norm") return plain(x, spec.modelSize);
  if (norm.kind === "group_norm") {
    const grouped = plain(reshape(g, x, [0, norm.numGroups, -1]), norm.numGroups);
    const back = g.op("Reshape", [grouped, g.op("Shape", [x])]);
    const column = (name: string) => weight(net, `${prefix}.batch_norm.${name}`, [spec.modelSize, 1]);
    return add(g, mul(g, back, column("weight")), column("bias"));
  }
  return x;
}
