import { numElements, type TensorType } from "../tensor.ts";

/** The name of an edge in a graph. */
export type Value = string;

/** An axis: a fixed size, or a name for a size known only at run time. */
export type Dim = number | string;

/** An ONNX attribute. Integers and floats are told apart by the wrapper, never by the number's looks. */
export type Attribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "graph"; readonly value: Branch };

/** One of the two ways of an `If`: nodes that also see every value of the graph around them. */
export interface Branch {
  readonly name: string;
  readonly nodes: readonly GraphNode[];
  readonly output: Value;
  readonly outputType: TensorType;
}

/** Attributes of a node: plain integers, integer lists and strings, or `float(x)`. */
export type AttributeInput = number | string | readonly number[] | Attribute;

/** A float attribute. */
export const float = (value: number): Attribute => ({ kind: "float", value });

/** One operator of a graph. */
export interface GraphNode {
  readonly opType: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A graph's input or output. */
export interface Port {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly Dim[];
}

/**
 * A constant of the graph. Its bytes are made when they are written, one initializer at a time, so that a checkpoint of
 * any size passes through a few megabytes of memory.
 */
export interface Initializer {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly sizeBytes: number;
  /** Little-endian, row-major. */
  readonly bytes: () => Uint8Array | Promise<Uint8Array>;
  /** Position of exactly these bytes in the checkpoint's own file, where they stand there unchanged. */
  readonly checkpointOffsetBytes?: number;
}

/** A complete graph, ready to be written. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly nodes: readonly GraphNode[];
  readonly initializers: ReadonlyMap<string, Initializer>;
  readonly metadata: Readonly<Record<string, string>>;
}

const BYTES_PER_ELEMENT: Record<TensorType, number> = {
  float32: 4,
  int32: 4,
  int64: 8,
  uint8: 1,
  int8: 1,
  bool: 1,
  float16: 2,
};

/** The bytes that a dense tensor of this type and shape takes. */
export function sizeBytesOf(type: TensorType, dims: readonly number[]): number {
  return numElements(dims) * BYTES_PER_ELEMENT[type];
}

/** Builds a graph node by node; edges are names. Names of nodes carry the scope in which they were made. */
export class GraphBuilder {
  readonly #name: string;
  readonly #inputs: Port[] = [];
  readonly #outputs: Port[] = [];
  #nodes: GraphNode[] = [];
  readonly #initializers = new Map<string, Initializer>();
  readonly #metadata: Record<string, string> = {};
  readonly #used = new Map<string, number>();
  #scope = "";

  constructor(name: string) {
    this.#name = name;
  }

  /** Runs `build` with a prefix for the names of everything made in it. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.#scope;
    this.#scope = outer === "" ? name : `${outer}/${name}`;
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  input(name: string, type: TensorType, dims: readonly Dim[]): Value {
    this.#inputs.push({ name, type, dims });
    return name;
  }

  /** Declares `value` as an output of the graph under a name of its own. */
  output(name: string, value: Value, type: TensorType, dims: readonly Dim[]): void {
    this.#nodes.push({
      opType: "Identity",
      domain: "",
      name: `output/${name}`,
      inputs: [value],
      outputs: [name],
      attributes: {},
    });
    this.#outputs.push({ name, type, dims });
  }

  metadata(entries: Readonly<Record<string, string | number>>): void {
    for (const [key, value] of Object.entries(entries)) this.#metadata[key] = String(value);
  }

  /** A node with one output. An absent optional input is `""`. */
  op(opType: string, inputs: readonly Value[], attributes: Record<string, AttributeInput> = {}, domain = ""): Value {
    return this.ops(opType, inputs, 1, attributes, domain)[0];
  }

  /** A node with several outputs. */
  ops(
    opType: string,
    inputs: readonly Value[],
    numOutputs: number,
    attributes: Record<string, AttributeInput> = {},
    domain = "",
  ): Value[] {
    const name = this.#unique(opType);
    const outputs = Array.from({ length: numOutputs }, (_, i) => (numOutputs === 1 ? name : `${name}.${i}`));
    const typed = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)]));
    this.#nodes.push({ opType, domain, name, inputs, outputs, attributes: typed });
    return outputs;
  }

  /** `If`: the value of one branch or of the other, of which only that one is computed. `condition` is a bool scalar. */
  choose(condition: Value, outputType: TensorType, whenTrue: () => Value, whenFalse: () => Value): Value {
    const branch = (name: string, build: () => Value): Attribute => {
      const outer = this.#nodes;
      const nodes: GraphNode[] = [];
      this.#nodes = nodes;
      try {
        const output = this.scope(name, build);
        return { kind: "graph", value: { name, nodes, output, outputType } };
      } finally {
        this.#nodes = outer;
      }
    };
    return this.op("If", [condition], {
      then_branch: branch("then", whenTrue),
      else_branch: branch("else", whenFalse),
    });
  }

  /** A constant whose bytes come later. The same name twice is the same constant. */
  initializer(init: Omit<Initializer, "sizeBytes">): Value {
    if (!this.#initializers.has(init.name)) {
      this.#initializers.set(init.name, { ...init, sizeBytes: sizeBytesOf(init.type, init.dims) });
    }
    return init.name;
  }

  /** A constant int64 list, shape `[n]`. */
  ints(values: readonly number[]): Value {
    return this.initializer({
      name: `const/int64/${values.join("_")}`,
      type: "int64",
      dims: [values.length],
      bytes: () => new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
    });
  }

  /** A constant int64 scalar. */
  int(value: number): Value {
    return this.initializer({
      name: `const/int64_scalar/${value}`,
      type: "int64",
      dims: [],
      bytes: () => new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
    });
  }

  /** A constant int32 scalar. */
  int32(value: number): Value {
    return this.initializer({
      name: `const/int32_scalar/${value}`,
      type: "int32",
      dims: [],
      bytes: () => new Uint8Array(Int32Array.of(value).buffer),
    });
  }

  /** A constant float32 scalar. */
  number(value: number): Value {
    return this.initializer({
      name: `const/float32/${value}`,
      type: "float32",
      dims: [],
      bytes: () => new Uint8Array(Float32Array.of(value).buffer),
    });
  }

  /** A constant float32 table computed here, not read from the checkpoint. */
  table(name: string, dims: readonly number[], values: () => Float32Array): Value {
    return this.initializer({ name: `const/${name}`, type: "float32", dims, bytes: () => bytesOf(values()) });
  }

  finish(): Graph {
    return {
      name: this.#name,
      inputs: this.#inputs,
      outputs: this.#outputs,
      nodes: this.#nodes,
      initializers: this.#initializers,
      metadata: this.#metadata,
    };
  }

  #unique(opType: string): string {
    const base = this.#scope === "" ? opType : `${this.#scope}/${opType}`;
    const count = this.#used.get(base) ?? 0;
    this.#used.set(base, count + 1);
    return count === 0 ? base : `${base}_${count}`;
  }
}

/** The bytes of a typed array, without copying. */
export function bytesOf(data: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): Uint8Array {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

function toAttribute(value: AttributeInput): Attribute {
  if (typeof value === "number") {
    if (!Number.isInteger(value))
      throw new RangeError(`attribute: expected an integer, got ${value}. Wrap it in float().`);
    return { kind: "int", value };
  }
  if (typeof value === "string") return { kind: "string", value };
  if (isIntList(value)) return { kind: "ints", value };
  return value;
}

const isIntList = (value: AttributeInput): value is readonly number[] => Array.isArray(value);
