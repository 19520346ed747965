import type { SubsamplingSpec } from "../../config/spec.ts";
import type { GraphBuilder, Value } from "../../onnx/graph.ts";
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

/** Which places of the time axis are of the recording, int64 `[batch]` each; `begin` is undefined where all rows begin at 0. */
export interface Validity {
  readonly begin: Value | undefined;
  readonly end: Value;
}

/** How the time axis goes through the stages of a convolutional subsampling. */
export interface TimeAxis {
  readonly valid: Validity;
  /** The valid places of a stage's output. */
  readonly next: (valid: Validity) => Validity;
  /** Zeros before and behind the input of each stage. */
  readonly pads: readonly [number, number];
}

/** Convolutional subsampling of whole recordings `[batch, frame, size]`. */
export function convSubsample(
  net: Net,
  prefix: string,
  spec: ConvStagesSpec,
  input: Sequence,
  inputSize: number,
  scale: number,
): Sequence {
  return convStages(net, prefix, spec, input.x, inputSize, scale, {
    valid: { begin: undefined, end: input.lengths },
    next: ({ end }) => ({ begin: undefined, end: halve(net, end, spec.isCausal) }),
    // Causal convolutions look two back and one ahead on both axes, so that a step needs no later frame.
    pads: frequencyPads(spec.isCausal),
  });
}

type ConvStagesSpec = Pick<SubsamplingSpec, "kind" | "factor" | "isCausal" | "isMasked">;

/**
 * Convolutions of stride 2 over time and frequency, every input masked outside of the valid frames as NeMo's
 * `MaskedConvSequential` does, then a linear layer over `channel · frequency`.
 */
export function convStages(
  net: Net,
  prefix: string,
  spec: ConvStagesSpec,
  frames: Value,
  inputSize: number,
  scale: number,
  time: TimeAxis,
): Sequence {
  const { g, w } = net;
  const numStages = Math.log2(spec.factor);
  let { valid } = time;
  const first = `${prefix}.conv.0`;
  let x = spec.isMasked
    ? firstConv(net, first, spec.isCausal, frames, time)
    : stridedConv(net, unsqueeze(g, frames, [1]), first, convAttributes(spec.isCausal, time.pads));
  x = g.op("Relu", [x]);
  valid = time.next(valid);
  let width = halfWidth(inputSize, spec.isCausal);
  for (let stage = 1, layer = 2; stage < numStages; stage++) {
    if (stage > 1 && spec.isMasked) x = maskTime(net, x, valid);
    const isDepthwise = spec.kind === "dw_striding";
    const group = isDepthwise ? w.dims(`${prefix}.conv.${layer}.weight`)[0] : 1;
    x = stridedConv(net, x, `${prefix}.conv.${layer}`, convAttributes(spec.isCausal, time.pads, group));
    if (isDepthwise) {
      const pointwise = `${prefix}.conv.${layer + 1}`;
      x = g.op("Conv", [x, weight(net, `${pointwise}.weight`), weight(net, `${pointwise}.bias`)]);
    }
    layer += isDepthwise ? 3 : 2;
    x = g.op("Relu", [x]);
    valid = time.next(valid);
    width = halfWidth(width, spec.isCausal);
  }
  if (spec.isMasked) x = maskTime(net, x, valid);
  const channels = w.dims(`${prefix}.conv.0.weight`)[0];
  const flat = reshape(g, transpose(g, x, [0, 2, 1, 3]), [0, 0, channels * width]);
  return { x: project(net, flat, `${prefix}.out`, scale), lengths: valid.end };
}

/** Beats every real activation: what is pulled down by this is zero after the ReLU. */
const PULL_DOWN = -1e30;

/**
 * The first convolution, with the mask of its output built in.
 *
 * Outside of the valid frames the output must be zero after its ReLU, not the bias. Masking it afterwards would take this
 * largest tensor of the whole encoder out of the runtime's blocked layout and back; instead the input gets a second
 * channel that is 1 outside, and the kernel pulls an output down when the frame at its own place is one of these.
 */
function firstConv(net: Net, prefix: string, isCausal: boolean, frames: Value, { valid, pads }: TimeAxis): Value {
  const { g, w } = net;
  const [channels] = w.dims(`${prefix}.weight`);
  const numFrames = sizeOf(g, frames, 1);
  const asFrames = (isValid: Value) => unsqueeze(g, cast(g, isValid, "float32"), [2]);
  // Behind the last frame the kernel's middle tells; before the first, an output may stand on the frame before it.
  const middles = valid.begin && { begin: sub(g, valid.begin, g.int(1)), end: valid.end };
  const inside = asFrames(isWithin(g, numFrames, valid));
  const standing = middles ? asFrames(isWithin(g, numFrames, middles)) : inside;
  const outside = g.op("Expand", [sub(g, g.number(1), standing), g.op("Shape", [frames])]);
  const both = concat(g, [unsqueeze(g, mul(g, frames, inside), [1]), unsqueeze(g, outside, [1])], 1);
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
  return g.op("Conv", [both, weights, weight(net, `${prefix}.bias`)], convAttributes(isCausal, pads));
}

/** Frequencies left after one strided convolution. */
const halfWidth = (width: number, isCausal: boolean): number =>
  isCausal ? Math.floor(width / 2) + 1 : Math.ceil(width / 2);

const stridedConv = (net: Net, x: Value, prefix: string, attributes: ReturnType<typeof convAttributes>): Value =>
  net.g.op("Conv", [x, weight(net, `${prefix}.weight`), weight(net, `${prefix}.bias`)], attributes);

const frequencyPads = (isCausal: boolean): readonly [number, number] => (isCausal ? [2, 1] : [1, 1]);

function convAttributes(isCausal: boolean, timePads: readonly [number, number], group = 1) {
  const [low, high] = frequencyPads(isCausal);
  return { kernel_shape: [3, 3], strides: [2, 2], pads: [timePads[0], low, timePads[1], high], group };
}

/** Length after one strided convolution. */
function halve(net: Net, lengths: Value, isCausal: boolean): Value {
  const { g } = net;
  const two = g.int(2);
  return isCausal ? add(g, div(g, lengths, two), g.int(1)) : div(g, add(g, lengths, g.int(1)), two);
}

/** Which of `size` places are valid: bool `[batch, place]`. */
function isWithin(g: GraphBuilder, size: Value, { begin, end }: Validity): Value {
  const places = unsqueeze(g, range(g, size), [0]);
  const isBefore = g.op("Less", [places, unsqueeze(g, end, [1])]);
  if (begin === undefined) return isBefore;
  return g.op("And", [isBefore, g.op("GreaterOrEqual", [places, unsqueeze(g, begin, [1])])]);
}

/** Zeroes `[batch, channel, time, frequency]` outside of the valid places. */
function maskTime(net: Net, x: Value, valid: Validity): Value {
  const { g } = net;
  const mask = cast(g, isWithin(g, sizeOf(g, x, 2), valid), "float32");
  return mul(g, x, unsqueeze(g, mask, [1, 3]));
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
