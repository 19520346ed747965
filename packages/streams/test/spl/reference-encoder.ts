import type { SplTuple, SplType } from "../../src/index.ts";

// A second encoder of streams.md 4.2, written from its table alone and in another way: every value becomes hex digits.
// Its table has neither enumerations nor timestamps: they are from the "SPL binary encoding" page of the Streams
// documentation and the public headers of the open-source runtime.

const hex = (value: bigint, digits: number): string =>
  (value < 0n ? value + (1n << BigInt(4 * digits)) : value).toString(16).padStart(digits, "0");
const count = (n: number): string => (n < 128 ? hex(BigInt(n), 2) : `80${hex(BigInt(n), 8)}`);
const bits = (n: bigint | number, size: number) => hex(BigInt(n), size / 4);

function float(value: number, size: 32 | 64): string {
  const words =
    size === 32 ? new Uint32Array(Float32Array.of(value).buffer) : new BigUint64Array(Float64Array.of(value).buffer);
  return bits(words[0], size);
}

// biome-ignore lint/suspicious/noExplicitAny: values of every type
export function referenceHex(type: SplType, value: any): string {
  if (typeof type === "object") {
    if ("enum" in type) return hex(BigInt(type.enum.indexOf(value)), 8);
    if ("list" in type) return count(value.length) + value.map((v: unknown) => referenceHex(type.list, v)).join("");
    if ("set" in type) return count(value.size) + [...value].map((v) => referenceHex(type.set, v)).join("");
    if ("map" in type) {
      const entries = [...value].map(([k, v]) => referenceHex(type.map[0], k) + referenceHex(type.map[1], v));
      return count(value.size) + entries.join("");
    }
    return Object.keys(type.tuple)
      .map((name) => referenceHex(type.tuple[name], value[name]))
      .join("");
  }
  switch (type) {
    case "boolean":
      return value ? "01" : "00";
    case "float32":
      return float(value, 32);
    case "float64":
      return float(value, 64);
    case "rstring":
      return count(Buffer.byteLength(value, "utf8")) + Buffer.from(value, "utf8").toString("hex");
    case "ustring":
      return count(value.length) + Buffer.from(value, "utf16le").swap16().toString("hex");
    case "blob":
      return bits(value.length, 64) + Buffer.from(value).toString("hex");
    case "timestamp":
      return hex((BigInt.asUintN(64, value.seconds) << 64n) | (BigInt(value.nanoseconds) << 32n), 32).replace(
        /.{8}$/,
        hex(BigInt(value.machineId), 8),
      );
    default:
      return bits(value, Number(/\d+/.exec(type)?.[0]));
  }
}

/** An item with its tag. */
// biome-ignore lint/suspicious/noExplicitAny: values of every type
export function referenceItemHex(type: SplTuple, item: any): string {
  return item.kind === "window" ? "01" : item.kind === "final" ? "02" : `00${referenceHex(type, item.tuple)}`;
}
