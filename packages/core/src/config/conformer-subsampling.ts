import { type ConfigBlock, choiceOr, flagOr, integerOr, invalid, rawValue, unsupportedValue } from "./block.ts";
import type { SubsamplingSpec } from "./spec.ts";
import { dimsOf, requireLayer, requireRank, requireTensor, type TensorTable } from "./tensor-table.ts";

/** The subsamplings of NeMo's constructors; the last three do not run in NeMo itself or cannot be built. */
const KINDS = ["striding", "dw_striding", "stacking", "stacking_norm", "feature_stacking"] as const;

/** Strided 3×3 convolutions with a linear layer behind them (NeMo `ConvSubsampling`). */
interface ConvStages {
  readonly kind: "striding" | "dw_striding";
  readonly channels: number;
  readonly numStages: number;
  readonly isCausal: boolean;
  readonly modelSize: number;
}

/** Describes `pre_encode` of a Conformer; its kind, factor and sizes are read off its tensors. */
export function describeSubsampling(
  block: ConfigBlock,
  table: TensorTable,
  numMels: number,
  modelSize: number,
): SubsamplingSpec {
  // Absent and false mean a plain linear layer to NeMo; of the rest, only what can be built goes on.
  const declared = rawValue(block, "subsampling");
  if (declared) choiceOr(block, "subsampling", KINDS, "striding");
  const isCausal = flagOr(block, "causal_downsampling", false);
  integerOr(block, "subsampling_factor", 4, 1);
  const prefix = "encoder.pre_encode";
  if (dimsOf(table, `${prefix}.weight`) !== undefined) {
    requireLayer(table, prefix, [modelSize, numMels], sizes(numMels, modelSize));
    return { kind: "linear", factor: 1, convChannels: 0, isCausal: false, isMasked: true };
  }
  if (dimsOf(table, `${prefix}.proj_out.weight`) !== undefined) {
    const factor = stackingFactor(table, `${prefix}.proj_out`, numMels, modelSize, true);
    const hasNorm = dimsOf(table, `${prefix}.pre_norm.weight`) !== undefined;
    if (hasNorm) requireLayer(table, `${prefix}.pre_norm`, [numMels], `\`encoder.feat_in\` ${numMels}`);
    return { kind: hasNorm ? "stacking_norm" : "stacking", factor, convChannels: 0, isCausal: false, isMasked: true };
  }
  if (dimsOf(table, `${prefix}.proj.weight`) !== undefined) {
    const factor = stackingFactor(table, `${prefix}.proj`, numMels, modelSize, false);
    return { kind: "feature_stacking", factor, convChannels: 0, isCausal: false, isMasked: true };
  }
  return describeConv(block, table, prefix, { numMels, modelSize, isCausal });
}

function stackingFactor(
  table: TensorTable,
  prefix: string,
  numMels: number,
  modelSize: number,
  hasBias: boolean,
): number {
  const [, inputSize] = requireRank(table, `${prefix}.weight`, 2);
  const factor = Math.max(1, Math.floor(inputSize / numMels));
  requireLayer(table, prefix, [modelSize, factor * numMels], sizes(numMels, modelSize), hasBias);
  return factor;
}

function describeConv(
  block: ConfigBlock,
  table: TensorTable,
  prefix: string,
  { numMels, modelSize, isCausal }: { numMels: number; modelSize: number; isCausal: boolean },
): SubsamplingSpec {
  if (dimsOf(table, `${prefix}.conv.0.weight`)?.length === 3) throw unsupportedValue(block, "subsampling", list());
  const [channels] = requireRank(table, `${prefix}.conv.0.weight`, 4);
  const hasPointwise = dimsOf(table, `${prefix}.conv.3.weight`) !== undefined;
  const stagesOf = (step: number): number => {
    let stages = 1;
    while (dimsOf(table, `${prefix}.conv.${2 + step * (stages - 1)}.weight`) !== undefined) stages++;
    return stages;
  };
  const numStages = stagesOf(hasPointwise ? 3 : 2);
  // One stage is the same in both kinds.
  const kind = hasPointwise || (numStages === 1 && rawValue(block, "subsampling") === "dw_striding");
  const [, flatSize] = requireRank(table, `${prefix}.out.weight`, 2);
  const stages: ConvStages = {
    kind: kind ? "dw_striding" : "striding",
    channels,
    numStages,
    isCausal: causalByShape(numMels, numStages, flatSize / channels, isCausal),
    modelSize,
  };
  claimConvStages(table, prefix, stages, numMels);
  // 1 splits only inputs beyond 2^31 elements; more always splits, and a lone recording then goes without masks.
  const isSplit = (integerOr(block, "subsampling_conv_chunking_factor", 1, -1) ?? 1) > 1;
  return {
    kind: stages.kind,
    factor: 2 ** numStages,
    convChannels: channels,
    isCausal: stages.isCausal,
    isMasked: !(isSplit && stages.kind === "dw_striding"),
  };
}

/** Causal convolutions keep more rows of frequency, which shows in the linear layer; where it does not, YAML says. */
function causalByShape(numMels: number, numStages: number, width: number, declared: boolean): boolean {
  const causal = widthAfter(numMels, numStages, true);
  const centred = widthAfter(numMels, numStages, false);
  if (causal === centred || (width !== causal && width !== centred)) return declared;
  return width === causal;
}

function widthAfter(width: number, numStages: number, isCausal: boolean): number {
  let left = width;
  for (let stage = 0; stage < numStages; stage++) left = isCausal ? Math.floor(left / 2) + 1 : Math.ceil(left / 2);
  return left;
}

/** Accounts for the tensors of strided convolutions over `inputSize` rows of frequency. */
export function claimConvStages(table: TensorTable, prefix: string, stages: ConvStages, inputSize: number): void {
  const { kind, channels, numStages, isCausal, modelSize } = stages;
  const from = `${channels} subsampling channels`;
  requireLayer(table, `${prefix}.conv.0`, [channels, 1, 3, 3], from);
  for (let stage = 1; stage < numStages; stage++) {
    if (kind === "striding") {
      requireLayer(table, `${prefix}.conv.${2 * stage}`, [channels, channels, 3, 3], from);
    } else {
      const layer = 3 * stage - 1;
      requireLayer(table, `${prefix}.conv.${layer}`, [channels, 1, 3, 3], from);
      requireLayer(table, `${prefix}.conv.${layer + 1}`, [channels, channels, 1, 1], from);
    }
  }
  const width = widthAfter(inputSize, numStages, isCausal);
  const [, flatSize] = dimsOf(table, `${prefix}.out.weight`) ?? [];
  if (flatSize !== undefined && flatSize !== channels * width && flatSize % channels === 0) {
    throw invalid(
      `\`encoder.feat_in\` is ${inputSize}, which leaves ${width} rows of frequency, but \`${prefix}.out.weight\` takes ${flatSize / channels}.`,
    );
  }
  requireTensor(table, `${prefix}.out.weight`, [modelSize, channels * width], sizes(inputSize, modelSize));
  requireTensor(table, `${prefix}.out.bias`, [modelSize], sizes(inputSize, modelSize));
}

const sizes = (numMels: number, modelSize: number): string =>
  `\`encoder.feat_in\` ${numMels} and \`encoder.d_model\` ${modelSize}`;

const list = (): string => `one of ${KINDS.map((kind) => `"${kind}"`).join(", ")}`;
