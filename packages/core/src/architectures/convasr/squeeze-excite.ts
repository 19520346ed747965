import type { Activation } from "../../config/spec.ts";
import type { Value } from "../../onnx/graph.ts";
import { div, mul, reshape } from "../../onnx/ops.ts";
import { type Net, weight } from "../net.ts";
import { activate } from "./activation.ts";
import { masked, type Signal, stepMask } from "./steps.ts";

/**
 * Scales every channel by what its mean over the valid steps says (NeMo `SqueezeExcite`, jasper.py).
 *
 * At inference the mean is global whatever the context window; there is nothing to interpolate.
 */
export function squeezeExcite(net: Net, prefix: string, activation: Activation, input: Signal): Signal {
  const { g } = net;
  const signal = masked(net, input);
  const sums = g.op("ReduceSum", [signal.x, g.ints([3])], { keepdims: 1 });
  const counts = g.op("ReduceSum", [stepMask(net, signal), g.ints([3])], { keepdims: 1 });
  // An empty row has no mean; one of nothing keeps it zero.
  const mean = reshape(g, div(g, sums, g.op("Max", [counts, g.number(1)])), [0, -1]);
  const squeezed = activate(g, activation, channels(net, mean, `${prefix}.fc.0.weight`));
  const gate = g.op("Sigmoid", [channels(net, squeezed, `${prefix}.fc.2.weight`)]);
  return { ...signal, x: mul(g, signal.x, reshape(g, gate, [0, -1, 1, 1])) };
}

/** A linear layer without bias on rows `[batch, channel]`. */
const channels = (net: Net, rows: Value, name: string): Value =>
  net.g.op("Gemm", [rows, weight(net, name)], { transB: 1 });
