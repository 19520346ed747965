import {
  type ConfigBlock,
  choiceOr,
  flagOr,
  hasKey,
  ignoreKeys,
  integerOr,
  integersOf,
  invalid,
  modelError,
  rawValue,
  rejectUnknownKeys,
  textOr,
  unsupportedValue,
  wrong,
} from "./block.ts";
import { describeContexts } from "./conformer-contexts.ts";
import { claimConvStages, describeSubsampling } from "./conformer-subsampling.ts";
import type { ConformerSpec, ConvNorm } from "./spec.ts";
import { dimsOf, hasPrefix, requireLayer, requireRank, requireTensor, type TensorTable } from "./tensor-table.ts";

/** Options that act in training or on memory only, or whose effect the tensors' shapes already show. */
const INERT_KEYS = [
  ...["feat_in", "feat_out", "n_layers", "d_model", "use_bias", "untie_biases", "ff_expansion_factor"],
  ...["subsampling_conv_chunking_factor", "subsampling_conv_channels", "att_context_probs", "pos_emb_max_len"],
  ...["dropout", "dropout_pre_encoder", "dropout_emb", "dropout_att", "sync_max_audio_length"],
  ...["stochastic_depth_drop_prob", "stochastic_depth_mode", "stochastic_depth_start_layer"],
  ...["use_pytorch_sdpa", "use_pytorch_sdpa_backends"],
];

/**
 * Describes a `ConformerEncoder` (conformer_encoder.py) over features of `numMels` rows.
 *
 * Sizes, biases, layers, heads, norms and the kind of subsampling come from the tensors; contexts and scaling from the
 * configuration, with the constructor's defaults.
 */
export function describeConformer(block: ConfigBlock, table: TensorTable, numMels: number): ConformerSpec {
  const first = "encoder.layers.0";
  const [modelSize] = requireRank(table, `${first}.norm_out.weight`, 1);
  const [feedForwardSize] = requireRank(table, `${first}.feed_forward1.linear1.weight`, 2);
  const [, , convKernel] = requireRank(table, `${first}.conv.depthwise_conv.weight`, 3);
  const subsampling = describeSubsampling(block, table, numMels, modelSize);
  const attention = describeAttention(block, table);
  const geometry: Geometry = {
    modelSize,
    feedForwardSize,
    convKernel,
    numLayers: countLayers(table),
    numHeads: countHeads(block, table, modelSize),
    convNorm: describeConvNorm(block, table, modelSize),
    attentionKind: attention.kind,
    hasGlobalProjections: attention.globalAttnSeparate,
    hasBias: dimsOf(table, `${first}.feed_forward1.linear1.bias`) !== undefined,
  };
  for (let layer = 0; layer < geometry.numLayers; layer++) claimLayer(table, `encoder.layers.${layer}`, geometry);
  const spec: ConformerSpec = {
    kind: "conformer",
    numMels,
    modelSize,
    numLayers: geometry.numLayers,
    numHeads: geometry.numHeads,
    feedForwardSize,
    outSize: claimOutput(table, modelSize),
    subsampling,
    attention,
    xscaling: flagOr(block, "xscaling", true),
    convKernel,
    convContext: describeConvContext(block, convKernel),
    convNorm: geometry.convNorm,
    reduction: describeReduction(block, table, modelSize, geometry.numLayers),
  };
  ignoreKeys(block, INERT_KEYS);
  rejectUnknownKeys(block);
  return spec;
}

/** What every layer has in common. */
interface Geometry {
  readonly modelSize: number;
  readonly feedForwardSize: number;
  readonly convKernel: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly convNorm: ConvNorm;
  readonly attentionKind: ConformerSpec["attention"]["kind"];
  readonly hasGlobalProjections: boolean;
  readonly hasBias: boolean;
}

function countLayers(table: TensorTable): number {
  let last = 0;
  for (const name of table.tensors.keys()) {
    const index = /^encoder\.layers\.(\d+)\./.exec(name);
    if (index) last = Math.max(last, Number(index[1]));
  }
  return last + 1;
}

function countHeads(block: ConfigBlock, table: TensorTable, modelSize: number): number {
  const declared = integerOr(block, "n_heads", 4, 1) ?? 4;
  const numHeads = dimsOf(table, "encoder.layers.0.self_attn.pos_bias_u")?.[0] ?? declared;
  if (modelSize % numHeads !== 0) {
    throw invalid(`\`encoder.n_heads\` is ${numHeads}, which does not divide \`encoder.d_model\` ${modelSize}.`);
  }
  return numHeads;
}

function describeAttention(block: ConfigBlock, table: TensorTable): ConformerSpec["attention"] {
  const kind = choiceOr(
    block,
    "self_attention_model",
    ["rel_pos", "rel_pos_local_attn", "abs_pos"] as const,
    "rel_pos",
  );
  const isLocal = kind === "rel_pos_local_attn";
  const globalTokens = integerOr(block, "global_tokens", 0) ?? 0;
  const globalTokensSpacing = integerOr(block, "global_tokens_spacing", 1, 1) ?? 1;
  ignoreKeys(block, ["global_attn_separate"]);
  return {
    kind,
    ...describeContexts(block, isLocal),
    globalTokens: isLocal ? globalTokens : 0,
    globalTokensSpacing,
    globalAttnSeparate: isLocal && hasPrefix(table, "encoder.layers.0.self_attn.global_q."),
    untieBiases: flagOr(block, "untie_biases", true),
  };
}

/** NeMo calls the norm of the convolution module `batch_norm` whatever it is; running statistics tell them apart. */
function describeConvNorm(block: ConfigBlock, table: TensorTable, modelSize: number): ConvNorm {
  const prefix = "encoder.layers.0.conv.batch_norm";
  const declared = textOr(block, "conv_norm_type", "batch_norm") ?? "batch_norm";
  if (dimsOf(table, `${prefix}.running_mean`) !== undefined) return { kind: "batch_norm" };
  if (declared === "instance_norm") return { kind: "instance_norm" };
  if (declared === "fused_batch_norm") return { kind: "fused_batch_norm" };
  const group = /^group_norm(\d*)$/.exec(declared);
  if (group) {
    const numGroups = Number(group[1]);
    if (numGroups < 1 || modelSize % numGroups !== 0) {
      throw wrong(block, "conv_norm_type", `a number of groups that divides ${modelSize}`, declared);
    }
    return { kind: "group_norm", numGroups };
  }
  if (declared !== "layer_norm" && declared !== "batch_norm") {
    throw unsupportedValue(block, "conv_norm_type", "a batch, layer, instance, group or fused batch norm");
  }
  return { kind: "layer_norm" };
}

function describeConvContext(block: ConfigBlock, kernel: number): ConformerSpec["convContext"] {
  choiceOr(block, "conv_context_style", ["regular", "dcc"] as const, "regular");
  if (hasKey(block, "conv_kernel_size")) ignoreKeys(block, ["conv_kernel_size"]);
  if (kernel % 2 === 0) throw invalid(`\`encoder.conv_kernel_size\` is ${kernel}, expected an odd number.`);
  const value = rawValue(block, "conv_context_size");
  if (value === undefined || value === null) return { left: (kernel - 1) / 2, right: (kernel - 1) / 2 };
  if (value === "causal") return { left: kernel - 1, right: 0 };
  const context = integersOf(block, "conv_context_size", 0) ?? [];
  const [left, right] = context;
  if (context.length !== 2 || left + right + 1 !== kernel) {
    throw wrong(block, "conv_context_size", `"causal" or two integers with a sum of ${kernel - 1}`, value);
  }
  return { left, right };
}

function claimLayer(table: TensorTable, prefix: string, geometry: Geometry): void {
  const { modelSize, feedForwardSize, convKernel, hasBias } = geometry;
  const size = `\`encoder.d_model\` ${modelSize}`;
  for (const norm of ["norm_feed_forward1", "norm_self_att", "norm_conv", "norm_feed_forward2", "norm_out"]) {
    requireLayer(table, `${prefix}.${norm}`, [modelSize], size);
  }
  const inner = `${size} and a feed-forward size of ${feedForwardSize}`;
  for (const part of ["feed_forward1", "feed_forward2"]) {
    requireLayer(table, `${prefix}.${part}.linear1`, [feedForwardSize, modelSize], inner, hasBias);
    requireLayer(table, `${prefix}.${part}.linear2`, [modelSize, feedForwardSize], inner, hasBias);
  }
  claimAttention(table, `${prefix}.self_attn`, geometry, size);
  requireLayer(table, `${prefix}.conv.pointwise_conv1`, [2 * modelSize, modelSize, 1], size, hasBias);
  const kernel = `${size} and a kernel of ${convKernel}`;
  requireLayer(table, `${prefix}.conv.depthwise_conv`, [modelSize, 1, convKernel], kernel, hasBias);
  requireLayer(table, `${prefix}.conv.pointwise_conv2`, [modelSize, modelSize, 1], size, hasBias);
  const norm = `${prefix}.conv.batch_norm`;
  if (geometry.convNorm.kind === "instance_norm") return;
  requireLayer(table, norm, [modelSize], size);
  if (geometry.convNorm.kind !== "batch_norm") return;
  for (const statistic of ["running_mean", "running_var"]) {
    requireTensor(table, `${norm}.${statistic}`, [modelSize], size);
  }
}

function claimAttention(table: TensorTable, prefix: string, geometry: Geometry, size: string): void {
  const { modelSize, numHeads, attentionKind, hasBias } = geometry;
  const projections = ["linear_q", "linear_k", "linear_v", "linear_out"];
  if (geometry.hasGlobalProjections) projections.push("global_q", "global_k", "global_v");
  for (const part of projections) requireLayer(table, `${prefix}.${part}`, [modelSize, modelSize], size, hasBias);
  if (attentionKind === "abs_pos") return;
  requireTensor(table, `${prefix}.linear_pos.weight`, [modelSize, modelSize], size);
  for (const bias of ["pos_bias_u", "pos_bias_v"]) {
    requireTensor(table, `${prefix}.${bias}`, [numHeads, modelSize / numHeads], `${size} and ${numHeads} heads`);
  }
}

function claimOutput(table: TensorTable, modelSize: number): number | undefined {
  const name = "encoder.out_proj";
  if (dimsOf(table, `${name}.weight`) === undefined) return undefined;
  const [outSize] = requireRank(table, `${name}.weight`, 2);
  requireLayer(table, name, [outSize, modelSize], `\`encoder.d_model\` ${modelSize}`);
  return outSize;
}

function describeReduction(
  block: ConfigBlock,
  table: TensorTable,
  modelSize: number,
  numLayers: number,
): ConformerSpec["reduction"] {
  const position = integerOr(block, "reduction_position", undefined, -1);
  const factor = integerOr(block, "reduction_factor", 1, 1) ?? 1;
  if (!rawValue(block, "reduction") || factor <= 1) return undefined;
  const kind = choiceOr(block, "reduction", ["pooling", "striding"] as const, "pooling");
  if (position === undefined || position >= numLayers) {
    throw wrong(block, "reduction_position", `a layer below ${numLayers} or -1`, rawValue(block, "reduction_position"));
  }
  if (kind === "striding") {
    const numStages = Math.floor(Math.log2(factor));
    if (2 ** numStages !== factor) {
      throw modelError(
        "MODEL_UNSUPPORTED",
        `model_config.yaml: \`encoder.reduction_factor\` is ${factor}, supported is a power of 2.`,
      );
    }
    const shape = { kind: "striding", channels: modelSize, numStages, isCausal: false, modelSize } as const;
    claimConvStages(table, "encoder.reduction_subsampling.reduction_enc", shape, modelSize);
  }
  return { kind, position, factor };
}
