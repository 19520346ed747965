import { SpeechError } from "../errors.ts";
import { quote, strictTextDecoder } from "./text.ts";

/** Keys a dictionary may have. */
export type PickleKey = string | number | bigint | boolean | null;

/** What one of our builders made; a pickle cannot make one otherwise. */
export interface PickleObject {
  readonly kind: string;
}

/** Plain data: lists and tuples are arrays, dictionaries are Maps, bytes are Uint8Arrays. May refer to itself. */
export type PickleValue =
  | PickleKey
  | Uint8Array
  | PickleValue[]
  | Map<PickleKey, PickleValue>
  | PickleGlobal
  | PickleObject;

/** A class or function on the allow-list. What "calling" it means is ours alone; without `build` it cannot be called. */
export class PickleGlobal {
  readonly name: string;
  readonly build: ((args: readonly PickleValue[], where: string) => PickleValue) | undefined;

  constructor(name: string, build?: (args: readonly PickleValue[], where: string) => PickleValue) {
    this.name = name;
    this.build = build;
  }
}

/** What a pickle may refer to. */
export interface PickleRules {
  /** By `module.name`. Everything else is refused. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** What a persistent id stands for. */
  persistent(id: PickleValue, where: string): PickleValue;
}

/** A tensor of a checkpoint takes about 40 operations: this is enough for 50,000 tensors, and bounds time and memory. */
const MAX_WORK = 2_000_000;
/** torch nests MARKs four deep. */
const MAX_MARKS = 1000;
/** Ids and magic numbers are the only long integers. */
const MAX_INTEGER_BYTES = 256;
/** Names of modules and classes, and numbers written as text. */
const MAX_LINE_BYTES = 1000;

/** Thrown where the bytes end before the pickle does. */
export const PICKLE_ENDED = Symbol("the bytes end before the pickle does");

/** The state of one reading: what the opcodes of `pickle-opcodes.ts` work on. */
export class PickleMachine {
  position: number;
  stack: PickleValue[] = [];
  readonly memo = new Map<number, PickleValue>();
  readonly rules: PickleRules;
  #outerStacks: PickleValue[][] = [];
  #opcodePosition = 0;
  #work = 0;
  #isStopped = false;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;

  constructor(bytes: Uint8Array, start: number, rules: PickleRules, name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.rules = rules;
    this.#name = name;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Begins the next operation: reads its opcode. */
  nextOpcode(): number {
    this.#opcodePosition = this.position;
    this.charge(1);
    return this.uint8();
  }

  /** Counts work against the limit. */
  charge(amount: number): void {
    this.#work += amount;
    if (this.#work > MAX_WORK)
      this.fail("LIMIT_EXCEEDED", `expected at most ${MAX_WORK} operations. This is no model's state dict.`);
  }

  /** Where the reading stands, for messages. */
  get where(): string {
    return `${this.#name}: pickle byte ${this.#opcodePosition}`;
  }

  fail(code: "FORMAT_INVALID" | "FORMAT_UNSUPPORTED" | "LIMIT_EXCEEDED", message: string): never {
    throw new SpeechError(code, `${this.where}: ${message}`);
  }

  push(value: PickleValue): void {
    this.stack.push(value);
  }

  pop(): PickleValue {
    return this.stack.length > 0
      ? this.stack.pop()!
      : this.fail("FORMAT_INVALID", "the stack is empty. The file is corrupt.");
  }

  top(): PickleValue {
    return this.stack.length > 0
      ? this.stack.at(-1)!
      : this.fail("FORMAT_INVALID", "the stack is empty. The file is corrupt.");
  }

  mark(): void {
    if (this.#outerStacks.length === MAX_MARKS) {
      this.fail("LIMIT_EXCEEDED", `expected at most ${MAX_MARKS} nested marks. This is no model's state dict.`);
    }
    this.#outerStacks.push(this.stack);
    this.stack = [];
  }

  /** What was pushed since the last mark, which is removed. */
  popMark(): PickleValue[] {
    const items = this.stack;
    this.stack = this.#outerStacks.pop() ?? this.fail("FORMAT_INVALID", "there is no mark. The file is corrupt.");
    return items;
  }

  popArray(): PickleValue[] {
    const value = this.pop();
    return Array.isArray(value)
      ? value
      : this.fail("FORMAT_INVALID", `expected a tuple or list, got ${describe(value)}.`);
  }

  global(module: string, name: string): PickleGlobal {
    return (
      this.rules.globals.get(`${module}.${name}`) ??
      this.fail(
        "FORMAT_UNSUPPORTED",
        `class ${quote(`${module}.${name}`)} is not on the unpickling allow-list. Re-save the checkpoint as a state dict of plain tensors.`,
      )
    );
  }

  take(numBytes: number): Uint8Array {
    const end = this.position + numBytes;
    if (end > this.#bytes.length) throw PICKLE_ENDED;
    const taken = this.#bytes.subarray(this.position, end);
    this.position = end;
    return taken;
  }

  uint8(): number {
    if (this.position >= this.#bytes.length) throw PICKLE_ENDED;
    return this.#bytes[this.position++];
  }

  uint16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** A length of eight bytes. One beyond the file ends the pickle early, as any other length does. */
  uint64(): number {
    return this.uint32() + this.uint32() * 2 ** 32;
  }

  float64BigEndian(): number {
    return this.#view.getFloat64(this.#advance(8), false);
  }

  /** Little-endian two's complement; a bigint where a number would not be exact. */
  integer(numBytes: number): number | bigint {
    if (numBytes > MAX_INTEGER_BYTES) {
      this.fail(
        "LIMIT_EXCEEDED",
        `expected an integer of at most ${MAX_INTEGER_BYTES} bytes, got ${numBytes}. The file is corrupt.`,
      );
    }
    if (numBytes === 0) return 0;
    const digits = Array.from(this.take(numBytes), (byte) => byte.toString(16).padStart(2, "0"))
      .reverse()
      .join("");
    return plainInteger(BigInt.asIntN(numBytes * 8, BigInt(`0x${digits}`)));
  }

  text(numBytes: number): string {
    const bytes = this.take(numBytes);
    try {
      return strictTextDecoder.decode(bytes);
    } catch {
      return this.fail("FORMAT_INVALID", "expected UTF-8 text. The file is corrupt.");
    }
  }

  /** A line without its end. */
  line(): string {
    const end = this.#bytes.subarray(this.position, this.position + MAX_LINE_BYTES).indexOf(0x0a);
    if (end < 0) {
      if (this.position + MAX_LINE_BYTES > this.#bytes.length) throw PICKLE_ENDED;
      this.fail("LIMIT_EXCEEDED", `expected a line of at most ${MAX_LINE_BYTES} bytes. The file is corrupt.`);
    }
    const text = this.text(end);
    this.position++;
    return text;
  }

  #advance(numBytes: number): number {
    const at = this.position;
    if (at + numBytes > this.#bytes.length) throw PICKLE_ENDED;
    this.position = at + numBytes;
    return at;
  }
}

/** An integer as a number where that is exact. */
export function plainInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The kind of a value, for messages. Never walks into it. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "None";
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object") return String(value).slice(0, 40);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return `a dictionary of ${value.size}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof PickleGlobal) return `the class \`${value.name}\``;
  return `a ${value.kind}`;
}
