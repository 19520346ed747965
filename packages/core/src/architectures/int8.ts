import { float, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { add, mul, sizeOf, squeeze } from "../onnx/ops.ts";
import { derived, type Net, type Weights, weight } from "./net.ts";

/** A linear layer, torch's `[out, in]` weights and bias by name. */
export interface LinearLayer {
  readonly prefix: string;
  readonly numIn: number;
  readonly numOut: number;
  /** The bias's name, where there is one. */
  readonly bias: string | undefined;
  readonly scale: number;
}

/**
 * `scale · (x · Wᵀ + b)` in 8 bits: weights with one scale an output column, activations with one scale a row.
 *
 * One scale for the whole activation tensor (what usual dynamic quantisation does) lets a loud recording coarsen its batch
 * mates; scales per row keep every row independent of its batch, and are several times more exact.
 * Weights use 7 bits: u8 × s8 pairs then cannot saturate the 16-bit sums of x86 without VNNI.
 */
export function int8Linear(net: Net, x: Value, layer: LinearLayer): Value {
  return int8Product(net, x, [layer]);
}

/** Layers of the same input, as one product that is split: with few rows most of the time is not in products. */
export function int8Linears(net: Net, x: Value, layers: readonly LinearLayer[]): Value[] {
  const sizes = net.g.ints(layers.map(({ numOut }) => numOut));
  return net.g.ops("Split", [int8Product(net, x, layers), sizes], layers.length, { axis: 1 });
}

/** The columns of all layers, side by side. */
function int8Product(net: Net, x: Value, layers: readonly LinearLayer[]): Value {
  const { g, w } = net;
  const rows = quantizeRows(net, x);
  const [{ numIn }] = layers;
  const numOut = layers.reduce((sum, layer) => sum + layer.numOut, 0);
  const name = layers.map(({ prefix }) => `${prefix}.weight`).join("+");
  const quantized = twiceUsed(() => quantizeLayers(w, layers, numOut));
  const weights = g.initializer({
    name: `${name}:int8`,
    type: "int8",
    dims: [numIn, numOut],
    bytes: async () => (await quantized()).transposed,
  });
  const scales = layers.map(({ scale }) => scale).join("+");
  const columnScale = derived(net, `${name}:scale:${scales}`, [numOut], async () => (await quantized()).scales);
  // The runtime's own operator applies the column scales while a tile of sums is still in registers.
  const inputs = [rows.rows, weights, g.number(1), columnScale, rows.zero];
  const product = mul(g, g.op("MatMulIntegerToFloat", inputs, {}, "com.microsoft"), rows.scale);
  const bias = biasOf(net, layers, numOut);
  return bias === undefined ? product : add(g, product, bias);
}

/** The biases of all layers side by side, zero where one has none. */
function biasOf(net: Net, layers: readonly LinearLayer[], numOut: number): Value | undefined {
  const [{ bias, scale }] = layers;
  if (layers.length === 1 && scale === 1) return bias && weight(net, bias);
  if (layers.every((layer) => layer.bias === undefined)) return undefined;
  const name = layers.map((layer) => `${layer.bias}:${layer.scale}`).join("+");
  return derived(net, name, [numOut], async () => {
    const all = new Float32Array(numOut);
    let at = 0;
    for (const layer of layers) {
      const values = layer.bias === undefined ? [] : await net.w.read(layer.bias);
      values.forEach((value, i) => {
        all[at + i] = value * layer.scale;
      });
      at += layer.numOut;
    }
    return all;
  });
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
  const scale = timesPlus(g, peak, 1 / 127, 1e-12);
  // One scale a row: QuantizeLinear's "axis" is meant for channels, but any axis has its own scales.
  const rows = g.op("QuantizeLinear", [x, squeeze(g, scale, [1]), net.rowZeros ?? rowZeros(g, x)], { axis: 0 });
  const result = { rows, zero: zeroPoint(g, "128", []), scale };
  net.quantized.set(x, result);
  return result;
}

/**
 * `factor · x + offset` of `[row, 1]` by one operator: a product and a sum are two, and with few rows operators are what
 * takes the time.
 */
function timesPlus(g: GraphBuilder, x: Value, factor: number, offset: number): Value {
  const one = (value: number) => g.table(`float32/[${value}]`, [1], () => Float32Array.of(value));
  return g.op("BatchNormalization", [x, one(factor), one(offset), one(0), one(1)], { epsilon: float(0) });
}

/** The zero point of each of the rows `[row, size]`, uint8 `[row]`. */
export function rowZeros(g: GraphBuilder, rows: Value): Value {
  return g.op("Expand", [zeroPoint(g, "[128]", [1]), sizeOf(g, rows, 0)]);
}

const zeroPoint = (g: GraphBuilder, name: string, dims: readonly number[]): Value =>
  g.initializer({ name: `const/uint8/${name}`, type: "uint8", dims, bytes: () => Uint8Array.of(ACTIVATION_ZERO) });

/** Makes something at most once for each two uses: after the second nothing holds it. */
function twiceUsed<T>(make: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | undefined;
  let uses = 0;
  return async () => {
    pending ??= make();
    const result = await pending;
    if (++uses % 2 === 0) pending = undefined;
    return result;
  };
}

interface QuantizedColumns {
  /** int8 `[in, out]` */
  readonly transposed: Uint8Array;
  /** `[out]` */
  readonly scales: Float32Array;
}

/** The weights of all layers, `[out, in]` each, as columns side by side. */
async function quantizeLayers(w: Weights, layers: readonly LinearLayer[], numOut: number): Promise<QuantizedColumns> {
  const [{ numIn }] = layers;
  const scales = new Float32Array(numOut);
  const transposed = new Int8Array(numIn * numOut);
  let first = 0;
  for (const layer of layers) {
    const values = await w.read(`${layer.prefix}.weight`);
    for (let o = 0; o < layer.numOut; o++) {
      const row = values.subarray(o * numIn, (o + 1) * numIn);
      let peak = 0;
      for (const value of row) peak = Math.max(peak, Math.abs(value));
      const step = peak / WEIGHT_LIMIT || 1;
      scales[first + o] = step * layer.scale;
      for (let i = 0; i < numIn; i++) transposed[i * numOut + first + o] = Math.round(row[i] / step);
    }
    first += layer.numOut;
  }
  return { transposed: new Uint8Array(transposed.buffer), scales };
}
