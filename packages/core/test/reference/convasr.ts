import type { Activation, ConvAsrSpec, JasperBlockSpec } from "../../src/config/spec.ts";
import { groupStandardized } from "./conformer.ts";
import { addRows, dot, erf, type Matrix, sigmoid, silu, transposed } from "./matrix.ts";
import type { Params } from "./params.ts";
import type { Row } from "./subsampling.ts";

/** A signal as these encoders see it: `[channel][step]`, of which `length` steps count. */
interface Channels {
  readonly x: Matrix;
  readonly length: number;
}

/** A convolutional encoder on one recording: `[frame][mel]` → `[step][model]` (nemo.md 5.12). */
export function convAsr(p: Params, spec: ConvAsrSpec, input: Row): Row {
  let panes: Matrix[] = [transposed(input.x)];
  let { length } = input;
  let numDense = 0;
  spec.blocks.forEach((block, i) => {
    if (block.residualDense) numDense++;
    const isDense = block.residualDense && block.residual;
    const out = jasperBlock(p, spec, block, `encoder.encoder.${i}`, panes, length, isDense ? numDense : 1);
    panes = isDense ? [...panes, out.x] : [out.x];
    length = out.length;
  });
  return { x: transposed(panes[panes.length - 1]), length };
}

/** One block: repeats, squeeze-excite, residual branches of the first `numBranches` panes, activation. */
function jasperBlock(
  p: Params,
  spec: ConvAsrSpec,
  block: JasperBlockSpec,
  prefix: string,
  panes: readonly Matrix[],
  length: number,
  numBranches: number,
): Channels {
  let signal: Channels = { x: panes[panes.length - 1], length };
  let index = 0;
  for (let repeat = 1; repeat <= block.repeat; repeat++) {
    const stride = block.strideLast && repeat < block.repeat ? 1 : block.stride;
    const numIn = signal.x.length;
    const shape = { stride, dilation: block.dilation, pads: padsOf(block) };
    const name = (n: number) => `${prefix}.mconv.${n}`;
    if (block.separable) {
      signal = convolve(p, spec, name(index++), signal, { ...shape, groups: numIn, heads: block.heads });
      signal = convolve(p, spec, name(index++), signal, { ...POINTWISE, groups: block.groups });
    } else {
      signal = convolve(p, spec, name(index++), signal, { ...shape, groups: block.groups, heads: -1 });
    }
    signal = { ...signal, x: normalize(p, block, name(index++), signal.x) };
    if (block.groups > 1) {
      signal = { ...signal, x: shuffled(signal.x, block.groups) };
      index++;
    }
    if (repeat === block.repeat) break;
    signal = { ...signal, x: activated(spec.activation, signal.x) };
    index += 2;
  }
  if (block.squeezeExcite) signal = squeezeExcite(p, spec, `${prefix}.mconv.${index}`, signal);
  let { x } = signal;
  for (let i = 0; block.residual && i < numBranches; i++) {
    const shape = { ...POINTWISE, stride: block.residualMode === "stride_add" ? block.stride : 1 };
    const conv = convolve(p, spec, `${prefix}.res.${i}.0`, { x: panes[i], length }, shape);
    const branch = normalize(p, block, `${prefix}.res.${i}.1`, conv.x);
    x = block.residualMode.endsWith("add")
      ? addRows(x, branch)
      : x.map((row, c) => row.map((v, t) => Math.max(v, branch[c][t])));
  }
  return { x: activated(spec.activation, x), length: signal.length };
}

interface ConvShape {
  readonly stride: number;
  readonly dilation: number;
  readonly pads: readonly [number, number];
  readonly groups: number;
  readonly heads: number;
}

const POINTWISE: ConvShape = { stride: 1, dilation: 1, pads: [0, 0], groups: 1, heads: -1 };

function padsOf({ kernel, dilation, futureContext }: JasperBlockSpec): [number, number] {
  if (futureContext < 0 || futureContext >= kernel) {
    const same = Math.floor((dilation * (kernel - 1)) / 2);
    return [same, same];
  }
  if (dilation > 1) return [dilation * kernel - 1 - dilation * futureContext, dilation * futureContext];
  return [kernel - 1 - futureContext, futureContext];
}

/** `MaskedConv1d`: zeroes what is beyond the length, then convolves; without `conv_mask` neither masks nor lengths. */
function convolve(p: Params, spec: ConvAsrSpec, prefix: string, signal: Channels, shape: ConvShape): Channels {
  const weight = p.rows(`${prefix}.${spec.convMask ? "conv.weight" : "weight"}`);
  const input = spec.convMask ? signal.x.map((row) => row.map((v, t) => (t < signal.length ? v : 0))) : signal.x;
  const { stride, dilation, groups, heads } = shape;
  const [before, after] = shape.pads;
  const perGroup = signal.x.length / groups;
  const kernel = weight[0].length / perGroup;
  const numOut = heads === -1 ? weight.length : signal.x.length;
  const resized = (n: number) => Math.trunc((n + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  const numSteps = resized(signal.x[0].length);
  const x = Array.from({ length: numOut }, (_, o) => {
    const group = Math.floor(o / (numOut / groups));
    const taps = weight[heads === -1 ? o : o % heads];
    const sources = input.slice(group * perGroup, (group + 1) * perGroup);
    return Array.from({ length: numSteps }, (_, t) => {
      let sum = 0;
      sources.forEach((source, c) => {
        for (let n = 0; n < kernel; n++)
          sum += taps[c * kernel + n] * (source[t * stride + n * dilation - before] ?? 0);
      });
      return sum;
    });
  });
  return { x, length: spec.convMask ? resized(signal.length) : signal.length };
}

/** Batch norm with epsilon 1e-3, or group norms with torch's 1e-5. */
function normalize(p: Params, block: JasperBlockSpec, prefix: string, x: Matrix): Matrix {
  const weight = p.flat(`${prefix}.weight`);
  const bias = p.flat(`${prefix}.bias`);
  const affine = (rows: Matrix) => rows.map((row, c) => row.map((v) => v * weight[c] + bias[c]));
  if (block.normalization === "batch") {
    const mean = p.flat(`${prefix}.running_mean`);
    const variance = p.flat(`${prefix}.running_var`);
    return affine(x.map((row, c) => row.map((v) => (v - mean[c]) / Math.sqrt(variance[c] + 1e-3))));
  }
  if (block.normalization === "layer") return affine(groupStandardized(x, 1));
  const isInstance = block.normalization === "instance" || block.normGroups === -1;
  return affine(groupStandardized(x, isInstance ? x.length : block.normGroups));
}

/** `GroupShuffle`: channel `group · n + k` goes to place `k · groups + group`. */
function shuffled(x: Matrix, groups: number): Matrix {
  const size = x.length / groups;
  return x.map((_, place) => x[(place % groups) * size + Math.floor(place / groups)]);
}

function squeezeExcite(p: Params, spec: ConvAsrSpec, prefix: string, signal: Channels): Channels {
  const valid = signal.x.map((row) => row.map((v, t) => (t < signal.length ? v : 0)));
  // Without `conv_mask` a length may exceed the steps there are.
  const count = Math.min(signal.length, signal.x[0].length);
  const mean = valid.map((row) => row.reduce((a, b) => a + b, 0) / count);
  const [squeezed] = activated(spec.activation, [p.rows(`${prefix}.fc.0.weight`).map((w) => dot(w, mean))]);
  const gate = p.rows(`${prefix}.fc.2.weight`).map((w) => sigmoid(dot(w, squeezed)));
  return { ...signal, x: valid.map((row, c) => row.map((v) => v * gate[c])) };
}

const ACTIVATIONS: Record<Activation, (x: number) => number> = {
  relu: (x) => Math.max(x, 0),
  hardtanh: (x) => Math.min(Math.max(x, -1), 1),
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (Math.exp(x) - 1)),
  swish: silu,
  silu,
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  tanh: Math.tanh,
  sigmoid,
  identity: (x) => x,
};

const activated = (activation: Activation, x: Matrix): Matrix => x.map((row) => row.map(ACTIVATIONS[activation]));
