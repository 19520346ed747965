import fc from "fast-check";
import type { SplTuple, SplType } from "../../src/index.ts";

const number = (min: number, max: number) => fc.integer({ min, max });
const big = (bits: number, isSigned: boolean) =>
  isSigned
    ? fc.bigInt({ min: -(1n << BigInt(bits - 1)), max: (1n << BigInt(bits - 1)) - 1n })
    : fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });

const PRIMITIVES: Record<string, fc.Arbitrary<unknown>> = {
  boolean: fc.boolean(),
  int8: number(-128, 127),
  int16: number(-32768, 32767),
  int32: number(-2147483648, 2147483647),
  int64: big(64, true),
  uint8: number(0, 255),
  uint16: number(0, 65535),
  uint32: number(0, 4294967295),
  uint64: big(64, false),
  float32: fc.float({ noNaN: true }),
  float64: fc.double({ noNaN: true }),
  rstring: fc.string({ unit: "grapheme", maxLength: 200 }),
  ustring: fc.string({ unit: "binary", maxLength: 200 }),
  blob: fc.uint8Array({ maxLength: 300 }),
  timestamp: fc.record({
    seconds: big(64, true),
    nanoseconds: number(0, 999_999_999),
    machineId: number(-2147483648, 2147483647),
  }),
};

/** A type and a value of it. */
export interface Typed {
  readonly type: SplType;
  readonly value: unknown;
}

const primitive: fc.Arbitrary<Typed> = fc
  .constantFrom(...Object.keys(PRIMITIVES))
  .chain((type) => PRIMITIVES[type].map((value) => ({ type: type as SplType, value })));

function valuesOf(type: SplType): fc.Arbitrary<unknown> {
  if (typeof type === "string") return PRIMITIVES[type];
  if ("enum" in type) return fc.constantFrom(...type.enum);
  if ("list" in type) return fc.array(valuesOf(type.list), { maxLength: 5 });
  if ("set" in type) return fc.array(valuesOf(type.set), { maxLength: 5 }).map((all) => new Set(all));
  if ("map" in type)
    return fc
      .array(fc.tuple(valuesOf(type.map[0]), valuesOf(type.map[1])), { maxLength: 5 })
      .map((all) => new Map(all));
  return fc.record(Object.fromEntries(Object.entries(type.tuple).map(([name, of]) => [name, valuesOf(of)])));
}

const name = fc.stringMatching(/^[a-z]{1,6}$/).filter((text) => text !== "constructor");
const enumeration = fc.uniqueArray(name, { minLength: 1, maxLength: 300 }).map((names): SplType => ({ enum: names }));
const types: fc.Arbitrary<SplType> = fc.letrec<{ any: SplType; tuple: SplType }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(...(Object.keys(PRIMITIVES) as SplType[])),
    tie("any").map((list) => ({ list })),
    enumeration,
    fc.constantFrom<SplType>("int32", "rstring").map((set) => ({ set })),
    fc.tuple(fc.constantFrom<SplType>("uint64", "rstring"), tie("any")).map((map): SplType => ({ map })),
    tie("tuple"),
  ),
  tuple: fc.dictionary(name, tie("any"), { minKeys: 1, maxKeys: 5, noNullPrototype: true }).map((tuple) => ({ tuple })),
})).tuple;

/** Any tuple type, with items of it. */
export const typedItems: fc.Arbitrary<{ type: SplTuple; tuples: Record<string, unknown>[] }> = types.chain((type) =>
  fc.array(valuesOf(type) as fc.Arbitrary<Record<string, unknown>>, { minLength: 1, maxLength: 4 }).map((tuples) => ({
    type: type as SplTuple,
    tuples,
  })),
);

/** Cuts bytes at any places. */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((p) => p % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
}

export { primitive };
