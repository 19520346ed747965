import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { SpeechError } from "../errors.ts";
import { bytesOf, float, type GraphBuilder, type Value } from "../onnx/graph.ts";
import { cast, reshape } from "../onnx/ops.ts";
import { numElements } from "../tensor.ts";
import { toFloat16 } from "./float16.ts";
import { int8Linear, int8Linears, type LinearLayer } from "./int8.ts";

/** The tensors of a checkpoint as an architecture sees them: by name, read when the graph is written. */
export interface Weights {
  has(name: string): boolean;
  /** @throws SpeechError `MODEL_INVALID` when there is no such tensor. */
  dims(name: string): readonly number[];
  read(name: string): Promise<Float32Array>;
  /** Position of the tensor's bytes in the checkpoint's file when they are contiguous float32 there. */
  offsetBytes(name: string): number | undefined;
}

/**
 * How weights are kept. `float16` halves the files and is widened when a graph is loaded; `int8` also computes the
 * encoder's matrix products in 8 bits.
 */
export type Precision = "float32" | "float16" | "int8";

/** What every part of an architecture needs to add itself to a graph. */
export interface Net {
  readonly g: GraphBuilder;
  readonly w: Weights;
  readonly precision: Precision;
  /** Rows that were quantised already, by the value they came from: products of one input share the work. */
  readonly quantized: Map<Value, { readonly rows: Value; readonly zero: Value; readonly scale: Value }>;
  /** The zero point of every row, uint8 `[row]`, where all products have the same number of rows. */
  readonly rowZeros?: Value;
}

/** A fresh `Net` around a graph. */
export function createNet(g: GraphBuilder, w: Weights, precision: Precision = "float32"): Net {
  return { g, w, precision, quantized: new Map() };
}

/** The weights of an opened checkpoint. */
export function checkpointWeights(checkpoint: Checkpoint): Weights {
  const info = (name: string) => {
    const found = checkpoint.tensors.get(name);
    if (!found) {
      throw new SpeechError(
        "MODEL_INVALID",
        `${checkpoint.name}: expected a tensor \`${name}\`, got none of that name. The checkpoint is incomplete or of another class.`,
      );
    }
    return found;
  };
  return {
    has: (name) => checkpoint.tensors.has(name),
    dims: (name) => info(name).dims,
    read: (name) => checkpoint.readFloat32(name),
    offsetBytes: (name) => {
      const t = info(name);
      return t.type === "float32" && t.isContiguous ? t.offsetBytes : undefined;
    },
  };
}

/** A tensor of the checkpoint as a constant of the graph, optionally under other axes (the same elements). */
export function weight(net: Net, name: string, dims: readonly number[] = net.w.dims(name)): Value {
  const { w } = net;
  if (numElements(dims) !== numElements(w.dims(name))) {
    throw new SpeechError(
      "MODEL_INVALID",
      `tensor \`${name}\`: expected shape [${dims.join(", ")}], got [${w.dims(name).join(", ")}]. The configuration does not fit the weights.`,
    );
  }
  const label = dims.length === w.dims(name).length ? name : `${name}:${dims.join("x")}`;
  return constant(net, label, dims, () => w.read(name), w.offsetBytes(name));
}

/** A constant computed from tensors of the checkpoint. */
export function derived(net: Net, name: string, dims: readonly number[], values: () => Promise<Float32Array>): Value {
  return constant(net, name, dims, values, undefined);
}

/** Vectors and small tables stay float32 in any precision. */
const FLOAT16_MIN_ELEMENTS = 4096;

function constant(
  { g, precision }: Net,
  name: string,
  dims: readonly number[],
  read: () => Promise<Float32Array>,
  checkpointOffsetBytes: number | undefined,
): Value {
  if (precision !== "float16" || numElements(dims) < FLOAT16_MIN_ELEMENTS) {
    return g.initializer({
      name,
      type: "float32",
      dims,
      bytes: async () => bytesOf(await read()),
      checkpointOffsetBytes,
    });
  }
  const half = g.initializer({
    name: `${name}:float16`,
    type: "float16",
    dims,
    bytes: async () => bytesOf(toFloat16(await read())),
  });
  return cast(g, half, "float32");
}

/**
 * `scale · (x · Wᵀ + b)` for rows `[row, in]` and torch's `[out, in]` weights; a convolution of kernel 1 is the same thing.
 *
 * The weight stays as the checkpoint has it (`transB`), and the factor is the operator's own `alpha` and `beta`, so that
 * exporting copies bytes and computes nothing. Weights that are `filled` become so when the runtime loads the graph; int8
 * has no use for it.
 */
export function linear(
  net: Net,
  x: Value,
  prefix: string,
  options: { scale?: number; sizes?: [number, number]; filled?: Filled } = {},
): Value {
  const layer = linearOf(net, prefix, options);
  return net.precision === "int8" ? int8Linear(net, x, layer) : gemm(net, x, layer, options.filled);
}

/** Numbers behind each row that a layer takes, which it does not heed, and zeros behind each that it gives. */
export interface Filled {
  readonly numIn?: number;
  readonly numOut?: number;
}

/** Linear layers of the same input, each as `linear`. */
export function linears(
  net: Net,
  x: Value,
  layers: readonly { readonly prefix: string; readonly scale?: number }[],
): Value[] {
  const all = layers.map(({ prefix, scale }) => linearOf(net, prefix, { scale }));
  // In float32 each keeps its place in the checkpoint; joined they would have to be copied.
  return net.precision === "int8" ? int8Linears(net, x, all) : all.map((layer) => gemm(net, x, layer));
}

function linearOf({ w }: Net, prefix: string, options: { scale?: number; sizes?: [number, number] }): LinearLayer {
  const [numOut, numIn] = options.sizes ?? [
    w.dims(`${prefix}.weight`)[0],
    numElements(w.dims(`${prefix}.weight`).slice(1)),
  ];
  const bias = w.has(`${prefix}.bias`) ? `${prefix}.bias` : undefined;
  return { prefix, numIn, numOut, bias, scale: options.scale ?? 1 };
}

function gemm(net: Net, x: Value, { prefix, numIn, numOut, bias, scale }: LinearLayer, filled: Filled = {}): Value {
  const { g } = net;
  const { numIn: fillIn = 0, numOut: fillOut = 0 } = filled;
  const fill = (value: Value, pads: readonly number[]) =>
    pads.some((size) => size > 0) ? g.op("Pad", [value, g.ints(pads)]) : value;
  const columns = fill(weight(net, `${prefix}.weight`, [numOut, numIn]), [0, 0, fillOut, fillIn]);
  const inputs = [x, columns, ...(bias ? [fill(weight(net, bias), [0, fillOut])] : [])];
  return g.op("Gemm", inputs, { transB: 1, alpha: float(scale), beta: float(scale) });
}

/** Layer normalisation with the affine parameters of a checkpoint. */
export function normalize(net: Net, x: Value, prefix: string): Value {
  return net.g.op("LayerNormalization", [x, weight(net, `${prefix}.weight`), weight(net, `${prefix}.bias`)], {
    axis: -1,
    epsilon: float(1e-5),
  });
}

/** `[batch, step, model]` → `[batch · step, model]`. */
export const toRows = ({ g }: Net, x: Value, size: number): Value => reshape(g, x, [-1, size]);
