/** SPL's types that `format: bin` is known to carry. */
export type SplPrimitive =
  | "boolean"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64"
  | "float32"
  | "float64"
  | "rstring"
  | "ustring"
  | "blob"
  | "timestamp";

/** An SPL type, as data. */
export type SplType =
  | SplPrimitive
  | SplEnum
  | { readonly list: SplType }
  | { readonly set: SplType }
  | { readonly map: readonly [key: SplType, value: SplType] }
  | SplTuple;

/** A tuple: its attributes in declared order, which is the order of the wire. */
export interface SplTuple {
  readonly tuple: Readonly<Record<string, SplType>>;
}

/** An enumeration: its names in declared order, which are numbered from 0 on the wire. */
export interface SplEnum {
  readonly enum: readonly string[];
}

/** A moment, as SPL's `timestamp` has it. */
export interface SplTimestamp {
  /** Since the beginning of 1970 (UTC); before it where negative. */
  seconds: bigint;
  /** Of the second, below 10⁹; they count forward before 1970 too. */
  nanoseconds: number;
  /** Whose clock it was; 0 unless told. */
  machineId: number;
}

/** Nanoseconds of a second. */
export const NANOSECONDS_PER_SECOND = 1_000_000_000;

interface PrimitiveValues {
  boolean: boolean;
  int8: number;
  int16: number;
  int32: number;
  int64: bigint;
  uint8: number;
  uint16: number;
  uint32: number;
  uint64: bigint;
  float32: number;
  float64: number;
  rstring: string;
  ustring: string;
  blob: Uint8Array;
  timestamp: SplTimestamp;
}

/**
 * What a value of an SPL type is here: 64-bit integers are `bigint`, both strings are strings, blobs are bytes, values of
 * enumerations their names.
 */
export type SplValue<T> = T extends SplPrimitive
  ? PrimitiveValues[T]
  : T extends { readonly enum: readonly (infer N)[] }
    ? N
    : T extends { readonly list: infer E }
      ? SplValue<E>[]
      : T extends { readonly set: infer E }
        ? Set<SplValue<E>>
        : T extends { readonly map: readonly [infer K, infer V] }
          ? Map<SplValue<K>, SplValue<V>>
          : T extends { readonly tuple: infer A }
            ? { -readonly [K in keyof A]: SplValue<A[K]> }
            : never;

/** Ranges of the integer types, both ends included. */
export const INTEGER_RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = Object.fromEntries(
  [8, 16, 32, 64].flatMap((bits) => {
    const half = 1n << BigInt(bits - 1);
    return [
      [`int${bits}`, [-half, half - 1n]],
      [`uint${bits}`, [0n, 2n * half - 1n]],
    ] as [string, [bigint, bigint]][];
  }),
);

/** A type as SPL writes it, for messages. */
export function splTypeName(type: SplType): string {
  if (typeof type === "string") return type;
  if ("enum" in type) return `enum{${type.enum.join(", ")}}`;
  if ("list" in type) return `list<${splTypeName(type.list)}>`;
  if ("set" in type) return `set<${splTypeName(type.set)}>`;
  if ("map" in type) return `map<${type.map.map(splTypeName).join(", ")}>`;
  const attributes = Object.entries(type.tuple).map(([name, of]) => `${splTypeName(of)} ${name}`);
  return `tuple<${attributes.join(", ")}>`;
}
