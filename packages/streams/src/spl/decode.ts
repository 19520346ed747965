import { SpeechError } from "@nemo-stt/core";
import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import { ByteQueue } from "./byte-queue.ts";
import { ITEM_TAGS, LONG_LENGTH, MAX_SHORT_LENGTH } from "./encode.ts";
import {
  NANOSECONDS_PER_SECOND,
  type SplEnum,
  type SplPrimitive,
  type SplTimestamp,
  type SplTuple,
  type SplType,
  type SplValue,
} from "./types.ts";

/** What a peer may announce. Memory is taken for bytes that came, never for those that were announced. */
export interface BinLimits {
  /** Bytes of one string: no name, number or sentence is longer than 64 KiB. */
  readonly maxStringBytes: number;
  /** Bytes of one blob: 8 MiB are 87 s of 48 kHz sound in 16 bits, far beyond any chunk. */
  readonly maxBlobBytes: number;
  /** Elements of one list, set or map: our types have a handful. */
  readonly maxElements: number;
  /** Bytes of one tuple: bounds lists of lists. */
  readonly maxTupleBytes: number;
}

/** The limits unless told otherwise. */
export const BIN_LIMITS: BinLimits = {
  maxStringBytes: 64 * 1024,
  maxBlobBytes: 8 * 1024 * 1024,
  maxElements: 10_000,
  maxTupleBytes: 16 * 1024 * 1024,
};

/** How a stream of `format: bin` is read. */
export interface BinDecoderOptions {
  /** Each item has a byte before it (`writePunctuations: true`); true unless told. */
  readonly hasPunctuation?: boolean;
  readonly limits?: Partial<BinLimits>;
  /** What to call the stream in messages. */
  readonly name?: string;
}

/** Reads `format: bin` from pieces that are cut anywhere. */
export interface BinDecoder<T> {
  /**
   * Takes bytes and gives the items that are complete now; blobs may be views of these bytes. After the final mark
   * whatever follows is an error.
   * @throws SpeechError `FORMAT_INVALID`, `LIMIT_EXCEEDED`: the stream cannot be read any further, and every later call fails alike
   */
  feed(bytes: Uint8Array): Item<T>[];
  /** Bytes of an item that has begun. */
  readonly numPendingBytes: number;
  /** The final mark came. */
  readonly isEnded: boolean;
  /** @throws SpeechError `FORMAT_INVALID` where the stream ends inside an item */
  finish(): void;
}

/** Creates a decoder for tuples of one type. */
export function createBinDecoder<T extends SplTuple>(
  type: T,
  options: BinDecoderOptions = {},
): BinDecoder<SplValue<T>> {
  return new Decoder<SplValue<T>>(type, options);
}

/** A reading that waits (yields) until the queue holds as many bytes as it needs. */
type Reading<V> = Generator<void, V, void>;

class Decoder<V> implements BinDecoder<V> {
  readonly #queue = new ByteQueue();
  readonly #source: Source;
  readonly #type: SplTuple;
  readonly #hasPunctuation: boolean;
  #reading: Reading<Item<V>>;
  #isEnded = false;
  #failure: unknown;

  constructor(type: SplTuple, { hasPunctuation = true, limits, name = "stream" }: BinDecoderOptions) {
    this.#type = type;
    this.#hasPunctuation = hasPunctuation;
    this.#source = new Source(this.#queue, { ...BIN_LIMITS, ...limits }, name);
    this.#reading = this.#item();
  }

  get numPendingBytes(): number {
    return this.#source.itemBytes + this.#queue.length;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  feed(bytes: Uint8Array): Item<V>[] {
    if (this.#failure) throw this.#failure;
    this.#queue.push(bytes);
    try {
      return this.#read();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #read(): Item<V>[] {
    const items: Item<V>[] = [];
    while (this.#queue.length > 0 || this.#source.itemBytes > 0) {
      if (this.#isEnded) throw this.#source.invalid("nothing behind the final mark", `${this.#queue.length} bytes`);
      const step = this.#reading.next();
      if (!step.done) break;
      items.push(step.value);
      this.#isEnded = step.value.kind === "final";
      this.#source.startItem();
      this.#reading = this.#item();
    }
    return items;
  }

  finish(): void {
    if (this.#failure) throw this.#failure;
    if (this.numPendingBytes > 0)
      throw this.#source.invalid("whole items", `an end ${this.numPendingBytes} bytes into one`);
  }

  *#item(): Reading<Item<V>> {
    if (this.#hasPunctuation) {
      const [tag] = yield* this.#source.take(1, "a tag");
      if (tag === ITEM_TAGS.window) return WINDOW_MARK;
      if (tag === ITEM_TAGS.final) return FINAL_MARK;
      if (tag !== ITEM_TAGS.tuple) throw this.#source.invalid("a tag of 0, 1 or 2", `${tag}`);
    }
    return tupleItem((yield* readTuple(this.#source, this.#type, "")) as V);
  }
}

/** Where a reading takes its bytes from; it counts them and knows the limits. */
class Source {
  readonly limits: BinLimits;
  readonly #queue: ByteQueue;
  readonly #name: string;
  #streamBytes = 0;
  /** Bytes of the item under way that were taken. */
  itemBytes = 0;

  constructor(queue: ByteQueue, limits: BinLimits, name: string) {
    this.#queue = queue;
    this.limits = limits;
    this.#name = name;
  }

  startItem(): void {
    this.itemBytes = 0;
  }

  *take(count: number, path: string): Reading<Uint8Array> {
    if (this.itemBytes + count > this.limits.maxTupleBytes) {
      throw this.tooLarge(path, `a tuple of at most ${this.limits.maxTupleBytes} bytes`, `${this.itemBytes + count}`);
    }
    while (this.#queue.length < count) yield;
    this.itemBytes += count;
    this.#streamBytes += count;
    return this.#queue.take(count);
  }

  *view(count: number, path: string): Reading<DataView> {
    const bytes = yield* this.take(count, path);
    return new DataView(bytes.buffer, bytes.byteOffset, count);
  }

  invalid(expected: string, got: string): SpeechError {
    const where = `${this.#name}, byte ${this.#streamBytes}`;
    return new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected ${expected}, got ${got}. Send tuples of the declared type with \`format: bin\` and punctuation.`,
    );
  }

  tooLarge(path: string, expected: string, got: string): SpeechError {
    const where = `${this.#name}, byte ${this.#streamBytes}, ${path}`;
    return new SpeechError("LIMIT_EXCEEDED", `${where}: expected ${expected}, got ${got}. Send smaller tuples.`);
  }
}

function* readTuple(source: Source, type: SplTuple, path: string): Reading<Record<string, unknown>> {
  const value: Record<string, unknown> = {};
  for (const [name, of] of Object.entries(type.tuple)) {
    value[name] = yield* read(source, of, path ? `${path}.${name}` : name);
  }
  return value;
}

function* read(source: Source, type: SplType, path: string): Reading<unknown> {
  if (typeof type === "string") return yield* PRIMITIVES[type](source, path);
  if ("tuple" in type) return yield* readTuple(source, type, path);
  if ("enum" in type) return yield* readEnum(source, type, path);
  const { maxElements } = source.limits;
  const count = yield* readLength(source, path);
  if (count > maxElements) throw source.tooLarge(path, `at most ${maxElements} elements`, `${count}`);
  if ("map" in type) {
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < count; i++) {
      const key = yield* read(source, type.map[0], `${path} (a key)`);
      map.set(key, yield* read(source, type.map[1], `${path} (a value)`));
    }
    return map;
  }
  const elements: unknown[] = [];
  const of = "list" in type ? type.list : type.set;
  for (let i = 0; i < count; i++) elements.push(yield* read(source, of, `${path}[]`));
  return "list" in type ? elements : new Set(elements);
}

/** A `uint32` that numbers the names: what is none of theirs has no value here. */
function* readEnum(source: Source, type: SplEnum, path: string): Reading<string> {
  const index = (yield* source.view(4, path)).getUint32(0);
  const name = type.enum[index];
  if (name === undefined) throw source.invalid(`a number below ${type.enum.length} for ${path}`, `${index}`);
  return name;
}

function* readLength(source: Source, path: string): Reading<number> {
  const [first] = yield* source.take(1, path);
  if (first <= MAX_SHORT_LENGTH) return first;
  if (first !== LONG_LENGTH)
    throw source.invalid(`a length of ${path} below 128, or 128 before four bytes`, `${first}`);
  const length = (yield* source.view(4, path)).getUint32(0);
  if (length <= MAX_SHORT_LENGTH)
    throw source.invalid(`a length of ${path} in four bytes to be at least ${LONG_LENGTH}`, `${length}`);
  return length;
}

type Reader = (source: Source, path: string) => Reading<unknown>;

const fixed = (numBytes: number, get: (view: DataView) => unknown): Reader =>
  function* (source, path) {
    return get(yield* source.view(numBytes, path));
  };

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function* readString(source: Source, path: string, unitBytes: 1 | 2): Reading<Uint8Array> {
  const numBytes = unitBytes * (yield* readLength(source, path));
  const { maxStringBytes } = source.limits;
  if (numBytes > maxStringBytes)
    throw source.tooLarge(path, `a string of at most ${maxStringBytes} bytes`, `${numBytes}`);
  return yield* source.take(numBytes, path);
}

const PRIMITIVES: Readonly<Record<SplPrimitive, Reader>> = {
  *boolean(source, path) {
    const [byte] = yield* source.take(1, path);
    if (byte > 1) throw source.invalid(`0 or 1 for ${path}`, `${byte}`);
    return byte === 1;
  },
  int8: fixed(1, (view) => view.getInt8(0)),
  int16: fixed(2, (view) => view.getInt16(0)),
  int32: fixed(4, (view) => view.getInt32(0)),
  int64: fixed(8, (view) => view.getBigInt64(0)),
  uint8: fixed(1, (view) => view.getUint8(0)),
  uint16: fixed(2, (view) => view.getUint16(0)),
  uint32: fixed(4, (view) => view.getUint32(0)),
  uint64: fixed(8, (view) => view.getBigUint64(0)),
  float32: fixed(4, (view) => view.getFloat32(0)),
  float64: fixed(8, (view) => view.getFloat64(0)),
  *rstring(source, path) {
    const bytes = yield* readString(source, path, 1);
    try {
      return utf8.decode(bytes);
    } catch {
      throw source.invalid(`UTF-8 in ${path}`, "other bytes");
    }
  },
  *ustring(source, path) {
    const bytes = yield* readString(source, path, 2);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let text = "";
    for (let at = 0; at < bytes.length; at += 2) text += String.fromCharCode(view.getUint16(at));
    return text;
  },
  *blob(source, path) {
    const numBytes = (yield* source.view(8, path)).getBigUint64(0);
    const { maxBlobBytes } = source.limits;
    if (numBytes > maxBlobBytes) throw source.tooLarge(path, `a blob of at most ${maxBlobBytes} bytes`, `${numBytes}`);
    return yield* source.take(Number(numBytes), path);
  },
  *timestamp(source, path): Reading<SplTimestamp> {
    const view = yield* source.view(16, path);
    const nanoseconds = view.getUint32(8);
    if (nanoseconds >= NANOSECONDS_PER_SECOND)
      throw source.invalid(`nanoseconds below ${NANOSECONDS_PER_SECOND} in ${path}`, `${nanoseconds}`);
    return { seconds: view.getBigInt64(0), nanoseconds, machineId: view.getInt32(12) };
  },
};
