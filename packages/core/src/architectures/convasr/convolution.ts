import type { ConvAsrSpec, JasperBlockSpec } from "../../config/spec.ts";
import { float, type Value } from "../../onnx/graph.ts";
import { add, div, mul, reshape, transpose } from "../../onnx/ops.ts";
import { derived, type Net, weight } from "../net.ts";
import { createSteps, masked, type Signal } from "./steps.ts";

/** One convolution over time. */
export interface ConvShape {
  readonly numIn: number;
  readonly numOut: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Zeros before the first step and after the last. */
  readonly pads: readonly [number, number];
  readonly groups: number;
  /** A depthwise convolution whose channels `c` and `c + heads` share a kernel; -1 for none. */
  readonly heads: number;
}

/** How one convolution of a checkpoint is computed. */
export interface ConvOptions {
  /** Inputs are zeroed beyond the lengths, and lengths follow the strides (NeMo `conv_mask`, `MaskedConv1d`). */
  readonly convMask: boolean;
  /** What stands beyond the lengths must be NeMo's too, so even a convolution of kernel 1 reads a masked input. */
  readonly isExactBeyond: boolean;
  /** Prefix of a batch norm that follows, folded into the weights. */
  readonly batchNorm?: string;
}

/** A convolution of kernel 1 and stride 1, as the second half of a separable one and in residual branches. */
export const pointwise = (numIn: number, numOut: number, stride = 1, groups = 1): ConvShape => ({
  numIn,
  numOut,
  kernel: 1,
  stride,
  dilation: 1,
  pads: [0, 0],
  groups,
  heads: -1,
});

/**
 * Zeros on both sides of a block's convolutions (NeMo `get_same_padding`, `get_asymtric_padding`, jasper.py).
 *
 * With dilation, the left side of an asymmetric padding is `dilation - 1` longer than "same": the output grows. Kept.
 */
export function padsOf(block: JasperBlockSpec): readonly [number, number] {
  const { kernel, dilation, futureContext } = block;
  if (futureContext < 0 || kernel <= futureContext) {
    const same = Math.floor((dilation * (kernel - 1)) / 2);
    return [same, same];
  }
  if (dilation === 1) return [kernel - 1 - futureContext, futureContext];
  return [dilation * kernel - 1 - dilation * futureContext, dilation * futureContext];
}

/** A convolution, with the batch norm behind it folded in (NeMo `MaskedConv1d`, or `Conv1d` where masks are off). */
export function convolve(net: Net, input: Signal, prefix: string, shape: ConvShape, options: ConvOptions): Signal {
  const needsMask = options.convMask && (shape.kernel > 1 || options.isExactBeyond);
  const signal = needsMask ? masked(net, input) : input;
  const name = `${prefix}.${options.convMask ? "conv.weight" : "weight"}`;
  const x = net.g.op("Conv", [signal.x, ...parameters(net, name, shape, options.batchNorm)], {
    kernel_shape: [1, shape.kernel],
    strides: [1, shape.stride],
    dilations: [1, shape.dilation],
    pads: [0, shape.pads[0], 0, shape.pads[1]],
    group: shape.groups,
  });
  const shrinks = shape.pads[0] + shape.pads[1] - shape.dilation * (shape.kernel - 1);
  if (shape.stride === 1 && shrinks === 0) return { x, steps: signal.steps, isMasked: false };
  const { lengths } = signal.steps;
  // Without masks NeMo hands the lengths on as they came, whatever the strides.
  return {
    x,
    steps: createSteps(options.convMask ? strided(net, lengths, shrinks, shape.stride) : lengths),
    isMasked: false,
  };
}

/** Lengths after a convolution; the division truncates towards zero, so that an empty row gives one step. */
function strided({ g }: Net, lengths: Value, growth: number, stride: number): Value {
  return add(g, div(g, add(g, lengths, g.int(growth - 1)), g.int(stride)), g.int(1));
}

/** Weight `[out, in / groups, 1, kernel]` and, with a folded norm, bias. */
function parameters(net: Net, name: string, shape: ConvShape, batchNorm: string | undefined): Value[] {
  const dims = [shape.numOut, shape.numIn / shape.groups, 1, shape.kernel];
  if (batchNorm === undefined) {
    if (shape.heads === -1) return [weight(net, name, dims)];
    return [derived(net, `${name}:heads`, dims, () => sharedKernels(net, name, shape))];
  }
  const size = dims[1] * dims[3];
  const weights = derived(net, `${name}:folded`, dims, async () => {
    const { scale } = await affineOf(net, batchNorm);
    const own = await net.w.read(name);
    for (let i = 0; i < own.length; i++) own[i] *= scale[Math.floor(i / size)];
    return own;
  });
  const bias = derived(net, `${name}:shift`, [shape.numOut], async () =>
    Float32Array.from((await affineOf(net, batchNorm)).shift),
  );
  return [weights, bias];
}

/** The kernels of `heads`, repeated for all channels. */
async function sharedKernels(net: Net, name: string, shape: ConvShape): Promise<Float32Array> {
  const kernels = await net.w.read(name);
  const { kernel, numOut, heads } = shape;
  return Float32Array.from({ length: numOut * kernel }, (_, i) => {
    const channel = Math.floor(i / kernel);
    return kernels[(channel % heads) * kernel + (i % kernel)];
  });
}

/** A batch norm at inference as `scale · x + shift`; Jasper's epsilon is not torch's. */
async function affineOf({ w }: Net, prefix: string): Promise<{ scale: Float64Array; shift: Float64Array }> {
  const scale = Float64Array.from(await w.read(`${prefix}.weight`));
  const shift = Float64Array.from(await w.read(`${prefix}.bias`));
  const mean = await w.read(`${prefix}.running_mean`);
  const variance = await w.read(`${prefix}.running_var`);
  for (let i = 0; i < scale.length; i++) {
    scale[i] /= Math.sqrt(variance[i] + 1e-3);
    shift[i] -= mean[i] * scale[i];
  }
  return { scale, shift };
}

/**
 * The norm of a block where it is no batch norm: torch `GroupNorm` with 1 group ("layer"), one a channel ("instance") or
 * `norm_groups`. Its statistics run over all of time, padding included, so such models are run alone.
 */
export function groupNorm(net: Net, block: JasperBlockSpec, prefix: string, signal: Signal): Signal {
  const { g } = net;
  const size = block.filters;
  const numGroups = { batch: 0, layer: 1, instance: size, group: block.normGroups === -1 ? size : block.normGroups }[
    block.normalization
  ];
  const grouped = g.op(
    "InstanceNormalization",
    [
      reshape(g, signal.x, [0, numGroups, -1]),
      g.table(`ones/${numGroups}`, [numGroups], () => new Float32Array(numGroups).fill(1)),
      g.table(`zeros/${numGroups}`, [numGroups], () => new Float32Array(numGroups)),
    ],
    { epsilon: float(1e-5) },
  );
  const normed = g.op("Reshape", [grouped, g.op("Shape", [signal.x])]);
  const column = (name: string) => weight(net, `${prefix}.${name}`, [size, 1, 1]);
  const x = add(g, mul(g, normed, column("weight")), column("bias"));
  return { ...signal, x, isMasked: false };
}

/** Deals the channels of every group out in turn, so that the next grouped convolution sees all groups (`GroupShuffle`). */
export function shuffleGroups({ g }: Net, signal: Signal, groups: number, channels: number): Signal {
  const grouped = reshape(g, signal.x, [0, groups, channels / groups, -1]);
  return { ...signal, x: reshape(g, transpose(g, grouped, [0, 2, 1, 3]), [0, channels, 1, -1]) };
}

/** Whether a block's norm can be folded into its convolutions. */
export const isFoldable = (block: JasperBlockSpec): boolean => block.normalization === "batch";

/** Options that hold for every convolution of a block. */
export function convOptions(spec: ConvAsrSpec, block: JasperBlockSpec, isLastBlock: boolean): ConvOptions {
  // Only a norm over time and whoever reads the encoder's output can see what stands beyond the lengths.
  return { convMask: spec.convMask, isExactBeyond: isLastBlock || !isFoldable(block) };
}
