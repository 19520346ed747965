/** A growing buffer of protobuf fields. Only the functions of this file touch its members. */
export interface ProtoWriter {
  bytes: Uint8Array;
  length: number;
}

// Core has no DOM types; this is the part of the Web's TextEncoder that is used here.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };

const utf8 = new TextEncoder();

/** Protobuf's own limit on a message: lengths are signed 32-bit numbers in the reference implementation. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

/** An empty buffer. */
export function protoWriter(capacityBytes = 256): ProtoWriter {
  return { bytes: new Uint8Array(capacityBytes), length: 0 };
}

/** The bytes written so far, as a view: valid until the next write. */
export function writtenBytes(writer: ProtoWriter): Uint8Array {
  return writer.bytes.subarray(0, writer.length);
}

/** Writes a bare varint; negative values in two's complement (10 bytes), as protobuf writes `int32` and `int64`. */
export function writeVarint(writer: ProtoWriter, value: number | bigint): void {
  reserve(writer, 10);
  if (typeof value === "bigint" || value < 0) {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest >= 0x80n; rest >>= 7n) writer.bytes[writer.length++] = Number(rest & 0x7fn) | 0x80;
    writer.bytes[writer.length++] = Number(rest);
    return;
  }
  if (!Number.isSafeInteger(value)) throw new RangeError(`value must be a safe integer, got ${value}.`);
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) writer.bytes[writer.length++] = (rest % 128) | 0x80;
  writer.bytes[writer.length++] = rest;
}

/** The number of bytes that `writeVarint` takes for a value that is not negative. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes bytes as they are, without tag or length. */
export function writeRaw(writer: ProtoWriter, bytes: Uint8Array): void {
  reserve(writer, bytes.byteLength);
  writer.bytes.set(bytes, writer.length);
  writer.length += bytes.byteLength;
}

/** An `int32`, `int64`, `uint64`, `bool` or enum field. */
export function writeInt(writer: ProtoWriter, field: number, value: number | bigint): void {
  writeVarint(writer, field * 8);
  writeVarint(writer, value);
}

/** A `float` field. */
export function writeFloat(writer: ProtoWriter, field: number, value: number): void {
  writeVarint(writer, field * 8 + 5);
  reserve(writer, 4);
  new DataView(writer.bytes.buffer, writer.bytes.byteOffset + writer.length, 4).setFloat32(0, value, true);
  writer.length += 4;
}

/** The tag and length of a `bytes` or message field whose content the caller writes next, here or elsewhere. */
export function writeLength(writer: ProtoWriter, field: number, lengthBytes: number): void {
  writeVarint(writer, field * 8 + 2);
  writeVarint(writer, lengthBytes);
}

/** A `bytes` field. */
export function writeBytes(writer: ProtoWriter, field: number, bytes: Uint8Array): void {
  writeLength(writer, field, bytes.byteLength);
  writeRaw(writer, bytes);
}

/** A `string` field. */
export function writeString(writer: ProtoWriter, field: number, text: string): void {
  writeBytes(writer, field, utf8.encode(text));
}

/** A packed `repeated int32` or `int64` field; nothing when there are no values. */
export function writePackedInts(writer: ProtoWriter, field: number, values: ArrayLike<number>): void {
  if (values.length === 0) return;
  writeMessage(writer, field, () => {
    for (let i = 0; i < values.length; i++) writeVarint(writer, values[i]);
  });
}

/** A packed `repeated float` field; nothing when there are no values. */
export function writePackedFloats(writer: ProtoWriter, field: number, values: ArrayLike<number>): void {
  if (values.length === 0) return;
  writeLength(writer, field, values.length * 4);
  reserve(writer, values.length * 4);
  const view = new DataView(writer.bytes.buffer, writer.bytes.byteOffset + writer.length, values.length * 4);
  for (let i = 0; i < values.length; i++) view.setFloat32(i * 4, values[i], true);
  writer.length += values.length * 4;
}

/** A nested message: whatever `build` writes into the same writer becomes its content. */
export function writeMessage(writer: ProtoWriter, field: number, build: () => void): void {
  writeVarint(writer, field * 8 + 2);
  const start = writer.length;
  build();
  const size = writer.length - start;
  const sizeOfSize = varintSize(size);
  reserve(writer, 10); // as writeVarint below asks for, which must not find the buffer too small and move it
  writer.bytes.copyWithin(start + sizeOfSize, start, start + size);
  writer.length = start;
  writeVarint(writer, size);
  writer.length = start + sizeOfSize + size;
}

function reserve(writer: ProtoWriter, numBytes: number): void {
  const needed = writer.length + numBytes;
  if (needed <= writer.bytes.byteLength) return;
  if (needed > MAX_MESSAGE_BYTES) {
    throw new RangeError(`a protobuf message must stay below 2 GiB, got ${needed} bytes. Use external data.`);
  }
  const grown = new Uint8Array(Math.min(Math.max(needed, writer.bytes.byteLength * 2), MAX_MESSAGE_BYTES));
  grown.set(writtenBytes(writer));
  writer.bytes = grown;
}
