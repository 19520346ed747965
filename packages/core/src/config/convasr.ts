import type { SpeechError } from "../errors.ts";
import {
  type ConfigBlock,
  choiceOr,
  flagOr,
  ignoreKeys,
  integerOr,
  integersOf,
  invalid,
  modelError,
  numberOr,
  rawValue,
  rejectUnknownKeys,
  requiredInteger,
  textOr,
  wrong,
} from "./block.ts";
import { claimBlock, type Panes } from "./convasr-tensors.ts";
import type { ConvAsrSpec, JasperBlockSpec } from "./spec.ts";
import { dimsOf, type TensorTable } from "./tensor-table.ts";

/** Jasper 10x5 has 13 blocks of 5; a hostile list must not grow the graph beyond memory. */
const MAX_BLOCKS = 256;
const MAX_REPEAT = 64;

/** Keys of a block that act in training only, or that NeMo does not read at all. */
const INERT_BLOCK_KEYS = ["dropout", "se_context_window"];

const ACTIVATIONS = ["identity", "hardtanh", "relu", "selu", "swish", "silu", "gelu"] as const;

/**
 * Describes a `ConvASREncoder` (conv_asr.py, jasper.py): QuartzNet, Jasper, Citrinet, ContextNet, MatchboxNet, MarbleNet.
 * Every number is resolved: kernels are scaled, modes that stick from block to block are written out.
 */
export function describeConvAsr(block: ConfigBlock, table: TensorTable, numMels: number): ConvAsrSpec {
  const activation = choiceOr(block, "activation", ACTIVATIONS, "relu");
  const normalization = describeNormalization(block, table);
  const normGroups = integerOr(block, "norm_groups", -1, -1) ?? -1;
  const convMask = describeConvMask(block, table);
  const blocks = describeBlocks(block, { normalization, normGroups });
  ignoreKeys(block, ["feat_in", "frame_splicing", "init_mode", "quantize"]);
  rejectUnknownKeys(block);

  const panes: Panes = { inputs: numMels, dense: [] };
  blocks.forEach((each, i) => {
    claimBlock(table, `encoder.encoder.${i}`, each, panes, convMask);
    panes.inputs = each.filters;
  });
  return {
    kind: "convasr",
    numMels,
    activation,
    convMask,
    blocks,
    outSize: panes.inputs,
    subsamplingFactor: blocks.reduce((product, { stride, strideLast, repeat }) => {
      return product * (strideLast ? stride : stride ** repeat);
    }, 1),
  };
}

/** Running statistics belong to batch norm alone. */
function describeNormalization(block: ConfigBlock, table: TensorTable): JasperBlockSpec["normalization"] {
  const declared = choiceOr(block, "normalization_mode", ["batch", "layer", "instance", "group"] as const, "batch");
  for (const name of table.tensors.keys()) {
    if (name.startsWith("encoder.encoder.") && name.endsWith(".running_mean")) return "batch";
  }
  return declared;
}

/** A masked convolution is a module around the convolution, which shows in the names. */
function describeConvMask(block: ConfigBlock, table: TensorTable): boolean {
  const declared = flagOr(block, "conv_mask", true);
  if (dimsOf(table, "encoder.encoder.0.mconv.0.conv.weight") !== undefined) return true;
  if (dimsOf(table, "encoder.encoder.0.mconv.0.weight") !== undefined) return false;
  return declared;
}

interface Norm {
  readonly normalization: JasperBlockSpec["normalization"];
  readonly normGroups: number;
}

function describeBlocks(block: ConfigBlock, norm: Norm): JasperBlockSpec[] {
  const list = rawValue(block, "jasper");
  if (!Array.isArray(list) || list.length === 0) throw wrong(block, "jasper", "a list of blocks", list);
  if (list.length > MAX_BLOCKS) throw tooMany(`${MAX_BLOCKS} blocks in \`encoder.jasper\``, list.length);
  // `residual_mode` sticks: a block without one takes that of the block before it.
  let residualMode = textOr(block, "residual_mode", "add") ?? "add";
  return list.map((values: unknown, i) => {
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw wrong(block, `jasper[${i}]`, "a mapping", values);
    }
    const own: ConfigBlock = {
      path: `encoder.jasper[${i}]`,
      values: values as Record<string, unknown>,
      read: new Set(),
    };
    residualMode = textOr(own, "residual_mode", residualMode) ?? residualMode;
    const spec = describeBlock(own, residualMode, norm);
    ignoreKeys(own, INERT_BLOCK_KEYS);
    rejectUnknownKeys(own);
    return spec;
  });
}

function describeBlock(block: ConfigBlock, mode: string, norm: Norm): JasperBlockSpec {
  const filters = requiredInteger(block, "filters");
  const repeat = requiredInteger(block, "repeat");
  if (repeat > MAX_REPEAT) throw tooMany(`${MAX_REPEAT} repeats of a block`, repeat);
  const first = (key: string): number => {
    const values = integersOf(block, key, 1);
    if (values === undefined || values.length === 0)
      throw wrong(block, key, "a positive integer", rawValue(block, key));
    return values[0];
  };
  const kernel = scaledKernel(first("kernel"), numberOr(block, "kernel_size_factor", 1) ?? 1);
  const stride = first("stride");
  const dilation = first("dilation");
  if (stride > 1 && dilation > 1) throw invalid(`\`${block.path}\`: only stride or dilation may be greater than 1.`);
  const residual = flagOr(block, "residual", true);
  if (mode !== "add" && mode !== "stride_add" && mode !== "max") {
    throw wrong(block, "residual_mode", '"add", "stride_add" or "max"', mode);
  }
  if (residual && stride > 1 && mode !== "stride_add") {
    throw invalid(
      `\`${block.path}\`: a residual branch around a stride of ${stride} needs residual_mode "stride_add".`,
    );
  }
  const groups = integerOr(block, "groups", 1, 1) ?? 1;
  const future = integerOr(block, "future_context", -1, -1) ?? -1;
  return {
    filters,
    repeat,
    kernel,
    stride,
    dilation,
    separable: flagOr(block, "separable", false),
    groups,
    heads: integerOr(block, "heads", -1, -1) ?? -1,
    residual,
    residualMode: mode,
    residualDense: flagOr(block, "residual_dense", false),
    strideLast: flagOr(block, "stride_last", false),
    futureContext: future >= kernel ? -1 : future,
    normalization: norm.normalization,
    normGroups: { batch: 1, layer: 1, instance: filters, group: norm.normGroups === -1 ? filters : norm.normGroups }[
      norm.normalization
    ],
    squeezeExcite: describeSqueezeExcite(block),
  };
}

/** `compute_new_kernel_size` of jasper.py: scaled, truncated, at least 1, and odd. */
function scaledKernel(kernel: number, factor: number): number {
  const scaled = Math.max(Math.trunc(kernel * factor), 1);
  return scaled % 2 === 0 ? scaled + 1 : scaled;
}

function describeSqueezeExcite(block: ConfigBlock): JasperBlockSpec["squeezeExcite"] {
  const reductionRatio = integerOr(block, "se_reduction_ratio", 8, 1) ?? 8;
  const contextWindow = integerOr(block, "se_context_size", -1, -1) ?? -1;
  const interpolation = textOr(block, "se_interpolation_mode", "nearest") ?? "nearest";
  return flagOr(block, "se", false) ? { reductionRatio, contextWindow, interpolation } : undefined;
}

function tooMany(what: string, got: number): SpeechError {
  return modelError("LIMIT_EXCEEDED", `model_config.yaml: expected at most ${what}, got ${got}.`);
}
