/** Draws integers in `[0, below)`, always the same ones for a seed (mulberry32). */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Draw = (below: number) => number;
type Mutation = (bytes: Uint8Array, seeds: readonly Uint8Array[], next: Draw) => Uint8Array;

/** Values that lengths, counts and offsets break at. */
const LENGTHS = [
  0,
  1,
  2,
  0x7f,
  0x80,
  0xff,
  0x7fff,
  0xffff,
  0x7fffffff,
  0x80000000,
  0xffffffff,
  2 ** 40,
  2 ** 53,
  2 ** 63,
  2 ** 64 - 2048,
];

const flipBit: Mutation = (bytes, _, next) => {
  bytes[next(bytes.length)] ^= 1 << next(8);
  return bytes;
};

const setByte: Mutation = (bytes, _, next) => {
  bytes[next(bytes.length)] = next(256);
  return bytes;
};

const truncate: Mutation = (bytes, _, next) => bytes.slice(0, next(bytes.length));

const remove: Mutation = (bytes, _, next) => {
  const start = next(bytes.length);
  const length = 1 + next(Math.min(64, bytes.length - start));
  return join(bytes.subarray(0, start), bytes.subarray(start + length));
};

/** Repeats a part, up to many times. */
const repeat: Mutation = (bytes, _, next) => {
  const start = next(bytes.length);
  const part = bytes.slice(start, start + 1 + next(200));
  const copies = new Array<Uint8Array>(1 + next(next(8) === 0 ? 100 : 3)).fill(part);
  return join(bytes.subarray(0, start), ...copies, bytes.subarray(start));
};

/** Puts a part of a seed over or between the bytes. */
const splice: Mutation = (bytes, seeds, next) => {
  const donor = seeds[next(seeds.length)];
  const from = next(donor.length);
  const part = donor.subarray(from, from + 1 + next(512));
  const at = next(bytes.length);
  return join(bytes.subarray(0, at), part, bytes.subarray(next(2) === 0 ? at : at + part.length));
};

/** Writes a number that is too small, too large or just so as a field of one to eight bytes, or adds a little to one. */
const setLength: Mutation = (bytes, _, next) => {
  const width = [1, 2, 4, 8][next(4)];
  if (bytes.length < width) return bytes;
  const at = next(bytes.length - width + 1);
  const isLittle = next(2) === 0;
  let value = BigInt(next(3) === 0 ? bytes.length + next(5) - 2 : LENGTHS[next(LENGTHS.length)]);
  if (next(4) === 0) {
    const field = Array.from(bytes.subarray(at, at + width));
    if (isLittle) field.reverse();
    value = field.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n) + BigInt(next(9) - 4);
  }
  for (let i = 0; i < width; i++) {
    bytes[isLittle ? at + i : at + width - 1 - i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  return bytes;
};

/** Replaces a run of digits: lengths and values of text formats. */
const setDigits: Mutation = (bytes, _, next) => {
  const start = bytes.findIndex((byte, i) => i >= next(bytes.length) && byte >= 0x30 && byte <= 0x39);
  if (start < 0) return bytes;
  const text = String(LENGTHS[next(LENGTHS.length)]);
  return join(bytes.subarray(0, start), new TextEncoder().encode(text), bytes.subarray(start + 1));
};

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  truncate,
  remove,
  repeat,
  splice,
  setLength,
  setLength,
  setLength,
  setDigits,
];

/** One to five mutations of an input, at random places. */
export function mutate(input: Uint8Array, seeds: readonly Uint8Array[], next: Draw): Uint8Array {
  let bytes: Uint8Array = input.slice();
  for (let left = 1 + next(5); left > 0 && bytes.length > 0; left--) {
    bytes = MUTATIONS[next(MUTATIONS.length)](bytes, seeds, next);
  }
  return bytes;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}
