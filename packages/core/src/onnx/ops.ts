import { float, type GraphBuilder, type Value } from "./graph.ts";

/** Elementwise and shaping operators that graphs are full of, in one word each. */
export const add = (g: GraphBuilder, a: Value, b: Value): Value => g.op("Add", [a, b]);
export const sub = (g: GraphBuilder, a: Value, b: Value): Value => g.op("Sub", [a, b]);
export const mul = (g: GraphBuilder, a: Value, b: Value): Value => g.op("Mul", [a, b]);
export const div = (g: GraphBuilder, a: Value, b: Value): Value => g.op("Div", [a, b]);
export const matMul = (g: GraphBuilder, a: Value, b: Value): Value => g.op("MatMul", [a, b]);
export const transpose = (g: GraphBuilder, x: Value, perm: readonly number[]): Value =>
  g.op("Transpose", [x], { perm });
export const concat = (g: GraphBuilder, values: readonly Value[], axis: number): Value =>
  g.op("Concat", values, { axis });
export const unsqueeze = (g: GraphBuilder, x: Value, axes: readonly number[]): Value =>
  g.op("Unsqueeze", [x, g.ints(axes)]);
export const squeeze = (g: GraphBuilder, x: Value, axes: readonly number[]): Value =>
  g.op("Squeeze", [x, g.ints(axes)]);

/** ONNX element type numbers, for `Cast`. */
const ELEMENT = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

export const cast = (g: GraphBuilder, x: Value, to: keyof typeof ELEMENT): Value =>
  g.op("Cast", [x], { to: ELEMENT[to] });

/** Reshape to fixed sizes; 0 keeps an axis, -1 is inferred. */
export const reshape = (g: GraphBuilder, x: Value, dims: readonly number[]): Value =>
  g.op("Reshape", [x, g.ints(dims)]);

/** Reshape to sizes some of which are known only at run time (int64 `[1]` values). */
export function reshapeTo(g: GraphBuilder, x: Value, dims: readonly (number | Value)[]): Value {
  return g.op("Reshape", [x, shapeOf(g, dims)]);
}

/** An int64 shape vector from fixed sizes and run-time sizes. */
export function shapeOf(g: GraphBuilder, dims: readonly (number | Value)[]): Value {
  return concat(
    g,
    dims.map((d) => (typeof d === "number" ? g.ints([d]) : d)),
    0,
  );
}

/** The size of one axis at run time, int64 `[1]`. */
export function sizeOf(g: GraphBuilder, x: Value, axis: number): Value {
  return g.op("Shape", [x], { start: axis, end: axis + 1 });
}

/** `[start, end)` along one axis; ends may be int64 `[1]` values. */
export function slice(g: GraphBuilder, x: Value, axis: number, start: number | Value, end: number | Value): Value {
  const at = (v: number | Value): Value => (typeof v === "number" ? g.ints([v]) : v);
  return g.op("Slice", [x, at(start), at(end), g.ints([axis])]);
}

/** Larger than any size: the end of a slice that goes to the end. */
export const TO_END = 2 ** 31 - 1;

/** `0 … n - 1` as int64 `[n]`, from an int64 `[1]`. */
export function range(g: GraphBuilder, size: Value): Value {
  return g.op("Range", [g.int(0), squeeze(g, size, [0]), g.int(1)]);
}

/** x · sigmoid(x), called Swish by NeMo; the runtime fuses the pair. */
export const silu = (g: GraphBuilder, x: Value): Value => mul(g, x, g.op("Sigmoid", [x]));

/** Layer normalisation over the last axis, as torch's with its default epsilon. */
export const layerNorm = (g: GraphBuilder, x: Value, scale: Value, bias: Value): Value =>
  g.op("LayerNormalization", [x, scale, bias], { axis: -1, epsilon: float(1e-5) });
