import { type ByteSource, SpeechError } from "@nemo-stt/core";

/** Read at a time; the fields before and after the graph fit in one window in practice. */
const WINDOW_BYTES = 65_536;
/** The vocabulary of a large model is about 1 MB; more than this is no metadata. */
const MAX_ENTRY_BYTES = 64 * 1024 * 1024;
/** Fields on the top level: a handful of operator sets, some metadata, at most some hundred local functions. */
const MAX_FIELDS = 100_000;
/** Field numbers of `ModelProto` and `StringStringEntryProto` (onnx.proto3). */
const METADATA_PROPS = 14;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;

/**
 * Reads `metadata_props` of an ONNX file by ranges: the graph is skipped by its length, so that a file of any size costs
 * a few small reads. ONNX Runtime's JavaScript sessions do not show them.
 * @throws SpeechError `FORMAT_INVALID` when the file is no protobuf message or is cut off.
 */
export async function readOnnxMetadata(source: ByteSource): Promise<Record<string, string>> {
  const metadata: Record<string, string> = {};
  const reader = windowReader(source);
  let position = 0;
  for (let fields = 0; position < source.sizeBytes; fields++) {
    if (fields === MAX_FIELDS) throw invalid(source, `at most ${MAX_FIELDS} fields in the model`, "more");
    const field = await readField(reader, source, position);
    if (field.number === METADATA_PROPS && field.wireType === 2) {
      const [key, value] = parseEntry(source, await entryBytes(source, field));
      metadata[key] = value;
    }
    position = field.end;
  }
  return metadata;
}

interface Field {
  readonly number: number;
  readonly wireType: number;
  /** Where the content stands, without tag and length. */
  readonly start: number;
  readonly end: number;
}

/** Gives the bytes from a position on, at least a tag and a length where the file has them. */
type HeaderReader = (position: number) => Promise<Uint8Array>;

function windowReader(source: ByteSource): HeaderReader {
  let start = 0;
  let window: Uint8Array = new Uint8Array(0);
  return async (position) => {
    const wanted = Math.min(source.sizeBytes, position + 20);
    if (position < start || wanted > start + window.length) {
      start = position;
      window = await source.read(position, Math.min(source.sizeBytes, position + WINDOW_BYTES));
    }
    return window.subarray(position - start);
  };
}

async function readField(read: HeaderReader, source: ByteSource, position: number): Promise<Field> {
  const header = await read(position);
  const field = parseField(header, 0);
  if (!field || field.number === 0 || position + field.end > source.sizeBytes) {
    throw invalid(source, "an ONNX model (a protobuf message)", `no complete field at byte ${position}`);
  }
  return { ...field, start: position + field.start, end: position + field.end };
}

async function entryBytes(source: ByteSource, field: Field): Promise<Uint8Array> {
  const sizeBytes = field.end - field.start;
  if (sizeBytes > MAX_ENTRY_BYTES) {
    throw invalid(source, `metadata entries of at most ${MAX_ENTRY_BYTES} bytes`, `one of ${sizeBytes}`);
  }
  return source.read(field.start, field.end);
}

/** Key and value of a `StringStringEntryProto`. */
function parseEntry(source: ByteSource, bytes: Uint8Array): [string, string] {
  const decoder = new TextDecoder();
  let key = "";
  let value = "";
  for (let position = 0; position < bytes.length; ) {
    const field = parseField(bytes, position);
    if (!field || field.end > bytes.length) throw invalid(source, "complete metadata entries", "one that is cut off");
    if (field.wireType === 2 && field.number === ENTRY_KEY)
      key = decoder.decode(bytes.subarray(field.start, field.end));
    if (field.wireType === 2 && field.number === ENTRY_VALUE) {
      value = decoder.decode(bytes.subarray(field.start, field.end));
    }
    position = field.end;
  }
  return [key, value];
}

/** The field at `position`; its end may lie beyond the bytes. `undefined` when its header is no valid one. */
function parseField(bytes: Uint8Array, position: number): Field | undefined {
  const tag = parseVarint(bytes, position);
  if (!tag) return undefined;
  const number = Math.floor(tag.value / 8);
  const wireType = tag.value % 8;
  if (wireType === 0) {
    const value = parseVarint(bytes, tag.end);
    return value && { number, wireType, start: tag.end, end: value.end };
  }
  if (wireType === 1) return { number, wireType, start: tag.end, end: tag.end + 8 };
  if (wireType === 5) return { number, wireType, start: tag.end, end: tag.end + 4 };
  if (wireType !== 2) return undefined;
  const length = parseVarint(bytes, tag.end);
  return length && { number, wireType, start: length.end, end: length.end + length.value };
}

/** A base-128 number of at most ten bytes; loses precision beyond 2^53, where no length can be. */
function parseVarint(bytes: Uint8Array, position: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 10 && position + i < bytes.length; i++) {
    const byte = bytes[position + i];
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: position + i + 1 };
  }
  return undefined;
}

function invalid(source: ByteSource, expected: string, got: string): SpeechError {
  return new SpeechError(
    "FORMAT_INVALID",
    `${source.name}: expected ${expected}, got ${got}. The file is truncated or corrupt.`,
  );
}
