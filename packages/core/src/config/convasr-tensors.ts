import { invalid } from "./block.ts";
import type { JasperBlockSpec } from "./spec.ts";
import { requireLayer, requireTensor, type TensorTable } from "./tensor-table.ts";

/** Channels on their way through the blocks: what the next block reads, and what dense residuals may go back to. */
export interface Panes {
  inputs: number;
  readonly dense: number[];
}

/**
 * Accounts for the tensors of one `JasperBlock` (jasper.py) and checks their shapes.
 *
 * A repeat takes 5 places in `mconv` where it is separable (depthwise, pointwise, norm, activation, dropout) and 4 where
 * it is not, one more with a group shuffle; the last repeat leaves out activation and dropout.
 */
export function claimBlock(
  table: TensorTable,
  prefix: string,
  block: JasperBlockSpec,
  panes: Panes,
  convMask: boolean,
): void {
  const { filters, repeat, kernel, groups, separable } = block;
  const from = `\`encoder.jasper[${prefix.slice(prefix.lastIndexOf(".") + 1)}]\``;
  const conv = (name: string, dims: readonly number[]): void =>
    requireTensor(table, `${name}.${convMask ? "conv.weight" : "weight"}`, dims, from);
  if (filters % groups !== 0 || (block.normalization === "group" && filters % block.normGroups !== 0)) {
    throw invalid(`${from}: ${filters} filters cannot be split into its groups.`);
  }
  let layer = 0;
  for (let i = 0; i < repeat; i++) {
    const numIn = i === 0 ? panes.inputs : filters;
    if (numIn % groups !== 0) throw invalid(`${from}: ${numIn} channels cannot be split into ${groups} groups.`);
    if (separable) {
      const isShared = block.heads !== -1 && convMask;
      if (isShared && numIn % block.heads !== 0) throw invalid(`${from}: ${numIn} channels over ${block.heads} heads.`);
      conv(`${prefix}.mconv.${layer}`, [isShared ? block.heads : numIn, 1, kernel]);
      conv(`${prefix}.mconv.${layer + 1}`, [filters, numIn / groups, 1]);
    } else {
      conv(`${prefix}.mconv.${layer}`, [filters, numIn / groups, kernel]);
    }
    layer += separable ? 2 : 1;
    claimNorm(table, `${prefix}.mconv.${layer}`, block, from);
    layer += groups > 1 ? 2 : 1;
    if (i < repeat - 1) layer += 2;
  }
  if (block.squeezeExcite) {
    const hidden = Math.floor(filters / block.squeezeExcite.reductionRatio);
    requireTensor(table, `${prefix}.mconv.${layer}.fc.0.weight`, [hidden, filters], from);
    requireTensor(table, `${prefix}.mconv.${layer}.fc.2.weight`, [filters, hidden], from);
  }
  if (block.residualDense) panes.dense.push(panes.inputs);
  if (!block.residual) return;
  const branches = block.residualDense ? panes.dense : [panes.inputs];
  branches.forEach((channels, i) => {
    conv(`${prefix}.res.${i}.0`, [filters, channels, 1]);
    claimNorm(table, `${prefix}.res.${i}.1`, block, from);
  });
}

function claimNorm(table: TensorTable, name: string, block: JasperBlockSpec, from: string): void {
  requireLayer(table, name, [block.filters], from);
  if (block.normalization !== "batch") return;
  requireTensor(table, `${name}.running_mean`, [block.filters], from);
  requireTensor(table, `${name}.running_var`, [block.filters], from);
}
