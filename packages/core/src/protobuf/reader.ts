import { SpeechError } from "../errors.ts";

/** A range of bytes that holds one protobuf message. Nothing is copied. */
export interface ProtoMessage {
  /** What to call it in errors. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** How a field's value lies on the wire. Groups are not read: nothing here uses them. */
export type WireKind = "varint" | "fixed64" | "bytes" | "fixed32";

/** One field of a message; its value is read by the `field…` functions. */
export interface ProtoField {
  readonly number: number;
  readonly kind: WireKind;
  /** The message it stands in. */
  readonly message: ProtoMessage;
  /** Range of the value, without tag and length. */
  readonly start: number;
  readonly end: number;
}

/** Wire types of the protobuf encoding (https://protobuf.dev/programming-guides/encoding). */
const KINDS: Readonly<Record<number, WireKind>> = { 0: "varint", 1: "fixed64", 2: "bytes", 5: "fixed32" };

/** The largest field number that protobuf allows. */
const MAX_FIELD_NUMBER = 2 ** 29 - 1;

// Core has no DOM types; this is the part of the Web's TextDecoder that is used here.
declare const TextDecoder: new (
  label: string,
  options: { fatal: boolean; ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The whole of `bytes` as a message. */
export function protoMessage(bytes: Uint8Array, name: string): ProtoMessage {
  return { name, bytes, start: 0, end: bytes.byteLength };
}

/**
 * The fields of a message in the order of the wire, each checked to lie inside the message.
 *
 * Time is linear in the message; nested messages cost nothing until they are opened by `fieldMessage`.
 * @throws SpeechError `FORMAT_INVALID` where the bytes are no message.
 */
export function* protoFields(message: ProtoMessage): Generator<ProtoField, void, undefined> {
  let at = message.start;
  while (at < message.end) {
    const tagAt = at;
    const afterTag = skipVarint(message, at);
    const tag = varintNumber(message, at, afterTag);
    const number = Math.floor(tag / 8);
    const kind = KINDS[tag % 8];
    if (number < 1 || number > MAX_FIELD_NUMBER || kind === undefined) {
      throw invalid(message, tagAt, `a field tag, got field ${number} of wire type ${tag % 8}`);
    }
    let start = afterTag;
    let end: number;
    if (kind === "varint") end = skipVarint(message, start);
    else if (kind === "fixed32") end = start + 4;
    else if (kind === "fixed64") end = start + 8;
    else {
      start = skipVarint(message, afterTag);
      end = start + varintNumber(message, afterTag, start);
    }
    if (end > message.end) {
      throw invalid(message, tagAt, `field ${number} to end by byte ${message.end}, got an end at byte ${end}`);
    }
    yield { number, kind, message, start, end };
    at = end;
  }
}

/** The nested message of a field. */
export function fieldMessage(field: ProtoField, name = field.message.name): ProtoMessage {
  expectKind(field, "bytes");
  return { name, bytes: field.message.bytes, start: field.start, end: field.end };
}

/** The bytes of a field, as a view. */
export function fieldBytes(field: ProtoField): Uint8Array {
  expectKind(field, "bytes");
  return field.message.bytes.subarray(field.start, field.end);
}

/** The text of a field. */
export function fieldString(field: ProtoField): string {
  try {
    return utf8.decode(fieldBytes(field));
  } catch (cause) {
    if (cause instanceof SpeechError) throw cause;
    throw invalid(field.message, field.start, `UTF-8 text in field ${field.number}, got other bytes`, cause);
  }
}

/** The integer of a varint field (`int32`, `int64`, `uint64`, enum), negative values in two's complement. */
export function fieldInt(field: ProtoField): number {
  expectKind(field, "varint");
  return signedNumber(field, field.start, field.end);
}

/** The truth of a `bool` field. */
export function fieldBool(field: ProtoField): boolean {
  return fieldInt(field) !== 0;
}

/** The value of a `float` field. */
export function fieldFloat(field: ProtoField): number {
  expectKind(field, "fixed32");
  return viewOf(field).getFloat32(0, true);
}

/** The integers of a repeated field: one when it stands alone, all of them when it is packed. */
export function fieldInts(field: ProtoField): number[] {
  if (field.kind !== "bytes") return [fieldInt(field)];
  const values: number[] = [];
  const packed = fieldMessage(field);
  for (let at = packed.start; at < packed.end; ) {
    const next = skipVarint(packed, at);
    values.push(signedNumber(field, at, next));
    at = next;
  }
  return values;
}

function viewOf(field: ProtoField): DataView {
  const { bytes } = field.message;
  return new DataView(bytes.buffer, bytes.byteOffset + field.start, field.end - field.start);
}

/** One past the varint that starts at `at`. */
function skipVarint(message: ProtoMessage, at: number): number {
  const { bytes, end } = message;
  for (let i = at; i < at + 10; i++) {
    if (i >= end) throw invalid(message, at, `a varint to end by byte ${end}, got the end of the message`);
    if (bytes[i] < 0x80) return i + 1;
  }
  throw invalid(message, at, "a varint of at most 10 bytes, got a longer one");
}

/** An unsigned varint as a number; what exceeds 2^53 is larger than any length and any field number. */
function varintNumber(message: ProtoMessage, start: number, end: number): number {
  let value = 0;
  for (let i = end - 1; i >= start; i--) value = value * 128 + (message.bytes[i] & 0x7f);
  return value;
}

function signedNumber(field: ProtoField, start: number, end: number): number {
  if (end - start < 10) {
    const value = varintNumber(field.message, start, end);
    if (value <= Number.MAX_SAFE_INTEGER) return value;
  }
  let bits = 0n;
  for (let i = end - 1; i >= start; i--) bits = bits * 128n + BigInt(field.message.bytes[i] & 0x7f);
  const value = BigInt.asIntN(64, bits);
  if (!Number.isSafeInteger(Number(value))) {
    throw invalid(field.message, start, `an integer below 2^53 in field ${field.number}, got ${value}`);
  }
  return Number(value);
}

function expectKind(field: ProtoField, kind: WireKind): void {
  if (field.kind !== kind) {
    throw invalid(field.message, field.start, `field ${field.number} to be ${kind}, got ${field.kind}`);
  }
}

function invalid(message: ProtoMessage, at: number, expected: string, cause?: unknown): SpeechError {
  return new SpeechError(
    "FORMAT_INVALID",
    `${message.name}: expected ${expected}, at byte ${at}. The file is truncated or corrupt.`,
    { cause },
  );
}
