import fc from "fast-check";
import type { ConformerSpec, ConvNorm, SubsamplingSpec } from "../../src/config/spec.ts";
import type { TensorShapes } from "./params.ts";

/** A small Conformer as a test draws it. */
export interface ConformerCase {
  readonly spec: ConformerSpec;
  readonly useBias: boolean;
  /** The attention context given when the graph runs; undefined for a graph without one. */
  readonly context: readonly number[] | undefined;
  /** Valid frames of every recording in the batch. */
  readonly lengths: readonly number[];
  /** Frames of padding behind the longest recording. */
  readonly padding: number;
  readonly seed: number;
}

const even = (n: number): boolean => n % 2 === 0;

// A layer norm of very few values magnifies rounding without limit.
const sizes = fc
  .record({ numHeads: fc.integer({ min: 1, max: 4 }), headSize: fc.integer({ min: 2, max: 8 }) })
  .filter(({ numHeads, headSize }) => even(numHeads * headSize) && numHeads * headSize >= 8);

const subsampling: fc.Arbitrary<SubsamplingSpec> = fc
  .record({
    kind: fc.constantFrom<SubsamplingSpec["kind"]>(
      "striding",
      "dw_striding",
      "dw_striding",
      "stacking",
      "stacking_norm",
      "feature_stacking",
      "linear",
    ),
    factor: fc.constantFrom(2, 4, 8),
    convChannels: fc.integer({ min: 4, max: 6 }),
    isCausal: fc.boolean(),
    isMasked: fc.constantFrom(true, true, true, false),
  })
  .map((s) => ({ ...s, factor: s.kind === "linear" ? 1 : s.factor, isMasked: s.isMasked || s.kind !== "dw_striding" }));

/** How steps see one another, and the context given at run time with it. */
type Attention = Pick<ConformerSpec, "attention"> & Pick<ConformerCase, "context">;

const unlimited = [{ left: -1, right: -1 }];

const plainAttention: ConformerSpec["attention"] = {
  kind: "rel_pos",
  contexts: unlimited,
  style: "regular",
  globalTokens: 0,
  globalTokensSpacing: 1,
  globalAttnSeparate: false,
  chunkContexts: [],
  untieBiases: true,
};

const fullKind = fc.constantFrom<"rel_pos" | "abs_pos">("rel_pos", "rel_pos", "abs_pos");
const limit = fc.integer({ min: -1, max: 6 });

const full: fc.Arbitrary<Attention> = fullKind.map((kind) => ({
  attention: { ...plainAttention, kind },
  context: undefined,
}));

const regular: fc.Arbitrary<Attention> = fc.tuple(fullKind, limit, limit).map(([kind, left, right]) => ({
  attention: { ...plainAttention, kind, contexts: [{ left, right }] },
  context: [left, right],
}));

const chunked: fc.Arbitrary<Attention> = fc
  .tuple(fullKind, limit, limit, fc.boolean())
  .map(([kind, chunks, right, isUnlimited]) => {
    const left = isUnlimited ? -1 : Math.max(chunks, 0) * (right + 1);
    return {
      attention: { ...plainAttention, kind, style: "chunked_limited" as const, contexts: [{ left, right }] },
      context: [left, right],
    };
  });

const withRightContext: fc.Arbitrary<Attention> = fc
  .oneof(
    fc.constant([-1, -1, -1]),
    fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 4 })),
  )
  .map((context) => ({
    attention: { ...plainAttention, style: "chunked_limited_with_rc" as const },
    context,
  }));

const local: fc.Arbitrary<Attention> = fc
  .record({
    left: fc.integer({ min: 0, max: 5 }),
    right: fc.integer({ min: 0, max: 5 }),
    globalTokens: fc.constantFrom(0, 0, 1, 2, 3),
    globalTokensSpacing: fc.integer({ min: 1, max: 3 }),
    globalAttnSeparate: fc.boolean(),
  })
  .filter(({ left, right }) => Math.max(left, right) > 0)
  .map(({ left, right, ...globals }) => ({
    attention: { ...plainAttention, ...globals, kind: "rel_pos_local_attn" as const, contexts: [{ left, right }] },
    context: [left, right],
  }));

const convolution = fc
  .record({
    left: fc.integer({ min: 0, max: 4 }),
    right: fc.integer({ min: 0, max: 4 }),
    norm: fc.constantFrom<ConvNorm["kind"]>(
      "batch_norm",
      "batch_norm",
      "layer_norm",
      "fused_batch_norm",
      "instance_norm",
      "group_norm",
    ),
  })
  .filter(({ left, right }) => even(left + right));

const reduction = fc.option(
  fc.record({
    kind: fc.constantFrom<"pooling" | "striding">("pooling", "striding"),
    position: fc.integer({ min: -1, max: 1 }),
    factor: fc.constantFrom(2, 4),
  }),
  { freq: 3, nil: undefined },
);

/** Small random Conformers of every kind, with a batch of recordings of unequal lengths. */
export const conformerCase: fc.Arbitrary<ConformerCase> = fc
  .record({
    sizes,
    subsampling,
    attention: fc.oneof(full, regular, chunked, withRightContext, local),
    convolution,
    reduction,
    numMels: fc.integer({ min: 5, max: 12 }),
    numLayers: fc.integer({ min: 1, max: 2 }),
    expansion: fc.integer({ min: 1, max: 3 }),
    // Rows of whole pages are filled up.
    hasPageRows: fc.integer({ min: 0, max: 3 }).map((draw) => draw === 0),
    outSize: fc.option(fc.integer({ min: 2, max: 9 }), { freq: 4, nil: undefined }),
    xscaling: fc.boolean(),
    useBias: fc.boolean(),
    lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 3 }),
    padding: fc.integer({ min: 0, max: 3 }),
    seed: fc.nat(),
  })
  .map((c) => {
    const modelSize = c.sizes.numHeads * c.sizes.headSize;
    const norm = c.convolution.norm;
    const reduces = c.reduction && c.reduction.position < c.numLayers;
    const outSize = reduces && c.reduction?.kind === "striding" ? undefined : c.outSize;
    // Stacking and pooling leave nothing of a shorter recording (pooling may divide the length by its factor twice).
    // A norm over few steps magnifies rounding as one over few features does.
    const overTime = norm === "instance_norm" || norm === "group_norm" ? 4 : 1;
    const shortest = overTime * c.subsampling.factor * (reduces ? (c.reduction?.factor ?? 1) ** 2 : 1);
    const spec: ConformerSpec = {
      kind: "conformer",
      numMels: c.numMels,
      modelSize,
      numLayers: c.numLayers,
      numHeads: c.sizes.numHeads,
      feedForwardSize: c.hasPageRows ? 1024 : modelSize * c.expansion,
      outSize,
      subsampling: c.subsampling,
      attention: c.attention.attention,
      xscaling: c.xscaling,
      convKernel: c.convolution.left + c.convolution.right + 1,
      convContext: { left: c.convolution.left, right: c.convolution.right },
      convNorm: norm === "group_norm" ? { kind: norm, numGroups: c.sizes.numHeads } : { kind: norm },
      reduction: reduces ? c.reduction : undefined,
    };
    return {
      spec,
      useBias: c.useBias,
      context: c.attention.context,
      lengths: c.lengths.map((n) => n + shortest - 1),
      padding: c.padding,
      seed: c.seed,
    };
  });

/** Whether a recording's numbers may depend on how far its batch is padded, in NeMo as here. */
export function seesPadding(spec: ConformerSpec): boolean {
  const { kind, isMasked } = spec.subsampling;
  // Stacking adds the padding to every length; norms over time see it; padded steps can be global tokens.
  return (
    !isMasked ||
    kind === "stacking" ||
    kind === "stacking_norm" ||
    spec.convNorm.kind === "instance_norm" ||
    spec.convNorm.kind === "group_norm" ||
    spec.attention.globalTokens > 0
  );
}

/** The tensors of a Conformer's checkpoint (tables of nemo.md 3.3 and 3.5). */
export function conformerTensors(spec: ConformerSpec, useBias: boolean): TensorShapes {
  const shapes: Record<string, number[]> = {};
  const layer = (name: string, dims: number[], hasBias: boolean) => {
    shapes[`${name}.weight`] = dims;
    if (hasBias) shapes[`${name}.bias`] = [dims[0]];
  };
  subsamplingTensors(spec, layer);
  for (let i = 0; i < spec.numLayers; i++) layerTensors(spec, `encoder.layers.${i}`, useBias, layer, shapes);
  if (spec.outSize !== undefined) layer("encoder.out_proj", [spec.outSize, spec.modelSize], true);
  if (spec.reduction?.kind === "striding") {
    const prefix = "encoder.reduction_subsampling.reduction_enc";
    const size = spec.modelSize;
    stridingTensors(
      prefix,
      { kind: "striding", factor: spec.reduction.factor, isCausal: false, isMasked: true },
      size,
      size,
      size,
      layer,
    );
  }
  return shapes;
}

type SubsamplingShape = Omit<SubsamplingSpec, "convChannels">;
type AddLayer = (name: string, dims: number[], hasBias: boolean) => void;

function subsamplingTensors(spec: ConformerSpec, layer: AddLayer): void {
  const { kind, factor, convChannels } = spec.subsampling;
  const prefix = "encoder.pre_encode";
  const { modelSize, numMels } = spec;
  if (kind === "linear") layer(prefix, [modelSize, numMels], true);
  else if (kind === "feature_stacking") layer(`${prefix}.proj`, [modelSize, numMels * factor], false);
  else if (kind === "striding" || kind === "dw_striding") {
    stridingTensors(prefix, spec.subsampling, numMels, convChannels, modelSize, layer);
  } else {
    if (kind === "stacking_norm") layer(`${prefix}.pre_norm`, [numMels], true);
    layer(`${prefix}.proj_out`, [modelSize, numMels * factor], true);
  }
}

function stridingTensors(
  prefix: string,
  spec: SubsamplingShape,
  numMels: number,
  channels: number,
  modelSize: number,
  layer: AddLayer,
): void {
  let width = numMels;
  let index = 0;
  for (let reached = 1; reached < spec.factor; reached *= 2) {
    const isFirst = reached === 1;
    const isDepthwise = spec.kind === "dw_striding" && !isFirst;
    layer(`${prefix}.conv.${index}`, [channels, isFirst || isDepthwise ? 1 : channels, 3, 3], true);
    if (isDepthwise) layer(`${prefix}.conv.${index + 1}`, [channels, channels, 1, 1], true);
    index += isDepthwise ? 3 : 2;
    width = Math.floor((width + (spec.isCausal ? 3 : 2) - 3) / 2) + 1;
  }
  layer(`${prefix}.out`, [modelSize, channels * width], true);
}

function layerTensors(
  spec: ConformerSpec,
  prefix: string,
  useBias: boolean,
  layer: AddLayer,
  shapes: Record<string, number[]>,
): void {
  const { modelSize: d, feedForwardSize, numHeads, convKernel, attention, convNorm } = spec;
  for (const name of ["feed_forward1", "feed_forward2"]) {
    layer(`${prefix}.norm_${name}`, [d], true);
    layer(`${prefix}.${name}.linear1`, [feedForwardSize, d], useBias);
    layer(`${prefix}.${name}.linear2`, [d, feedForwardSize], useBias);
  }
  for (const name of ["norm_self_att", "norm_conv", "norm_out"]) layer(`${prefix}.${name}`, [d], true);
  const projections = ["linear_q", "linear_k", "linear_v", "linear_out"];
  if (attention.globalAttnSeparate) projections.push("global_q", "global_k", "global_v");
  for (const name of projections) layer(`${prefix}.self_attn.${name}`, [d, d], useBias);
  if (attention.kind !== "abs_pos") {
    layer(`${prefix}.self_attn.linear_pos`, [d, d], false);
    for (const name of ["pos_bias_u", "pos_bias_v"]) shapes[`${prefix}.self_attn.${name}`] = [numHeads, d / numHeads];
  }
  layer(`${prefix}.conv.pointwise_conv1`, [2 * d, d, 1], useBias);
  layer(`${prefix}.conv.depthwise_conv`, [d, 1, convKernel], useBias);
  layer(`${prefix}.conv.pointwise_conv2`, [d, d, 1], useBias);
  if (convNorm.kind !== "instance_norm") layer(`${prefix}.conv.batch_norm`, [d], true);
  if (convNorm.kind === "batch_norm") {
    for (const name of ["running_mean", "running_var"]) shapes[`${prefix}.conv.batch_norm.${name}`] = [d];
  }
}
