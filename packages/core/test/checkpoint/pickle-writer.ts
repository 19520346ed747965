import { concat, utf8 } from "./archive-writers.ts";

/** A pickle of protocol 2 from its operations. */
export function pickle(...operations: readonly Uint8Array[]): Uint8Array {
  return concat([0x80, 2], ...operations, [0x2e]);
}

/** Raw opcodes and their arguments. */
export const raw = (...bytes: readonly (number | string)[]) =>
  concat(...bytes.map((byte) => (typeof byte === "number" ? [byte] : utf8(byte))));

/** BINUNICODE. */
export function text(value: string): Uint8Array {
  const bytes = utf8(value);
  const length = new Uint8Array(new Uint32Array([bytes.length]).buffer);
  return concat(utf8("X"), length, bytes);
}

/** BININT, or LONG1 beyond 32 bits. */
export function int(value: number): Uint8Array {
  if (value === (value | 0)) return concat(utf8("J"), new Uint8Array(new Int32Array([value]).buffer));
  return concat([0x8a, 8], new Uint8Array(new BigInt64Array([BigInt(value)]).buffer));
}

/** GLOBAL. */
export const global = (module: string, name: string) => utf8(`c${module}\n${name}\n`);

/** A tuple of values. */
export const tuple = (...items: readonly Uint8Array[]) => concat(utf8("("), ...items, utf8("t"));

/** A list of values. */
export const list = (...items: readonly Uint8Array[]) => concat(utf8("]("), ...items, utf8("e"));

/** A call of a class or function. */
export const call = (callable: Uint8Array, ...args: readonly Uint8Array[]) =>
  concat(callable, tuple(...args), utf8("R"));

/** A dictionary. */
export const dict = (...entries: readonly (readonly [Uint8Array, Uint8Array])[]) =>
  concat(utf8("}("), ...entries.flat(), utf8("u"));

/** The reference to a storage. */
export const storage = (key: string, numElements: number, storageClass = "torch FloatStorage") => {
  const [module, name] = storageClass.split(" ");
  return concat(tuple(text("storage"), global(module, name), text(key), text("cpu"), int(numElements)), utf8("Q"));
};

/** A tensor over a storage. */
export const tensor = (of: Uint8Array, offset: number, dims: readonly number[], strides: readonly number[]) =>
  call(
    global("torch._utils", "_rebuild_tensor_v2"),
    of,
    int(offset),
    tuple(...dims.map(int)),
    tuple(...strides.map(int)),
    raw(0x89),
    call(global("collections", "OrderedDict")),
  );
