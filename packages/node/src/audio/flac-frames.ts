import type { ByteSource } from "@nemo-stt/core";

/** What a FLAC stream has in common in all its frames. */
export interface FlacShape {
  readonly sampleRateHz: number;
  readonly numChannels: number;
  readonly bitsPerSample: number;
}

/** One frame of a FLAC file, as it stands there. */
export interface FlacFrame {
  readonly bytes: Uint8Array;
  /** Of its first sample, counted from the stream's start. */
  readonly startSample: number;
  readonly numSamples: number;
  /** Whether its checksum is right; a damaged frame is not worth decoding. */
  readonly isSound: boolean;
}

/** The header of a frame (RFC 9639, section 9.1). */
interface FlacHeader {
  readonly sizeBytes: number;
  readonly numSamples: number;
  /** The frame's number, or its first sample's where block sizes vary. */
  readonly number: number;
  readonly isVariable: boolean;
}

/** Sync code to checksum, at most. */
const MAX_HEADER_BYTES = 16;
const READ_BYTES = 65_536;

/**
 * Splits the frames of a FLAC file, which `source` begins with. A frame ends where the next header stands: one of the same shape with
 * a right checksum that counts on from this one. So a damaged frame costs only itself, and every byte is looked at once.
 */
export async function* readFlacFrames(
  source: ByteSource,
  shape: FlacShape,
): AsyncGenerator<FlacFrame, void, undefined> {
  const buffer = slidingBuffer(source);
  // The size of blocks where it is fixed: that of the first frame, since the last may be shorter.
  let fixedSamples: number | undefined;
  let header = await nextHeader(buffer, shape, undefined);
  while (header) {
    fixedSamples ??= header.numSamples;
    const startSample = header.isVariable ? header.number : header.number * fixedSamples;
    const scan = await scanFrame(buffer, shape, header);
    if (scan.isCut) return;
    yield { bytes: scan.bytes, startSample, numSamples: header.numSamples, isSound: scan.isSound };
    header = scan.next ?? (await nextHeader(buffer, shape, header));
  }
}

/** Moves the buffer to the first header that can follow `last`. */
async function nextHeader(
  buffer: SlidingBuffer,
  shape: FlacShape,
  last: FlacHeader | undefined,
): Promise<FlacHeader | undefined> {
  for (;;) {
    const bytes = await buffer.atLeast(READ_BYTES);
    if (bytes.length < MAX_HEADER_BYTES / 2) return undefined;
    for (let at = 0; at < Math.max(1, bytes.length - MAX_HEADER_BYTES); at++) {
      const header = parseHeader(bytes, at, shape);
      if (header && (!last || header.number > last.number)) {
        buffer.advance(at);
        return header;
      }
    }
    buffer.advance(Math.max(1, bytes.length - MAX_HEADER_BYTES));
  }
}

interface ScannedFrame {
  readonly bytes: Uint8Array;
  readonly isSound: boolean;
  /** The file ends within it. */
  readonly isCut: boolean;
  readonly next: FlacHeader | undefined;
}

/** Takes the frame that begins at the buffer's start; `next` is the header that ended it. */
async function scanFrame(buffer: SlidingBuffer, shape: FlacShape, header: FlacHeader): Promise<ScannedFrame> {
  const maxBytes = maxFrameBytes(header.numSamples, shape);
  let crc = 0;
  let at = 0;
  for (let wanted = READ_BYTES; ; wanted *= 2) {
    const bytes = await buffer.atLeast(Math.min(wanted, maxBytes + MAX_HEADER_BYTES));
    const isAll = bytes.length < wanted;
    const end = Math.min(maxBytes, isAll ? bytes.length : bytes.length - MAX_HEADER_BYTES);
    for (; at < end; at++) {
      if (at >= header.sizeBytes + 2 && bytes[at] === 0xff) {
        const next = parseHeader(bytes, at, shape);
        if (next && (crc === 0 || followsOn(header, next))) {
          return { bytes: buffer.take(at), isSound: crc === 0, isCut: false, next };
        }
      }
      crc = ((crc << 8) ^ CRC16_TABLE[(crc >> 8) ^ bytes[at]]) & 0xffff;
    }
    if (isAll || at >= maxBytes) {
      const isCut = isAll && at === bytes.length && crc !== 0;
      return { bytes: buffer.take(at), isSound: crc === 0, isCut, next: undefined };
    }
  }
}

function followsOn(header: FlacHeader, next: FlacHeader): boolean {
  return (
    next.isVariable === header.isVariable && next.number === header.number + (header.isVariable ? header.numSamples : 1)
  );
}

/** Samples stored as they are, with a bit more for the difference of two channels, and the headers. */
function maxFrameBytes(numSamples: number, { numChannels, bitsPerSample }: FlacShape): number {
  return Math.ceil((numSamples * numChannels * (bitsPerSample + 1)) / 8) + 64 * numChannels;
}

const BLOCK_SAMPLES = [0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768];
const RATES_HZ = [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
const SAMPLE_BITS = [0, 8, 12, -1, 16, 20, 24, 32];

/** The header at a position, if a right one of this shape stands there. */
function parseHeader(bytes: Uint8Array, start: number, shape: FlacShape): FlacHeader | undefined {
  if (bytes[start] !== 0xff || (bytes[start + 1] & 0xfe) !== 0xf8) return undefined;
  const [blockCode, rateCode] = [bytes[start + 2] >> 4, bytes[start + 2] & 15];
  const [channelCode, bitsCode] = [bytes[start + 3] >> 4, (bytes[start + 3] >> 1) & 7];
  const numChannels = channelCode < 8 ? channelCode + 1 : 2;
  const bits = SAMPLE_BITS[bitsCode] || shape.bitsPerSample;
  const isShape = numChannels === shape.numChannels && channelCode <= 10 && bits === shape.bitsPerSample;
  if (!isShape || blockCode === 0 || rateCode === 15 || bytes[start + 3] & 1) return undefined;
  const number = parseNumber(bytes, start + 4);
  if (!number) return undefined;
  let at = number.end;
  let numSamples = blockCode >= 2 && blockCode <= 5 ? 576 << (blockCode - 2) : BLOCK_SAMPLES[blockCode];
  if (blockCode === 6) numSamples = bytes[at++] + 1;
  if (blockCode === 7) numSamples = ((bytes[at++] << 8) | bytes[at++]) + 1;
  let rateHz = RATES_HZ[rateCode] || shape.sampleRateHz;
  if (rateCode === 12) rateHz = bytes[at++] * 1000;
  if (rateCode === 13) rateHz = (bytes[at++] << 8) | bytes[at++];
  if (rateCode === 14) rateHz = ((bytes[at++] << 8) | bytes[at++]) * 10;
  if (rateHz !== shape.sampleRateHz || at >= bytes.length || crc8(bytes, start, at) !== bytes[at]) return undefined;
  const isVariable = (bytes[start + 1] & 1) !== 0;
  return { sizeBytes: at + 1 - start, numSamples, number: number.value, isVariable };
}

/** A number of up to 36 bits in the manner of UTF-8 (RFC 9639, section 9.1.5). */
function parseNumber(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  const first = bytes[start];
  if (first < 0x80) return { value: first, end: start + 1 };
  const numOnes = Math.clz32(~(first << 24));
  if (numOnes < 2 || numOnes > 7) return undefined;
  let value = first & (0x7f >> numOnes);
  for (let i = 1; i < numOnes; i++) {
    const byte = bytes[start + i];
    if ((byte & 0xc0) !== 0x80) return undefined;
    value = value * 64 + (byte & 0x3f);
  }
  return { value, end: start + numOnes };
}

/** Polynomial x^8 + x^2 + x + 1. */
function crc8(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let at = start; at < end; at++) {
    crc ^= bytes[at];
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
  }
  return crc;
}

/** Polynomial x^16 + x^15 + x^2 + 1; zero over a whole frame with its own checksum. */
const CRC16_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x8005 : 0)) & 0xffff;
  return crc;
});

/** The bytes of a source from a position that moves forward. */
interface SlidingBuffer {
  /** At least so many bytes from the position, fewer only at the end of the source. */
  atLeast(numBytes: number): Promise<Uint8Array>;
  advance(numBytes: number): void;
  /** Advances over bytes and gives them, as a view. */
  take(numBytes: number): Uint8Array;
}

function slidingBuffer(source: ByteSource): SlidingBuffer {
  let bytes: Uint8Array = new Uint8Array(0);
  let end = 0;
  const self: SlidingBuffer = {
    async atLeast(numBytes) {
      const missing = numBytes - bytes.length;
      if (missing <= 0 || end === source.sizeBytes) return bytes;
      const more = await source.read(end, Math.min(source.sizeBytes, end + Math.max(missing, READ_BYTES)));
      end += more.length;
      bytes = bytes.length === 0 ? more : Buffer.concat([bytes, more]);
      return bytes;
    },
    advance(numBytes) {
      bytes = bytes.subarray(numBytes);
    },
    take(numBytes) {
      const taken = bytes.subarray(0, numBytes);
      self.advance(numBytes);
      return taken;
    },
  };
  return self;
}
