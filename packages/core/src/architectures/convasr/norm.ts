import type { JasperBlockSpec } from "../../config/spec.ts";
import { float } from "../../onnx/graph.ts";
import { add, mul, reshape, transpose } from "../../onnx/ops.ts";
import { type Net, weight } from "../net.ts";
import type { Signal } from "./steps.ts";

/** Whether a block's norm can be folded into its convolutions. */
export const isFoldable = (block: JasperBlockSpec): boolean => block.normalization === "batch";

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
