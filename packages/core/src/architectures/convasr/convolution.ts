import type { ConvAsrSpec, JasperBlockSpec } from "../../config/spec.ts";
import type { Value } from "../../onnx/graph.ts";
import { add, div, reshape, reshapeTo, sizeOf, transpose } from "../../onnx/ops.ts";
import { derived, linear, type Net, weight } from "../net.ts";
import { foldBatchNorm } from "./folding.ts";
import { isFoldable } from "./norm.ts";
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

/** A convolution of kernel 1, as the second half of a separable one and in residual branches. */
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
  const own = { net, prefix: options.convMask ? `${prefix}.conv` : prefix };
  const layer = options.batchNorm === undefined ? own : foldBatchNorm(net, own.prefix, options.batchNorm);
  const compute = net.precision === "int8" && isProduct(shape) ? product : convolution;
  const x = compute(layer.net, signal.x, layer.prefix, shape);
  const growth = shape.pads[0] + shape.pads[1] - shape.dilation * (shape.kernel - 1);
  if (shape.stride === 1 && growth === 0) return { x, steps: signal.steps, isMasked: false };
  const { lengths } = signal.steps;
  // Without masks NeMo hands the lengths on as they came, whatever the strides.
  const next = options.convMask ? strided(net, lengths, growth, shape.stride) : lengths;
  return { x, steps: createSteps(next), isMasked: false };
}

function convolution(net: Net, x: Value, prefix: string, shape: ConvShape): Value {
  const { numIn, numOut, groups, kernel, heads } = shape;
  const dims = [numOut, numIn / groups, 1, kernel];
  const name = `${prefix}.weight`;
  const weights =
    heads === -1 ? weight(net, name, dims) : derived(net, `${name}:heads`, dims, () => sharedKernels(net, name, shape));
  const bias = net.w.has(`${prefix}.bias`) ? [weight(net, `${prefix}.bias`)] : [];
  return net.g.op("Conv", [x, weights, ...bias], {
    kernel_shape: [1, kernel],
    strides: [1, shape.stride],
    dilations: [1, shape.dilation],
    pads: [0, shape.pads[0], 0, shape.pads[1]],
    group: groups,
  });
}

/** Below this, turning the rows and rounding them takes longer than the product in 8 bits saves. */
const MIN_PRODUCT_CHANNELS = 256;

/** Whether a convolution is a matrix product of every step, large enough that 8 bits make it faster. */
const isProduct = ({ kernel, stride, groups, numIn, numOut }: ConvShape): boolean =>
  kernel === 1 && stride === 1 && groups === 1 && Math.min(numIn, numOut) >= MIN_PRODUCT_CHANNELS;

/** A convolution of kernel 1 as a product of rows `[batch · step, channel]`. */
function product(net: Net, x: Value, prefix: string, { numIn, numOut }: ConvShape): Value {
  const { g } = net;
  const rows = reshape(g, transpose(g, x, [0, 2, 3, 1]), [-1, numIn]);
  const out = linear(net, rows, prefix, { sizes: [numOut, numIn] });
  return transpose(g, reshapeTo(g, out, [sizeOf(g, x, 0), 1, sizeOf(g, x, 3), numOut]), [0, 3, 1, 2]);
}

/** Lengths after a convolution; the division truncates towards zero, so that an empty row gives one step. */
function strided({ g }: Net, lengths: Value, growth: number, stride: number): Value {
  return add(g, div(g, add(g, lengths, g.int(growth - 1)), g.int(stride)), g.int(1));
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

/** Options that hold for every convolution of a block. */
export function convOptions(spec: ConvAsrSpec, block: JasperBlockSpec, isLastBlock: boolean): ConvOptions {
  // Only a norm over time and whoever reads the encoder's output can see what stands beyond the lengths.
  return { convMask: spec.convMask, isExactBeyond: isLastBlock || !isFoldable(block) };
}
