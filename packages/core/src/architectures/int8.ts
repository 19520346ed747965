import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { add, mul, sizeOf, squeeze } from "../onnx/ops.ts";
import { derived, type Net, weight } from "./net.ts";

/**
 * `scale · (x · Wᵀ + b)` in 8 bits: weights with one scale an output column, activations with one scale a row.
 *
 * One scale for the whole activation tensor (what usual dynamic quantisation does) lets a loud recording coarsen its batch
 * mates; scales per row keep every row independent of its batch, and are several times more exact.
 * Weights use 7 bits: u8 × s8 pairs then cannot saturate the 16-bit sums of x86 without VNNI.
 */
export function int8Linear(
  net: Net,
  x: Value,
  prefix: string,
  options: { numIn: number; numOut: number; bias: string | undefined; scale: number },
): Value {
  const { g, w } = net;
  const { numIn, numOut, bias, scale } = options;
  const rows = quantizeRows(net, x);
  const name = `${prefix}.weight`;
  const quantized = quantizeOnce(() => w.read(name), numOut, numIn);
  const weights = g.initializer({
    name: `${name}:int8`,
    type: "int8",
    dims: [numIn, numOut],
    bytes: async () => (await quantized()).transposed,
  });
  const columnScale = derived(net, `${name}:scale:${scale}`, [numOut], async () =>
    (await quantized()).scales.map((s) => s * scale),
  );
  // The runtime's own operator applies the column scales while a tile of sums is still in registers.
  const inputs = [rows.rows, weights, g.number(1), columnScale, rows.zero];
  const product = mul(g, g.op("MatMulIntegerToFloat", inputs, {}, "com.microsoft"), rows.scale);
  if (!bias) return product;
  const b =
    scale === 1
      ? weight(net, bias)
      : derived(net, `${bias}:${scale}`, [numOut], async () => (await w.read(bias)).map((v) => v * scale));
  return add(g, product, b);
}

/** Largest magnitude of a quantised weight: 7 bits. */
const WEIGHT_LIMIT = 63;
/** Activations are u8 around this. */
const ACTIVATION_ZERO = 128;

/** Quantises each row of `[row, in]` by its own largest magnitude; done once for all products of the same rows. */
function quantizeRows(net: Net, x: Value): { rows: Value; zero: Value; scale: Value } {
  const known = net.quantized.get(x);
  if (known) return known;
  const { g } = net;
  const peak = g.op("ReduceMax", [g.op("Abs", [x])], { axes: [1], keepdims: 1 });
  const scale = g.op("Max", [mul(g, peak, g.number(1 / 127)), g.number(1e-12)]);
  // One scale a row: QuantizeLinear's "axis" is meant for channels, but any axis has its own scales.
  const rows = g.op("QuantizeLinear", [x, squeeze(g, scale, [1]), net.rowZeros ?? rowZeros(g, x)], { axis: 0 });
  const result = { rows, zero: zeroPoint(g, "128", []), scale };
  net.quantized.set(x, result);
  return result;
}

/** The zero point of each of the rows `[row, size]`, uint8 `[row]`. */
export function rowZeros(g: GraphBuilder, rows: Value): Value {
  return g.op("Expand", [zeroPoint(g, "[128]", [1]), sizeOf(g, rows, 0)]);
}

const zeroPoint = (g: GraphBuilder, name: string, dims: readonly number[]): Value =>
  g.initializer({ name: `const/uint8/${name}`, type: "uint8", dims, bytes: () => Uint8Array.of(ACTIVATION_ZERO) });

/** Reads and quantises a weight at most once while its two constants are written one after the other. */
function quantizeOnce(read: () => Promise<Float32Array>, numOut: number, numIn: number) {
  let pending: Promise<{ transposed: Uint8Array; scales: Float32Array }> | undefined;
  let uses = 0;
  return async () => {
    pending ??= read().then((values) => quantizeColumns(values, numOut, numIn));
    const result = await pending;
    // Two constants share one quantisation; after the second nothing holds it.
    if (++uses % 2 === 0) pending = undefined;
    return result;
  };
}

/** `[out, in]` float32 → `[in, out]` int8 and one scale an output. */
function quantizeColumns(
  values: Float32Array,
  numOut: number,
  numIn: number,
): { transposed: Uint8Array; scales: Float32Array } {
  const scales = new Float32Array(numOut);
  const transposed = new Int8Array(numOut * numIn);
  for (let o = 0; o < numOut; o++) {
    let peak = 0;
    for (let i = 0; i < numIn; i++) peak = Math.max(peak, Math.abs(values[o * numIn + i]));
    const scale = peak / WEIGHT_LIMIT || 1;
    scales[o] = scale;
    for (let i = 0; i < numIn; i++) transposed[i * numOut + o] = Math.round(values[o * numIn + i] / scale);
  }
  return { transposed: new Uint8Array(transposed.buffer), scales };
}
