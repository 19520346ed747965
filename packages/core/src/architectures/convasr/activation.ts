import type { Activation } from "../../config/spec.ts";
import { float, type GraphBuilder, type Value } from "../../onnx/graph.ts";
import { add, mul, silu } from "../../onnx/ops.ts";

/** Activations by their names in NeMo's `activation_registry`, with torch's own defaults (hardtanh is -1 … 1). */
export function activate(g: GraphBuilder, activation: Activation, x: Value): Value {
  switch (activation) {
    case "relu":
      return g.op("Relu", [x]);
    case "hardtanh":
      return g.op("Clip", [x, g.number(-1), g.number(1)]);
    case "selu":
      return g.op("Selu", [x], { alpha: float(1.6732632423543772), gamma: float(1.0507009873554805) });
    case "swish":
    case "silu":
      return silu(g, x);
    case "gelu":
      return gelu(g, x);
    case "tanh":
      return g.op("Tanh", [x]);
    case "sigmoid":
      return g.op("Sigmoid", [x]);
    case "identity":
      return x;
  }
}

/** x · Φ(x) with the error function, in the form the runtime fuses. */
function gelu(g: GraphBuilder, x: Value): Value {
  const error = g.op("Erf", [g.op("Div", [x, g.number(Math.SQRT2)])]);
  return mul(g, mul(g, x, add(g, error, g.number(1))), g.number(0.5));
}
