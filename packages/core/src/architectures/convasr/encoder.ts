import type { ConvAsrSpec, JasperBlockSpec } from "../../config/spec.ts";
import { SpeechError } from "../../errors.ts";
import type { Value } from "../../onnx/graph.ts";
import { add, squeeze, unsqueeze } from "../../onnx/ops.ts";
import type { Net } from "../net.ts";
import { activate } from "./activation.ts";
import { type ConvOptions, convOptions, convolve, padsOf, pointwise } from "./convolution.ts";
import { groupNorm, isFoldable, shuffleGroups } from "./norm.ts";
import { squeezeExcite } from "./squeeze-excite.ts";
import { createSteps, type Signal } from "./steps.ts";

/**
 * A whole convolutional encoder: features `[batch, mel, frame]` → `[batch, model, step]`
 * (NeMo `ConvASREncoder`, conv_asr.py, of `JasperBlock`s, jasper.py).
 */
export function convAsrEncoder(
  net: Net,
  spec: ConvAsrSpec,
  inputs: { features: Value; lengths: Value },
): { encoded: Value; lengths: Value } {
  const { g } = net;
  let panes: readonly Pane[] = [
    {
      signal: { x: unsqueeze(g, inputs.features, [2]), steps: createSteps(inputs.lengths), isMasked: false },
      channels: spec.numMels,
    },
  ];
  let numDense = 0;
  spec.blocks.forEach((block, i) => {
    if (block.residualDense) numDense++;
    const branches = block.residual ? Math.max(1, block.residualDense ? numDense : 0) : 0;
    if (branches > panes.length) {
      throw new SpeechError(
        "MODEL_INVALID",
        `encoder.jasper[${i}]: expected ${branches} earlier outputs for its dense residuals, got ${panes.length}. Blocks with \`residual_dense\` must follow one another.`,
      );
    }
    const options = convOptions(spec, block, i === spec.blocks.length - 1);
    const out = g.scope(`blocks.${i}`, () =>
      jasperBlock(net, spec, block, `encoder.encoder.${i}`, panes, { branches, options }),
    );
    panes = block.residual && block.residualDense ? [...panes, out] : [out];
  });
  const { signal } = panes[panes.length - 1];
  return { encoded: squeeze(g, signal.x, [2]), lengths: signal.steps.lengths };
}

/** What later blocks may take a residual from. */
interface Pane {
  readonly signal: Signal;
  readonly channels: number;
}

/** One block: repeated convolutions on the newest pane, then the residual branches, then the activation. */
function jasperBlock(
  net: Net,
  spec: ConvAsrSpec,
  block: JasperBlockSpec,
  prefix: string,
  panes: readonly Pane[],
  residual: { branches: number; options: ConvOptions },
): Pane {
  const { g } = net;
  const newest = panes[panes.length - 1];
  let { signal } = newest;
  let layer = 0;
  for (let repeat = 0; repeat < block.repeat; repeat++) {
    const isLast = repeat === block.repeat - 1;
    const stride = block.strideLast && !isLast ? 1 : block.stride;
    const numIn = repeat === 0 ? newest.channels : block.filters;
    signal = subBlock(net, block, `${prefix}.mconv`, layer, signal, { numIn, stride, options: residual.options });
    layer += (block.separable ? 3 : 2) + (block.groups > 1 ? 1 : 0);
    if (isLast) break;
    signal = activated(net, spec, signal);
    layer += 2;
  }
  if (block.squeezeExcite) signal = squeezeExcite(net, `${prefix}.mconv.${layer}`, spec.activation, signal);
  for (let i = 0; i < residual.branches; i++) {
    const branch = residualBranch(net, block, `${prefix}.res.${i}`, panes[i], newest.signal, residual.options);
    const isAdded = block.residualMode === "add" || block.residualMode === "stride_add";
    const x = isAdded ? add(g, signal.x, branch) : g.op("Max", [signal.x, branch]);
    signal = { ...signal, x, isMasked: false };
  }
  return { signal: activated(net, spec, signal), channels: block.filters };
}

/** Convolution, norm and shuffle: one of a block's repeats, up to its activation. */
function subBlock(
  net: Net,
  block: JasperBlockSpec,
  prefix: string,
  layer: number,
  input: Signal,
  { numIn, stride, options }: { numIn: number; stride: number; options: ConvOptions },
): Signal {
  const { kernel, dilation, groups, filters, separable } = block;
  const norm = `${prefix}.${layer + (separable ? 2 : 1)}`;
  const last = isFoldable(block) ? { ...options, batchNorm: norm } : options;
  const shape = { kernel, stride, dilation, pads: padsOf(block), numIn };
  let signal: Signal;
  if (separable) {
    const depthwise = { ...shape, numOut: numIn, groups: numIn, heads: block.heads };
    const deep = convolve(net, input, `${prefix}.${layer}`, depthwise, options);
    signal = convolve(net, deep, `${prefix}.${layer + 1}`, pointwise(numIn, filters, 1, groups), last);
  } else {
    signal = convolve(net, input, `${prefix}.${layer}`, { ...shape, numOut: filters, groups, heads: -1 }, last);
  }
  if (!isFoldable(block)) signal = groupNorm(net, block, norm, signal);
  return groups > 1 ? shuffleGroups(net, signal, groups, filters) : signal;
}

/**
 * One residual branch, `[batch, filters, 1, step]`.
 *
 * A branch reads the pane of its own number, which for a block without dense residuals behind dense ones is the first,
 * not the newest, and its lengths are the block's.
 */
function residualBranch(
  net: Net,
  block: JasperBlockSpec,
  prefix: string,
  pane: Pane,
  newest: Signal,
  options: ConvOptions,
): Value {
  const stride = block.residualMode === "stride_add" ? block.stride : 1;
  const signal = { ...pane.signal, steps: newest.steps };
  const folded = isFoldable(block) ? { ...options, batchNorm: `${prefix}.1` } : options;
  const out = convolve(net, signal, `${prefix}.0`, pointwise(pane.channels, block.filters, stride), folded);
  return isFoldable(block) ? out.x : groupNorm(net, block, `${prefix}.1`, out).x;
}

const activated = (net: Net, spec: ConvAsrSpec, signal: Signal): Signal => {
  const x = activate(net.g, spec.activation, signal.x);
  return { ...signal, x, isMasked: false };
};
