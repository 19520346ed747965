/** A local of a function: one of its `i32` parameters, or a vector of four float32. */
export type Local = number;

/** What this file needs of the platform's WebAssembly; engines without its vectors refuse the module. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
}
declare const WebAssembly: WebAssemblyApi | undefined;

/** Parameters of every function but the last: byte positions. */
export const NUM_PARAMETERS = 3;

// Opcodes of the WebAssembly core specification 2.0, §5.4 and appendix A.5.
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const CALL = 0x10;
const I32_CONST = 0x41;
const END = 0x0b;
const VECTOR = 0xfd;
const V128_LOAD = 0x00;
const V128_LOAD32_SPLAT = 0x09;
const V128_STORE = 0x0b;
const I8X16_SHUFFLE = 0x0d;
const F32X4_ADD = 0xe4;
const F32X4_SUB = 0xe5;
const F32X4_MUL = 0xe6;
const I32 = 0x7f;
const V128 = 0x7b;
const ALIGN_4_BYTES = 2;

/** A non-negative integer in LEB128, of which the sign bit stays clear, so that it is right as a signed one too. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x3f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/**
 * Writes one WebAssembly function over vectors of four float32: straight code, a local for every value. The operations
 * are IEEE 754's, each rounded by itself, as `Math.fround` rounds them one at a time.
 */
export class VectorFunction {
  readonly #code: number[] = [];
  #numVectors = 0;

  load(base: Local, offsetBytes: number): Local {
    return this.#set([LOCAL_GET, ...leb(base), VECTOR, V128_LOAD, ALIGN_4_BYTES, ...leb(offsetBytes)]);
  }

  /** The float32 at a fixed position, four times. */
  splat(positionBytes: number): Local {
    return this.#set([I32_CONST, 0, VECTOR, V128_LOAD32_SPLAT, ALIGN_4_BYTES, ...leb(positionBytes)]);
  }

  store(base: Local, offsetBytes: number, value: Local): void {
    this.#code.push(LOCAL_GET, ...leb(base), LOCAL_GET, ...leb(value));
    this.#code.push(VECTOR, V128_STORE, ALIGN_4_BYTES, ...leb(offsetBytes));
  }

  add(a: Local, b: Local): Local {
    return this.#binary(F32X4_ADD, a, b);
  }

  sub(a: Local, b: Local): Local {
    return this.#binary(F32X4_SUB, a, b);
  }

  mul(a: Local, b: Local): Local {
    return this.#binary(F32X4_MUL, a, b);
  }

  /** Four of the eight numbers in `a` (0 to 3) and `b` (4 to 7). */
  shuffle(a: Local, b: Local, lanes: readonly number[]): Local {
    const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => 4 * lane + i));
    return this.#set([LOCAL_GET, ...leb(a), LOCAL_GET, ...leb(b), VECTOR, I8X16_SHUFFLE, ...bytes]);
  }

  /** The function's body: its locals and its code. */
  body(): number[] {
    return [...vector([[...leb(this.#numVectors), V128]]), ...this.#code, END];
  }

  #binary(operation: number, a: Local, b: Local): Local {
    return this.#set([LOCAL_GET, ...leb(a), LOCAL_GET, ...leb(b), VECTOR, ...leb(operation)]);
  }

  #set(code: readonly number[]): Local {
    const local = NUM_PARAMETERS + this.#numVectors++;
    this.#code.push(...code, LOCAL_SET, ...leb(local));
    return local;
  }
}

/** A call of one of a module's functions with constants. */
export interface VectorCall {
  readonly index: number;
  readonly parameters: readonly [number, number, number];
}

/** A module's memory, and what runs its calls. */
export interface VectorModule {
  readonly memory: ArrayBuffer;
  run(): void;
}

/**
 * Makes a module of one page of memory whose `run` makes the given calls in order.
 * @returns undefined where the platform has no WebAssembly with vectors
 */
export function vectorModule(
  functions: readonly VectorFunction[],
  calls: readonly VectorCall[],
): VectorModule | undefined {
  const bytes = moduleBytes(functions, calls);
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(bytes)) return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  const { memory, run } = exports as { memory: { buffer: ArrayBuffer }; run: () => void };
  return { memory: memory.buffer, run };
}

function moduleBytes(functions: readonly VectorFunction[], calls: readonly VectorCall[]): Uint8Array {
  const signature = (parameters: readonly number[]) => [0x60, ...vector(parameters.map((p) => [p])), 0];
  const runCode = calls.flatMap(({ index, parameters }) => [
    ...parameters.flatMap((value) => [I32_CONST, ...leb(value)]),
    CALL,
    ...leb(index),
  ]);
  const bodies = [...functions.map((f) => f.body()), [0, ...runCode, END]];
  const exported = (name: string, kind: number, index: number) => [
    ...vector([...name].map((letter) => [letter.charCodeAt(0)])),
    kind,
    ...leb(index),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([signature([I32, I32, I32]), signature([])])),
    ...section(3, vector([...functions.map(() => [0]), [1]])),
    ...section(5, vector([[0, 1]])),
    ...section(7, vector([exported("memory", 2, 0), exported("run", 0, functions.length)])),
    ...section(10, vector(bodies.map((body) => [...leb(body.length), ...body]))),
  ]);
}

/** A count and the items. */
function vector(items: readonly (readonly number[])[]): number[] {
  return [...leb(items.length), ...items.flat()];
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...leb(content.length), ...content];
}
