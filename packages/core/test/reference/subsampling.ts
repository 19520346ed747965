import type { ConformerSpec, SubsamplingSpec } from "../../src/config/spec.ts";
import { dot, type Matrix, transposed, zeros } from "./matrix.ts";
import { layerNorm, linear, type Params } from "./params.ts";

/** One recording of a batch: `x` is padded to the batch's longest, `length` rows of it count. */
export interface Row {
  readonly x: Matrix;
  readonly length: number;
}

/** `encoder.pre_encode`: `[frame][mel]` → `[step][model]` (nemo.md 3.3). */
export function subsample(p: Params, spec: SubsamplingSpec, input: Row): Row {
  const prefix = "encoder.pre_encode";
  switch (spec.kind) {
    case "linear":
      return { x: linear(p, prefix, input.x), length: input.length };
    case "striding":
    case "dw_striding":
      return convSubsample(p, prefix, spec, input);
    default:
      return stack(p, spec, input);
  }
}

/** Stacks `factor` frames; the last ones of the whole batch are filled up with zeros first. */
function stack(p: Params, spec: SubsamplingSpec, input: Row): Row {
  const numMels = input.x[0].length;
  const missing = (spec.factor - (input.x.length % spec.factor)) % spec.factor;
  let frames = [...input.x, ...zeros(missing, numMels)];
  if (spec.kind === "stacking_norm") frames = layerNorm(p, "encoder.pre_encode.pre_norm", frames);
  const stacked: Matrix = [];
  for (let t = 0; t < frames.length; t += spec.factor) stacked.push(frames.slice(t, t + spec.factor).flat());
  if (spec.kind === "feature_stacking") {
    return { x: linear(p, "encoder.pre_encode.proj", stacked), length: Math.ceil(input.length / spec.factor) };
  }
  const length = Math.floor((input.length + missing) / spec.factor);
  return { x: linear(p, "encoder.pre_encode.proj_out", stacked), length };
}

/** Strided convolutions over time and frequency, most often with masks before every one, ReLU after each, then `out`. */
function convSubsample(p: Params, prefix: string, spec: Omit<SubsamplingSpec, "convChannels">, input: Row): Row {
  const [before, after] = spec.isCausal ? [2, 1] : [1, 1];
  let planes = [input.x];
  let length = input.length;
  const mask = () => {
    if (!spec.isMasked) return;
    planes = planes.map((plane) => plane.map((row, t) => row.map((v) => (t < length ? v : 0))));
  };
  for (let stage = 0, index = 0; 2 ** stage < spec.factor; stage++) {
    mask();
    const depthwise = spec.kind === "dw_striding" && stage > 0;
    planes = stridedConv(p, `${prefix}.conv.${index}`, planes, { before, after, depthwise });
    length = Math.floor((length + before + after - 3) / 2) + 1;
    mask();
    if (depthwise) planes = pointwiseConv(p, `${prefix}.conv.${index + 1}`, planes);
    planes = planes.map((plane) => plane.map((row) => row.map((v) => Math.max(v, 0))));
    index += depthwise ? 3 : 2;
    mask();
  }
  const flat = planes[0].map((_, t) => planes.flatMap((plane) => plane[t]));
  return { x: linear(p, `${prefix}.out`, flat), length };
}

/** A 3 × 3 convolution of stride 2 on planes `[channel][frame][frequency]`. */
function stridedConv(
  p: Params,
  prefix: string,
  planes: readonly Matrix[],
  { before, after, depthwise }: { before: number; after: number; depthwise: boolean },
): Matrix[] {
  const weight = p.rows(`${prefix}.weight`);
  const bias = p.flat(`${prefix}.bias`);
  const size = (n: number) => Math.floor((n + before + after - 3) / 2) + 1;
  const at = (plane: Matrix, t: number, f: number) => plane[t]?.[f] ?? 0;
  return weight.map((kernel, o) => {
    const sources = depthwise ? [planes[o]] : planes;
    const out = zeros(size(planes[0].length), size(planes[0][0].length));
    for (let t = 0; t < out.length; t++) {
      for (let f = 0; f < out[0].length; f++) {
        let sum = bias[o];
        sources.forEach((plane, c) => {
          for (let i = 0; i < 3; i++) {
            for (let j = 0; j < 3; j++)
              sum += kernel[c * 9 + i * 3 + j] * at(plane, 2 * t + i - before, 2 * f + j - before);
          }
        });
        out[t][f] = sum;
      }
    }
    return out;
  });
}

function pointwiseConv(p: Params, prefix: string, planes: readonly Matrix[]): Matrix[] {
  const weight = p.rows(`${prefix}.weight`);
  const bias = p.flat(`${prefix}.bias`);
  return weight.map((kernel, o) =>
    planes[0].map((row, t) =>
      row.map(
        (_, f) =>
          bias[o] +
          dot(
            kernel,
            planes.map((plane) => plane[t][f]),
          ),
      ),
    ),
  );
}

/** Time reduction between layers (nemo.md 3.5.4, `SubsamplingReductionModule`): `[step][model]`, fewer steps. */
export function reduceSteps(p: Params, reduction: NonNullable<ConformerSpec["reduction"]>, input: Row): Row {
  const { kind, factor } = reduction;
  if (kind === "striding") {
    const prefix = "encoder.reduction_subsampling.reduction_enc";
    return convSubsample(p, prefix, { kind: "striding", factor, isCausal: false, isMasked: true }, input);
  }
  const pooled: Matrix = [];
  for (let t = 0; t + factor <= input.x.length; t += factor) {
    pooled.push(transposed(input.x.slice(t, t + factor)).map((column) => Math.max(...column)));
  }
  // The length is divided by the whole factor once for every doubling in it.
  let { length } = input;
  for (let n = 2; n <= factor; n *= 2) length = Math.floor(length / factor);
  return { x: pooled, length };
}
