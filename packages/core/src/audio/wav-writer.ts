import { encodeSamples, sampleBytes } from "./pcm.ts";

/** How a recording is written. */
export interface WavOptions {
  readonly sampleRateHz: number;
  readonly encoding: "s16le" | "ulaw";
}

/** What writers put for sizes that they do not know yet. */
const UNKNOWN_BYTES = 0xffffffff;
const TAGS = { s16le: 0x0001, ulaw: 0x0007 } as const;

/**
 * The header of a WAV file of `numSamples` for each channel; without a number, of a stream whose length nobody knows yet.
 * Encoded samples (`encodeSamples`) follow, and one zero byte when their bytes are an odd number.
 * @throws RangeError when the file would be larger than the 4 GB that the format can tell, or for another encoding.
 */
export function wavHeader(options: WavOptions, numChannels: number, numSamples?: number): Uint8Array {
  const { sampleRateHz, encoding } = options;
  // JavaScript may ask for any.
  if (!Object.hasOwn(TAGS, encoding))
    throw new RangeError(
      `wavHeader: expected the encoding s16le or ulaw, got ${String(encoding)}. Choose one of them, or write a raw file.`,
    );
  const frameBytes = sampleBytes(encoding) * numChannels;
  const isPcm = encoding === "s16le";
  // Formats other than PCM have an (empty) extension and tell the number of samples in a chunk of its own.
  const formatBytes = isPcm ? 16 : 18;
  const factBytes = isPcm ? 0 : 12;
  const headerBytes = 12 + 8 + formatBytes + factBytes + 8;
  const dataBytes = numSamples === undefined ? UNKNOWN_BYTES : numSamples * frameBytes;
  const riffBytes = numSamples === undefined ? UNKNOWN_BYTES : headerBytes - 8 + dataBytes + (dataBytes % 2);
  if (riffBytes > UNKNOWN_BYTES) {
    throw new RangeError(`wavHeader: expected at most 4 GB of samples, got ${dataBytes} bytes.`);
  }
  const bytes = new Uint8Array(headerBytes);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const text = (value: string) => {
    for (const character of value) bytes[at++] = character.charCodeAt(0);
  };
  const chunk = (id: string, sizeBytes: number) => {
    text(id);
    view.setUint32(at, sizeBytes, true);
    at += 4;
  };
  chunk("RIFF", riffBytes);
  text("WAVE");
  chunk("fmt ", formatBytes);
  view.setUint16(at, TAGS[encoding], true);
  view.setUint16(at + 2, numChannels, true);
  view.setUint32(at + 4, sampleRateHz, true);
  view.setUint32(at + 8, sampleRateHz * frameBytes, true);
  view.setUint16(at + 12, frameBytes, true);
  view.setUint16(at + 14, 8 * sampleBytes(encoding), true);
  at += formatBytes;
  if (!isPcm) {
    chunk("fact", 4);
    view.setUint32(at, numSamples ?? UNKNOWN_BYTES, true);
    at += 4;
  }
  chunk("data", dataBytes);
  return bytes;
}

/**
 * A complete WAV file of channels of one length.
 * @throws RangeError as `wavHeader` does
 */
export function encodeWav(channels: readonly Float32Array[], options: WavOptions): Uint8Array {
  const header = wavHeader(options, channels.length, channels[0]?.length ?? 0);
  const samples = encodeSamples(channels, options.encoding);
  const bytes = new Uint8Array(header.length + samples.length + (samples.length % 2));
  bytes.set(header);
  bytes.set(samples, header.length);
  return bytes;
}
