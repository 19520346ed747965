import type { Item } from "../items.ts";
import {
  INTEGER_RANGES,
  NANOSECONDS_PER_SECOND,
  type SplEnum,
  type SplPrimitive,
  type SplTimestamp,
  type SplTuple,
  type SplType,
  type SplValue,
  splTypeName,
} from "./types.ts";

/** Bytes that stand before an item where punctuation is written. */
export const ITEM_TAGS = { tuple: 0, window: 1, final: 2 } as const;
/** The longest length that is written as one byte. */
export const MAX_SHORT_LENGTH = 127;
/** What announces a length of four bytes. */
export const LONG_LENGTH = 0x80;

const utf8 = new TextEncoder();

/** Bytes that are being written; it grows by doubling. */
class Sink {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Makes room for some bytes and gives where they go. */
  claim(numBytes: number): { view: DataView; bytes: Uint8Array; at: number } {
    const at = this.#length;
    this.#length += numBytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return { view: this.#view, bytes: this.#bytes, at };
  }

  put(bytes: Uint8Array): void {
    const { bytes: all, at } = this.claim(bytes.length);
    all.set(bytes, at);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/**
 * Encodes a tuple as the standard toolkit's `format: bin` does: network byte order, attributes in declared order, no
 * length of the whole.
 * @throws TypeError, RangeError where a value does not fit its type; the message names the attribute
 */
export function encodeTuple<T extends SplTuple>(type: T, value: SplValue<T>): Uint8Array {
  const sink = new Sink();
  writeTuple(sink, type, value as Record<string, unknown>, "");
  return sink.finish();
}

/** Encodes an item with the byte before it that `writePunctuations: true` writes. */
export function encodeItem<T extends SplTuple>(type: T, item: Item<SplValue<T>>): Uint8Array {
  const sink = new Sink();
  sink.put(Uint8Array.of(ITEM_TAGS[item.kind]));
  if (item.kind === "tuple") writeTuple(sink, type, item.tuple as Record<string, unknown>, "");
  return sink.finish();
}

function writeTuple(sink: Sink, type: SplTuple, value: Record<string, unknown>, path: string): void {
  for (const [name, of] of Object.entries(type.tuple)) write(sink, of, value?.[name], path ? `${path}.${name}` : name);
}

function write(sink: Sink, type: SplType, value: unknown, path: string): void {
  if (typeof type === "string") PRIMITIVES[type](sink, value, path);
  else if ("tuple" in type) writeTuple(sink, type, value as Record<string, unknown>, path);
  else if ("enum" in type) writeEnum(sink, type, value, path);
  else writeCollection(sink, type, value, path);
}

/** The number of the name, as a `uint32`. */
function writeEnum(sink: Sink, type: SplEnum, value: unknown, path: string): void {
  if (typeof value !== "string") throw mismatch(path, type, value);
  const index = type.enum.indexOf(value);
  if (index < 0)
    throw new RangeError(`${path}: expected one of ${type.enum.join(", ")}, got ${value}. Give one of them.`);
  PRIMITIVES.uint32(sink, index, path);
}

type Collection = Exclude<SplType, string | SplTuple | SplEnum>;

function writeCollection(sink: Sink, type: Collection, value: unknown, path: string): void {
  if ("map" in type) {
    if (!(value instanceof Map)) throw mismatch(path, type, value);
    writeLength(sink, value.size);
    for (const [key, entry] of value) {
      write(sink, type.map[0], key, `${path} (a key)`);
      write(sink, type.map[1], entry, `${path} (a value)`);
    }
    return;
  }
  const isList = "list" in type;
  const elements = isList && Array.isArray(value) ? value : !isList && value instanceof Set ? [...value] : undefined;
  if (elements === undefined) throw mismatch(path, type, value);
  writeLength(sink, elements.length);
  for (const element of elements) write(sink, isList ? type.list : type.set, element, `${path}[]`);
}

function writeLength(sink: Sink, length: number): void {
  if (length <= MAX_SHORT_LENGTH) {
    sink.put(Uint8Array.of(length));
    return;
  }
  const { view, at } = sink.claim(5);
  view.setUint8(at, LONG_LENGTH);
  view.setUint32(at + 1, length);
}

type Writer = (sink: Sink, value: unknown, path: string) => void;

const integer =
  (type: SplPrimitive, numBytes: number, set: (view: DataView, at: number, value: never) => void): Writer =>
  (sink, value, path) => {
    const wanted = numBytes === 8 ? "bigint" : "number";
    const isWhole = typeof value === wanted && (wanted === "bigint" || Number.isInteger(value));
    if (!isWhole) throw mismatch(path, type, value);
    const [min, max] = INTEGER_RANGES[type];
    if ((value as number) < min || (value as number) > max) {
      throw new RangeError(
        `${path}: expected ${type} in [${min}, ${max}], got ${value}. Give another, or declare a larger type.`,
      );
    }
    const { view, at } = sink.claim(numBytes);
    set(view, at, value as never);
  };

const float =
  (type: SplPrimitive, numBytes: 4 | 8): Writer =>
  (sink, value, path) => {
    if (typeof value !== "number") throw mismatch(path, type, value);
    const { view, at } = sink.claim(numBytes);
    if (numBytes === 4) view.setFloat32(at, value);
    else view.setFloat64(at, value);
  };

const PRIMITIVES: Readonly<Record<SplPrimitive, Writer>> = {
  boolean(sink, value, path) {
    if (typeof value !== "boolean") throw mismatch(path, "boolean", value);
    sink.put(Uint8Array.of(value ? 1 : 0));
  },
  int8: integer("int8", 1, (view, at, value) => view.setInt8(at, value)),
  int16: integer("int16", 2, (view, at, value) => view.setInt16(at, value)),
  int32: integer("int32", 4, (view, at, value) => view.setInt32(at, value)),
  int64: integer("int64", 8, (view, at, value) => view.setBigInt64(at, value)),
  uint8: integer("uint8", 1, (view, at, value) => view.setUint8(at, value)),
  uint16: integer("uint16", 2, (view, at, value) => view.setUint16(at, value)),
  uint32: integer("uint32", 4, (view, at, value) => view.setUint32(at, value)),
  uint64: integer("uint64", 8, (view, at, value) => view.setBigUint64(at, value)),
  float32: float("float32", 4),
  float64: float("float64", 8),
  rstring(sink, value, path) {
    if (typeof value !== "string") throw mismatch(path, "rstring", value);
    const bytes = utf8.encode(value);
    writeLength(sink, bytes.length);
    sink.put(bytes);
  },
  ustring(sink, value, path) {
    if (typeof value !== "string") throw mismatch(path, "ustring", value);
    writeLength(sink, value.length);
    const { view, at } = sink.claim(2 * value.length);
    for (let i = 0; i < value.length; i++) view.setUint16(at + 2 * i, value.charCodeAt(i));
  },
  blob(sink, value, path) {
    if (!(value instanceof Uint8Array)) throw mismatch(path, "blob", value);
    const { view, at } = sink.claim(8);
    view.setBigUint64(at, BigInt(value.length));
    sink.put(value);
  },
  timestamp(sink, value, path) {
    if (typeof value !== "object" || value === null) throw mismatch(path, "timestamp", value);
    const { seconds, nanoseconds, machineId } = value as SplTimestamp;
    if (nanoseconds >= NANOSECONDS_PER_SECOND)
      throw new RangeError(
        `${path}.nanoseconds: expected less than a second's ${NANOSECONDS_PER_SECOND}, got ${nanoseconds}. Add whole seconds to the seconds.`,
      );
    PRIMITIVES.int64(sink, seconds, `${path}.seconds`);
    PRIMITIVES.uint32(sink, nanoseconds, `${path}.nanoseconds`);
    PRIMITIVES.int32(sink, machineId, `${path}.machineId`);
  },
};

function mismatch(path: string, type: SplType, value: unknown): TypeError {
  const got = value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
  return new TypeError(
    `${path}: expected a value of ${splTypeName(type)}, got ${got}. Give one, or declare another type.`,
  );
}
