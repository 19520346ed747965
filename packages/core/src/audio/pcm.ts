import { A_LAW_VALUES, aLawByte, MU_LAW_VALUES, muLawByte } from "./g711.ts";

/** How samples stand in bytes: signed, unsigned or floating, bits, byte order; G.711's two laws. */
export type SampleEncoding =
  | "u8"
  | "s8"
  | "s16le"
  | "s16be"
  | "s24le"
  | "s24be"
  | "s32le"
  | "s32be"
  | "f32le"
  | "f32be"
  | "f64le"
  | "f64be"
  | "ulaw"
  | "alaw";

interface Codec {
  readonly bytes: number;
  /** The sample at a byte of the view, in [-1, 1] as libsndfile scales it. */
  read(view: DataView, at: number): number;
  write(view: DataView, at: number, value: number): void;
}

const integer = (value: number, scale: number): number =>
  Math.max(-scale, Math.min(scale - 1, Math.round(value * scale))) || 0;

function int24(view: DataView, at: number, isLittle: boolean): number {
  const low = view.getUint8(isLittle ? at : at + 2);
  const high = view.getInt8(isLittle ? at + 2 : at);
  return (high << 16) | (view.getUint8(at + 1) << 8) | low;
}

function setInt24(view: DataView, at: number, value: number, isLittle: boolean): void {
  view.setUint8(isLittle ? at : at + 2, value & 0xff);
  view.setUint8(at + 1, (value >> 8) & 0xff);
  view.setUint8(isLittle ? at + 2 : at, (value >> 16) & 0xff);
}

const int16Codec = (isLittle: boolean): Codec => ({
  bytes: 2,
  read: (view, at) => view.getInt16(at, isLittle) / 0x8000,
  write: (view, at, value) => view.setInt16(at, integer(value, 0x8000), isLittle),
});
const int24Codec = (isLittle: boolean): Codec => ({
  bytes: 3,
  read: (view, at) => int24(view, at, isLittle) / 0x800000,
  write: (view, at, value) => setInt24(view, at, integer(value, 0x800000), isLittle),
});
const int32Codec = (isLittle: boolean): Codec => ({
  bytes: 4,
  read: (view, at) => view.getInt32(at, isLittle) / 0x80000000,
  write: (view, at, value) => view.setInt32(at, integer(value, 0x80000000), isLittle),
});
const float32Codec = (isLittle: boolean): Codec => ({
  bytes: 4,
  read: (view, at) => view.getFloat32(at, isLittle),
  write: (view, at, value) => view.setFloat32(at, value, isLittle),
});
const float64Codec = (isLittle: boolean): Codec => ({
  bytes: 8,
  read: (view, at) => view.getFloat64(at, isLittle),
  write: (view, at, value) => view.setFloat64(at, value, isLittle),
});
const tableCodec = (values: Int16Array, byteOf: (value: number) => number): Codec => ({
  bytes: 1,
  read: (view, at) => values[view.getUint8(at)] / 0x8000,
  write: (view, at, value) => view.setUint8(at, byteOf(integer(value, 0x8000))),
});

const CODECS: Readonly<Record<SampleEncoding, Codec>> = {
  u8: {
    bytes: 1,
    read: (view, at) => (view.getUint8(at) - 128) / 128,
    write: (view, at, value) => view.setUint8(at, integer(value, 128) + 128),
  },
  s8: {
    bytes: 1,
    read: (view, at) => view.getInt8(at) / 128,
    write: (view, at, value) => view.setInt8(at, integer(value, 128)),
  },
  s16le: int16Codec(true),
  s16be: int16Codec(false),
  s24le: int24Codec(true),
  s24be: int24Codec(false),
  s32le: int32Codec(true),
  s32be: int32Codec(false),
  f32le: float32Codec(true),
  f32be: float32Codec(false),
  f64le: float64Codec(true),
  f64be: float64Codec(false),
  ulaw: tableCodec(MU_LAW_VALUES, muLawByte),
  alaw: tableCodec(A_LAW_VALUES, aLawByte),
};

/** Every encoding, in the order of the type. */
export const SAMPLE_ENCODINGS = Object.keys(CODECS) as readonly SampleEncoding[];

/** Bytes of one sample. */
export function sampleBytes(encoding: SampleEncoding): number {
  return CODECS[encoding].bytes;
}

/**
 * Decodes interleaved samples into one array for each channel, scaled as libsndfile (and so NeMo) does: integers by their
 * full scale, 16 bits by 32768; floating samples as they are. Bytes behind the last whole sample of all channels are left.
 */
export function decodeSamples(bytes: Uint8Array, encoding: SampleEncoding, numChannels = 1): Float32Array[] {
  const { bytes: size, read } = CODECS[encoding];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numSamples = Math.floor(bytes.length / (size * numChannels));
  return Array.from({ length: numChannels }, (_, c) => {
    const channel = new Float32Array(numSamples);
    const stride = size * numChannels;
    for (let i = 0, at = c * size; i < numSamples; i++, at += stride) channel[i] = read(view, at);
    return channel;
  });
}

/** Encodes channels of one length as interleaved samples: rounded and limited to full scale; what is no number is zero. */
export function encodeSamples(channels: readonly Float32Array[], encoding: SampleEncoding): Uint8Array {
  const { bytes: size, write } = CODECS[encoding];
  const numSamples = channels[0]?.length ?? 0;
  if (channels.some((channel) => channel.length !== numSamples)) {
    const lengths = channels.map((channel) => channel.length).join(", ");
    throw new RangeError(`encodeSamples: expected channels of one length, got ${lengths}.`);
  }
  const bytes = new Uint8Array(numSamples * channels.length * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0, at = 0; i < numSamples; i++) {
    for (let c = 0; c < channels.length; c++, at += size) write(view, at, channels[c][i]);
  }
  return bytes;
}

/** Decodes a stream of bytes whose packets may end inside a sample. */
export interface SampleDecoder {
  /** Takes bytes and gives the samples that are whole, one array for each channel. */
  feed(bytes: Uint8Array): Float32Array[];
  /** Bytes of a sample that has begun; at the end of a stream they are lost. */
  readonly numPendingBytes: number;
}

/** Creates a decoder for a stream of interleaved samples. */
export function createSampleDecoder(encoding: SampleEncoding, numChannels = 1): SampleDecoder {
  const frameBytes = sampleBytes(encoding) * numChannels;
  let pending = new Uint8Array(0);
  return {
    feed(bytes) {
      const all = pending.length === 0 ? bytes : joined(pending, bytes);
      const whole = all.length - (all.length % frameBytes);
      pending = all.slice(whole);
      return decodeSamples(all.subarray(0, whole), encoding, numChannels);
    },
    get numPendingBytes() {
      return pending.length;
    },
  };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
