import type { Weights } from "../../src/architectures/net.ts";
import { numElements } from "../../src/tensor.ts";
import { dot, type Matrix, standardized } from "./matrix.ts";

/** Tensor names and shapes of a checkpoint. */
export type TensorShapes = Record<string, readonly number[]>;

/** The tensors of an invented checkpoint. */
export interface Params {
  has(name: string): boolean;
  /** All elements, row-major. */
  flat(name: string): number[];
  /** The tensor as `[first axis][all other axes]`. */
  rows(name: string): Matrix;
  /** The same tensors as the graph builders read them. */
  readonly weights: Weights;
}

/** A generator of uniform numbers in [0, 1) (mulberry32), so that a seed names a test case. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Random tensors of such sizes that signals keep the order of one through any number of layers. */
export function randomParams(shapes: TensorShapes, seed: number): Params {
  const next = uniform(seed);
  const tensors = new Map<string, Float32Array>();
  for (const [name, dims] of Object.entries(shapes)) {
    const [low, high] = rangeOf(name, dims);
    tensors.set(
      name,
      Float32Array.from({ length: numElements(dims) }, () => low + (high - low) * next()),
    );
  }
  const read = (name: string): Float32Array => {
    const found = tensors.get(name);
    if (!found) throw new Error(`the reference evaluation reads \`${name}\`, which the test did not invent`);
    return found;
  };
  return {
    has: (name) => tensors.has(name),
    flat: (name) => Array.from(read(name)),
    rows: (name) => {
      const values = Array.from(read(name));
      const size = values.length / shapes[name][0];
      return Array.from({ length: shapes[name][0] }, (_, i) => values.slice(i * size, (i + 1) * size));
    },
    weights: {
      has: (name) => tensors.has(name),
      dims: (name) => {
        read(name);
        return shapes[name];
      },
      read: async (name) => read(name).slice(),
      offsetBytes: () => undefined,
    },
  };
}

function rangeOf(name: string, dims: readonly number[]): [number, number] {
  if (name.endsWith("running_var")) return [0.5, 1.5];
  if (dims.length > 1) {
    const limit = Math.sqrt(3 / numElements(dims.slice(1)));
    return [-limit, limit];
  }
  return name.endsWith("weight") ? [0.6, 1.4] : [-0.4, 0.4];
}

/** Random features `[frame][mel]`. */
export function randomRows(numRows: number, numColumns: number, next: () => number): Matrix {
  return Array.from({ length: numRows }, () => Array.from({ length: numColumns }, () => Math.fround(2 * next() - 1)));
}

/** A linear layer, or a convolution of kernel 1, on every row. */
export function linear(p: Params, prefix: string, x: Matrix): Matrix {
  const weight = p.rows(`${prefix}.weight`);
  const bias = p.has(`${prefix}.bias`) ? p.flat(`${prefix}.bias`) : weight.map(() => 0);
  return x.map((row) => weight.map((w, o) => dot(row, w) + bias[o]));
}

/** Layer norm of every row, epsilon 1e-5. */
export function layerNorm(p: Params, prefix: string, x: Matrix): Matrix {
  const weight = p.flat(`${prefix}.weight`);
  const bias = p.flat(`${prefix}.bias`);
  return x.map((row) => standardized(row, 1e-5).map((v, i) => v * weight[i] + bias[i]));
}
