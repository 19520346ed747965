import type { SubsamplingSpec } from "../../config/spec.ts";
import type { Value } from "../../onnx/graph.ts";
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
  sub,
  transpose,
  unsqueeze,
} from "../../onnx/ops.ts";
import { derived, linear, type Net, normalize, weight } from "../net.ts";

/** A batch on its way through the encoder. */
export interface Sequence {
  /** `[batch, step, model]` */
  readonly x: Value;
  /** Valid steps of each row, int64 `[batch]`. */
  readonly lengths: Value;
}

/**
 * `pre_encode`: features `[batch, frame, mel]` → steps `[batch, step, model]`, times `scale`
 * (NeMo `ConvSubsampling`, `StackingSubsampling`, `FeatureStacking`, subsampling.py).
 */
export function subsample(net: Net, spec: SubsamplingSpec, input: Sequence, numMels: number, scale: number): Sequence {
  const prefix = "encoder.pre_encode";
  switch (spec.kind) {
    case "linear":
      return { x: project(net, input.x, prefix, scale), lengths: input.lengths };
    case "striding":
    case "dw_striding":
      return convSubsample(net, prefix, spec, input, numMels, scale);
    case "stacking":
    case "stacking_norm":
    case "feature_stacking":
      return stack(net, prefix, spec, input, numMels, scale);
  }
}

/** Rows `[batch, step, in]` through a linear layer, still `[batch, step, out]`. */
function project(net: Net, x: Value, prefix: string, scale: number): Value {
  const { g, w } = net;
  const [numOut, numIn] = w.dims(`${prefix}.weight`);
  const rows = linear(net, reshape(g, x, [-1, numIn]), prefix, { scale });
  return reshapeTo(g, rows, [sizeOf(g, x, 0), sizeOf(g, x, 1), numOut]);
}

/**
 * Convolutions of stride 2 over time and frequency, every input masked beyond the valid frames as NeMo's
 * `MaskedConvSequential` does, then a linear layer over `channel · frequency`.
 */
export function convSubsample(
  net: Net,
  prefix: string,
  spec: Pick<SubsamplingSpec, "kind" | "factor" | "isCausal" | "isMasked">,
  input: Sequence,
  inputSize: number,
  scale: number,
): Sequence {
  const { g, w } = net;
  const numStages = Math.log2(spec.factor);
  const first = spec.isMasked ? firstConv : unmaskedFirstConv;
  let { x, lengths } = first(net, `${prefix}.conv.0`, spec, input);
  let width = halfWidth(inputSize, spec.isCausal);
  for (let stage = 1, layer = 2; stage < numStages; stage++) {
    if (stage > 1 && spec.isMasked) x = maskTime(net, x, lengths);
    const isDepthwise = spec.kind === "dw_striding";
    x = stridedConv(net, x, `${prefix}.conv.${layer}`, spec.isCausal, isDepthwise);
    if (isDepthwise) {
      const pointwise = `${prefix}.conv.${layer + 1}`;
      x = g.op("Conv", [x, weight(net, `${pointwise}.weight`), weight(net, `${pointwise}.bias`)]);
    }
    layer += isDepthwise ? 3 : 2;
    x = g.op("Relu", [x]);
    lengths = halve(net, lengths, spec.isCausal);
    width = halfWidth(width, spec.isCausal);
  }
  if (spec.isMasked) x = maskTime(net, x, lengths);
  const channels = w.dims(`${prefix}.conv.0.weight`)[0];
  const flat = reshape(g, transpose(g, x, [0, 2, 1, 3]), [0, 0, channels * width]);
  return { x: project(net, flat, `${prefix}.out`, scale), lengths };
}

/** Beats every real activation: what is pulled down by this is zero after the ReLU. */
const PULL_DOWN = -1e30;

/**
 * The first convolution and its ReLU, with the mask of its output built in.
 *
 * Beyond the valid frames the output must be zero, not the bias. Masking it afterwards would take this largest tensor of
 * the whole encoder out of the runtime's blocked layout and back; instead the input gets a second channel that is 1 beyond
 * the valid frames, and the kernel pulls an output down when the frame at its own place is one of these.
 */
function firstConv(net: Net, prefix: string, spec: { isCausal: boolean }, input: Sequence): Sequence {
  const { g, w } = net;
  const [channels] = w.dims(`${prefix}.weight`);
  const numFrames = sizeOf(g, input.x, 1);
  const isValid = g.op("Less", [unsqueeze(g, range(g, numFrames), [0]), unsqueeze(g, input.lengths, [1])]);
  const valid = unsqueeze(g, cast(g, isValid, "float32"), [2]);
  const beyond = g.op("Expand", [sub(g, g.number(1), valid), g.op("Shape", [input.x])]);
  const both = concat(g, [unsqueeze(g, mul(g, input.x, valid), [1]), unsqueeze(g, beyond, [1])], 1);
  // Half precision cannot hold the pull.
  const weights = derived(
    { ...net, precision: "float32" },
    `${prefix}.weight:masked`,
    [channels, 2, 3, 3],
    async () => {
      const own = await w.read(`${prefix}.weight`);
      const out = new Float32Array(channels * 18);
      // Output t stands on frame 2t, the middle of its kernel; a causal one is valid while frame 2t - 1 is.
      for (let c = 0; c < channels; c++) {
        out.set(own.subarray(c * 9, c * 9 + 9), c * 18);
        out.fill(PULL_DOWN, c * 18 + 9 + 3, c * 18 + 9 + 6);
      }
      return out;
    },
  );
  const x = g.op("Conv", [both, weights, weight(net, `${prefix}.bias`)], convAttributes(spec.isCausal, 1));
  return { x: g.op("Relu", [x]), lengths: halve(net, input.lengths, spec.isCausal) };
}

/** The same for a checkpoint that NeMo runs without masks. */
function unmaskedFirstConv(net: Net, prefix: string, spec: { isCausal: boolean }, input: Sequence): Sequence {
  const x = stridedConv(net, unsqueeze(net.g, input.x, [1]), prefix, spec.isCausal, false);
  return { x: net.g.op("Relu", [x]), lengths: halve(net, input.lengths, spec.isCausal) };
}

/** Frequencies left after one strided convolution. */
const halfWidth = (width: number, isCausal: boolean): number =>
  isCausal ? Math.floor(width / 2) + 1 : Math.ceil(width / 2);

/** Causal convolutions look two back and one ahead on both axes, so that a step needs no later frame. */
function stridedConv(net: Net, x: Value, prefix: string, isCausal: boolean, isDepthwise: boolean): Value {
  const [channels] = net.w.dims(`${prefix}.weight`);
  const inputs = [x, weight(net, `${prefix}.weight`), weight(net, `${prefix}.bias`)];
  return net.g.op("Conv", inputs, convAttributes(isCausal, isDepthwise ? channels : 1));
}

const convAttributes = (isCausal: boolean, group: number) => ({
  kernel_shape: [3, 3],
  strides: [2, 2],
  pads: isCausal ? [2, 2, 1, 1] : [1, 1, 1, 1],
  group,
});

/** Length after one strided convolution. */
function halve(net: Net, lengths: Value, isCausal: boolean): Value {
  const { g } = net;
  const two = g.int(2);
  return isCausal ? add(g, div(g, lengths, two), g.int(1)) : div(g, add(g, lengths, g.int(1)), two);
}

/** Zeroes `[batch, channel, time, frequency]` at and beyond each row's length. */
function maskTime(net: Net, x: Value, lengths: Value): Value {
  const { g } = net;
  const valid = g.op("Less", [unsqueeze(g, range(g, sizeOf(g, x, 2)), [0]), unsqueeze(g, lengths, [1])]);
  return mul(g, x, unsqueeze(g, cast(g, valid, "float32"), [1, 3]));
}

/** Stacks `factor` frames into one step. */
function stack(
  net: Net,
  prefix: string,
  spec: SubsamplingSpec,
  input: Sequence,
  numMels: number,
  scale: number,
): Sequence {
  const { g } = net;
  const factor = g.ints([spec.factor]);
  const numFrames = sizeOf(g, input.x, 1);
  const missing = g.op("Mod", [sub(g, factor, g.op("Mod", [numFrames, factor])), factor]);
  const zeros = g.op("Concat", [g.ints([0, 0, 0, 0]), missing, g.ints([0])], { axis: 0 });
  let x = g.op("Pad", [input.x, zeros]);
  if (spec.kind === "stacking_norm") x = normalize(net, x, `${prefix}.pre_norm`);
  x = reshape(g, x, [0, -1, numMels * spec.factor]);
  const projection = spec.kind === "feature_stacking" ? `${prefix}.proj` : `${prefix}.proj_out`;
  const isCeil = spec.kind === "feature_stacking";
  // StackingSubsampling adds the padding of the whole batch to every length, FeatureStacking rounds each up.
  const padded = add(g, input.lengths, isCeil ? g.int(spec.factor - 1) : missing);
  return { x: project(net, x, projection, scale), lengths: div(g, padded, factor) };
}

/** NeMo `SubsamplingReductionModule`: fewer steps after a layer, by pooling or by strided convolutions. */
export function reduceSteps(
  net: Net,
  kind: "pooling" | "striding",
  factor: number,
  input: Sequence,
  size: number,
): Sequence {
  const { g } = net;
  const prefix = "encoder.reduction_subsampling.reduction_enc";
  if (kind === "striding")
    return convSubsample(net, prefix, { kind: "striding", factor, isCausal: false, isMasked: true }, input, size, 1);
  const pooled = g.op("MaxPool", [transpose(g, input.x, [0, 2, 1])], { kernel_shape: [factor], strides: [factor] });
  // NeMo divides the lengths log2(factor) times by the factor (`_sampling_num` with the pooling's own stride): kept.
  let lengths = input.lengths;
  for (let i = 0; i < Math.floor(Math.log2(factor)); i++) lengths = div(g, lengths, g.int(factor));
  return { x: transpose(g, pooled, [0, 2, 1]), lengths };
}
