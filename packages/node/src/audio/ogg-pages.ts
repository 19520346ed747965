import type { ByteSource } from "@nemo-stt/core";
import type { Warn } from "./decoded.ts";

/** A page of an Ogg file (RFC 3533, section 6). */
export interface OggPage {
  /** The page as it stands in the file; a view that is valid until the next page is read. */
  readonly bytes: Uint8Array;
  readonly serial: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** The first segment belongs to the packet that the page before it began. */
  readonly isContinued: boolean;
  /** Position at the end of the page in the codec's own unit; -1 when no packet ends in it. */
  readonly granule: number;
  /** Lengths of the segments; a packet ends with the first below 255. */
  readonly segmentSizes: Uint8Array;
  readonly body: Uint8Array;
}

const HEADER_BYTES = 27;
/** 255 segments of 255 bytes. */
const MAX_PAGE_BYTES = HEADER_BYTES + 255 + 255 * 255;
const WINDOW_BYTES = 4 * MAX_PAGE_BYTES;
const CAPTURE = [0x4f, 0x67, 0x67, 0x53]; // OggS

/** Reads the pages of an Ogg file in order. What is no page, or has a wrong checksum, is left out with a warning. */
export async function* readOggPages(source: ByteSource, warn: Warn): AsyncGenerator<OggPage, void, undefined> {
  let window: Uint8Array = new Uint8Array(0);
  let windowStart = 0;
  for (let position = 0; position < source.sizeBytes; ) {
    const wanted = Math.min(source.sizeBytes, position + MAX_PAGE_BYTES);
    if (wanted > windowStart + window.length) {
      windowStart = position;
      window = await source.read(position, Math.min(source.sizeBytes, position + WINDOW_BYTES));
    }
    const bytes = window.subarray(position - windowStart);
    const page = parseOggPage(bytes);
    if (page) {
      position += page.bytes.length;
      yield page;
    } else {
      warn("Parts of it are damaged and were left out; times after them are early.");
      position += distanceToCapture(bytes);
    }
  }
}

/**
 * The position at the end of the last page of one stream, searched in the end of the file; `undefined` where another
 * file follows it in this one.
 */
export async function lastGranule(source: ByteSource, serial: number): Promise<number | undefined> {
  const start = Math.max(0, source.sizeBytes - 2 * MAX_PAGE_BYTES);
  const bytes = await source.read(start, source.sizeBytes);
  let granule: number | undefined;
  let isBeginning = start === 0;
  for (let at = 0; at < bytes.length; ) {
    const page = parseOggPage(bytes.subarray(at));
    if (page?.isFirst && !isBeginning) return undefined;
    if (page && page.serial === serial && page.granule >= 0) granule = page.granule;
    isBeginning &&= !page || page.isFirst;
    at += page ? page.bytes.length : distanceToCapture(bytes.subarray(at));
  }
  return granule;
}

/** The page that begins here, if it is whole and its checksum is right. */
export function parseOggPage(bytes: Uint8Array): OggPage | undefined {
  if (bytes.length < HEADER_BYTES || CAPTURE.some((value, i) => bytes[i] !== value) || bytes[4] !== 0) return undefined;
  const segmentsEnd = HEADER_BYTES + bytes[26];
  if (segmentsEnd > bytes.length) return undefined;
  const segmentSizes = bytes.subarray(HEADER_BYTES, segmentsEnd);
  const end = segmentSizes.reduce((sum, size) => sum + size, segmentsEnd);
  if (end > bytes.length) return undefined;
  const page = bytes.subarray(0, end);
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (oggChecksum(page) !== view.getUint32(22, true)) return undefined;
  return {
    bytes: page,
    isContinued: (bytes[5] & 1) !== 0,
    isFirst: (bytes[5] & 2) !== 0,
    isLast: (bytes[5] & 4) !== 0,
    granule: Number(view.getBigInt64(6, true)),
    serial: view.getUint32(14, true),
    segmentSizes,
    body: page.subarray(segmentsEnd),
  };
}

function distanceToCapture(bytes: Uint8Array): number {
  for (let at = 1; at < bytes.length; at++) {
    if (CAPTURE.every((value, i) => at + i >= bytes.length || bytes[at + i] === value)) return at;
  }
  return bytes.length;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  return crc >>> 0;
});

/** CRC-32 of a page with its own field taken as zero (RFC 3533: polynomial 0x04c11db7, not reflected, no inversion). */
export function oggChecksum(page: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < page.length; i++) {
    const byte = i >= 22 && i < 26 ? 0 : page[i];
    crc = ((crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]) >>> 0;
  }
  return crc;
}

/** Joins the segments of one stream's pages to packets. */
export function packetJoiner(): (page: OggPage) => Uint8Array[] {
  let parts: Uint8Array[] = [];
  return (page) => {
    const packets: Uint8Array[] = [];
    // The rest of a packet whose beginning was lost, or a beginning whose rest was lost, is no packet.
    let isDropped = page.isContinued && parts.length === 0;
    if (!page.isContinued) parts = [];
    let start = 0;
    let position = 0;
    for (const size of page.segmentSizes) {
      position += size;
      if (size === 255) continue;
      const packet = joinBytes([...parts, page.body.subarray(start, position)]);
      if (!isDropped) packets.push(packet);
      isDropped = false;
      parts = [];
      start = position;
    }
    if (start < position && !isDropped) parts.push(page.body.slice(start, position));
    return packets;
  };
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
