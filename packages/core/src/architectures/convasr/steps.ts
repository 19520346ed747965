import type { Value } from "../../onnx/graph.ts";
import { cast, mul, range, sizeOf, unsqueeze } from "../../onnx/ops.ts";
import type { Net } from "../net.ts";

/** The time axis of a signal between two strides. */
export interface Steps {
  /** Valid steps of each row, int64 `[batch]`. */
  readonly lengths: Value;
  /** 1 for valid steps, 0 beyond: float32 `[batch, 1, 1, step]`; made once for all that share the axis. */
  mask: Value | undefined;
}

/** A batch on its way through the encoder. */
export interface Signal {
  /** `[batch, channel, 1, step]`: with two spatial axes the runtime has vectorised depthwise convolutions. */
  readonly x: Value;
  readonly steps: Steps;
  /** Everything beyond the lengths is zero already. */
  readonly isMasked: boolean;
}

/** A new time axis. */
export const createSteps = (lengths: Value): Steps => ({ lengths, mask: undefined });

/** The same batch with everything beyond the lengths zeroed. */
export function masked(net: Net, signal: Signal): Signal {
  if (signal.isMasked) return signal;
  return { ...signal, x: mul(net.g, signal.x, stepMask(net, signal)), isMasked: true };
}

/** 1 for valid steps, 0 beyond: float32 `[batch, 1, 1, step]`. */
export function stepMask({ g }: Net, { x, steps }: Signal): Value {
  steps.mask ??= unsqueeze(
    g,
    cast(g, g.op("Less", [unsqueeze(g, range(g, sizeOf(g, x, 3)), [0]), unsqueeze(g, steps.lengths, [1])]), "float32"),
    [1, 2],
  );
  return steps.mask;
}
