import type { ByteSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import { numElements, type Tensor, type TensorType } from "../tensor.ts";
import type { StorageType } from "./checkpoint.ts";
import { toFloat32 } from "./tensor-data.ts";
import { quote, strictTextDecoder, textEncoder } from "./text.ts";
import { STORAGE_ELEMENT_BYTES } from "./torch-objects.ts";

/** An opened safetensors file. Tensors are read one at a time. */
export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
  /** The file's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * A tensor's values in their own type.
   * @throws SpeechError `MODEL_INVALID` when there is none of that name, `FORMAT_UNSUPPORTED` for types that a `Tensor`
   * cannot have (bfloat16, float64, int16): read those with `readFloat32`.
   */
  read(name: string): Promise<Tensor>;
  /**
   * A tensor's values as float32.
   * @throws SpeechError `MODEL_INVALID` when there is none of that name.
   */
  readFloat32(name: string): Promise<Float32Array>;
}

/** One tensor of the file: bytes `[start, end)` of its source. */
export interface SafetensorsInfo {
  readonly type: StorageType;
  readonly dims: readonly number[];
  readonly start: number;
  readonly end: number;
}

/** Takes bytes in order. */
export interface SafetensorsSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** The reference implementation's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_AXES = 64;

const TYPES: ReadonlyMap<string, StorageType> = new Map([
  ["F64", "float64"],
  ["F32", "float32"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I64", "int64"],
  ["I32", "int32"],
  ["I16", "int16"],
  ["I8", "int8"],
  ["U8", "uint8"],
  ["BOOL", "bool"],
]);
const CODES: ReadonlyMap<StorageType, string> = new Map([...TYPES].map(([code, type]) => [type, code]));

/**
 * Reads the header of a safetensors file (format of huggingface/safetensors: a length, JSON, data). Tensors must lie one
 * behind the other without gap or overlap, as the reference implementation demands.
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED` (other element types), `LIMIT_EXCEEDED`.
 */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const { header, dataStart } = await readHeader(source);
  const tensors = new Map<string, SafetensorsInfo>();
  let metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") metadata = parseMetadata(value, source);
    else tensors.set(name, parseInfo(value, dataStart, `${source.name}: tensor ${quote(name)}`));
  }
  checkCoverage(tensors, dataStart, source);
  const load = async (name: string) => {
    const info = tensors.get(name);
    if (info === undefined)
      throw new SpeechError(
        "MODEL_INVALID",
        `${source.name}: expected a tensor ${quote(name)}, got none of that name.`,
      );
    return { info, bytes: await source.read(info.start, info.end) };
  };
  return {
    tensors,
    metadata,
    async read(name) {
      const { info, bytes } = await load(name);
      return toTensor(bytes, info, `${source.name}: tensor ${quote(name)}`);
    },
    async readFloat32(name) {
      const { info, bytes } = await load(name);
      return toFloat32(bytes, info.type);
    },
  };
}

/** Tensors as one safetensors file in memory. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const { header, ordered } = layOut(tensors, metadata);
  const numDataBytes = ordered.reduce((sum, { data }) => sum + data.byteLength, 0);
  const bytes = new Uint8Array(header.length + numDataBytes);
  bytes.set(header);
  let position = header.length;
  for (const { data } of ordered) {
    bytes.set(bytesOf(data), position);
    position += data.byteLength;
  }
  return bytes;
}

/** Writes tensors as a safetensors file, one after another. */
export async function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  sink: SafetensorsSink,
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const { header, ordered } = layOut(tensors, metadata);
  await sink.write(header);
  for (const { data } of ordered) await sink.write(bytesOf(data));
}

/** Larger elements first, as the reference implementation does, so that every tensor is aligned to its element. */
function layOut(tensors: ReadonlyMap<string, Tensor>, metadata: ReadonlyMap<string, string>) {
  const entries = [...tensors].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  const header: [string, unknown][] = metadata.size > 0 ? [["__metadata__", Object.fromEntries(metadata)]] : [];
  let position = 0;
  for (const [name, { type, dims, data }] of entries) {
    if (name === "__metadata__" || numElements(dims) !== data.length) {
      throw new RangeError(
        `tensors: expected a name and ${data.length} elements, got \`${name}\` of shape [${dims.join(", ")}].`,
      );
    }
    const end = position + data.byteLength;
    header.push([name, { dtype: CODES.get(type), shape: dims, data_offsets: [position, end] }]);
    position = end;
  }
  const json = textEncoder.encode(JSON.stringify(Object.fromEntries(header)));
  const numHeaderBytes = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + numHeaderBytes).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(numHeaderBytes), true);
  bytes.set(json, 8);
  return { header: bytes, ordered: entries.map(([, tensor]) => tensor) };
}

function bytesOf(data: Tensor["data"]): Uint8Array {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

async function readHeader(source: ByteSource): Promise<{ header: object; dataStart: number }> {
  if (source.sizeBytes < 8) throw invalid(source.name, "a header of 8 bytes", `a file of ${source.sizeBytes}`);
  const head = await source.read(0, 8);
  const numBytes = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  if (numBytes > source.sizeBytes - 8)
    throw invalid(source.name, `a header of ${numBytes} bytes`, `a file of ${source.sizeBytes}`);
  if (numBytes > MAX_HEADER_BYTES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${source.name}: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${numBytes}.`,
    );
  }
  const bytes = await source.read(8, 8 + numBytes);
  let header: unknown;
  try {
    header = JSON.parse(strictTextDecoder.decode(bytes));
  } catch (cause) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${source.name}: expected a header of JSON. The file is corrupt; write it again.`,
      { cause },
    );
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    throw invalid(source.name, "a JSON object", "another value");
  return { header, dataStart: 8 + numBytes };
}

function parseMetadata(value: unknown, source: ByteSource): Map<string, string> {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === "string");
  if (texts.length < entries.length) throw invalid(source.name, "text in `__metadata__`", "another value");
  return new Map(texts);
}

function parseInfo(value: unknown, dataStart: number, where: string): SafetensorsInfo {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  const type = TYPES.get(String(typeof dtype === "string" ? dtype : ""));
  if (type === undefined) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${where}: expected an element type of ${[...TYPES.keys()].join(", ")}, got ${quote(typeof dtype === "string" ? dtype : typeof dtype)}.`,
    );
  }
  if (!isCounts(shape) || shape.length > MAX_AXES || !isCounts(offsets) || offsets.length !== 2) {
    throw invalid(where, "a shape and two offsets", "something else");
  }
  const [start, end] = offsets;
  if (end - start !== numElements(shape) * STORAGE_ELEMENT_BYTES[type]) {
    throw invalid(where, `the bytes of shape [${shape.join(", ")}]`, `${end - start}`);
  }
  return { type, dims: shape, start: dataStart + start, end: dataStart + end };
}

function checkCoverage(tensors: ReadonlyMap<string, SafetensorsInfo>, dataStart: number, source: ByteSource): void {
  let position = dataStart;
  for (const [name, { start, end }] of [...tensors].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
    if (start !== position)
      throw invalid(`${source.name}: tensor ${quote(name)}`, `a start at byte ${position}`, `${start}`);
    position = end;
  }
  if (position !== source.sizeBytes)
    throw invalid(source.name, `an end at byte ${position}`, `a file of ${source.sizeBytes}`);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function toTensor(bytes: Uint8Array, { type, dims }: SafetensorsInfo, where: string): Tensor {
  const make = <D extends Tensor["data"]>(
    Type: new (buffer: ArrayBufferLike, offset: number, length: number) => D,
    tensorType: TensorType,
  ) => {
    const aligned = bytes.byteOffset % STORAGE_ELEMENT_BYTES[type] === 0 ? bytes : bytes.slice();
    return { type: tensorType, dims, data: new Type(aligned.buffer, aligned.byteOffset, numElements(dims)) };
  };
  switch (type) {
    case "float32":
      return make(Float32Array, type);
    case "float16":
      return make(Uint16Array, type);
    case "int64":
      return make(BigInt64Array, type);
    case "int32":
      return make(Int32Array, type);
    case "int8":
      return make(Int8Array, type);
    case "uint8":
    case "bool":
      return make(Uint8Array, type);
    default:
      throw new SpeechError(
        "FORMAT_UNSUPPORTED",
        `${where}: expected an element type that tensors have here, got ${type}. Read it as float32.`,
      );
  }
}

function invalid(where: string, expected: string, got: string): SpeechError {
  return new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected ${expected}, got ${got}. The file is truncated or corrupt; write it again.`,
  );
}
