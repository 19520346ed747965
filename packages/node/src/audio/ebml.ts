import type { ByteSource } from "@nemo-stt/core";

/** An element of a Matroska file (RFC 8794, section 6). */
export interface EbmlElement {
  readonly id: number;
  /** Where its content stands. */
  readonly start: number;
  /** Beyond the file where it is cut off; the file's end where the size was left open, as live recordings do. */
  readonly end: number;
}

/** Reads some bytes from a position on, fewer at the end of the source. */
export type ReadAt = (position: number, numBytes: number) => Promise<Uint8Array>;

const WINDOW_BYTES = 65_536;
/** An id of four bytes and a size of eight. */
const MAX_HEADER_BYTES = 12;

/** A reader that keeps a window of the source, for many small reads that go forward. */
export function windowReader(source: ByteSource): ReadAt {
  let window: Uint8Array = new Uint8Array(0);
  let windowStart = 0;
  return async (position, numBytes) => {
    const end = Math.min(source.sizeBytes, position + numBytes);
    if (position < windowStart || end > windowStart + window.length) {
      windowStart = position;
      window = await source.read(position, Math.min(source.sizeBytes, position + Math.max(numBytes, WINDOW_BYTES)));
    }
    return window.subarray(position - windowStart, end - windowStart);
  };
}

/** The element at a position; `undefined` when none can stand there. */
export async function readElement(read: ReadAt, position: number, sizeBytes: number): Promise<EbmlElement | undefined> {
  const bytes = await read(position, MAX_HEADER_BYTES);
  const id = parseVint(bytes, 0, true);
  const size = id && id.length <= 4 ? parseVint(bytes, id.length, false) : undefined;
  if (!id || !size) return undefined;
  const start = position + id.length + size.length;
  // All ones: the size is unknown.
  const isOpen = size.value === 2 ** (7 * size.length) - 1;
  return { id: id.value, start, end: isOpen ? sizeBytes : start + size.value };
}

/** A number whose first byte tells its length; ids keep that mark, sizes and track numbers lose it. */
export function parseVint(
  bytes: Uint8Array,
  at: number,
  keepsMark: boolean,
): { value: number; length: number } | undefined {
  const first = bytes[at];
  if (!first) return undefined; // Beyond the end, or a length of more than eight bytes.
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return undefined;
  let value = keepsMark ? first : first & (0xff >> length);
  for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i];
  return { value, length };
}

/** The elements that some bytes are made of, as long as they are right. */
export function* parseElements(bytes: Uint8Array): Generator<{ id: number; content: Uint8Array }, void, undefined> {
  for (let at = 0; at < bytes.length; ) {
    const id = parseVint(bytes, at, true);
    const size = id && parseVint(bytes, at + id.length, false);
    if (!id || !size) return;
    const start = at + id.length + size.length;
    at = start + size.value;
    yield { id: id.value, content: bytes.subarray(start, at) };
  }
}

/** A big-endian number of up to eight bytes. */
export function parseUnsigned(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}
