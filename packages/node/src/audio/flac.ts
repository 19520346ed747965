import { type ByteSource, SpeechError, sliceSource } from "@nemo-stt/core";
import { callDecoder, checkShape, type DecodedAudio, type Warn, warnIfShort } from "./decoded.ts";
import { readFlacFrames } from "./flac-frames.ts";
import { id3v1Bytes } from "./id3.ts";
import { silence } from "./silence.ts";

/** `fLaC`, the header of the first metadata block, and STREAMINFO (RFC 9639, section 8.2). */
const FLAC_HEAD_BYTES = 4 + 4 + 34;
/** A file has some ten blocks; pictures and cue sheets are single blocks. */
const MAX_METADATA_BLOCKS = 1000;
/** Longer gaps are not filled: a wrong number in a header would ask for days of silence. */
const MAX_GAP_SEC = 60;

/** What STREAMINFO says. */
export interface FlacInfo {
  readonly sampleRateHz: number;
  readonly numChannels: number;
  readonly bitsPerSample: number;
  readonly numSamples?: number;
}

/** Opens a FLAC file whose `fLaC` stands at `start` (tags of other formats may stand before it). */
export async function openFlac(source: ByteSource, start: number): Promise<DecodedAudio> {
  const head = await source.read(start, Math.min(source.sizeBytes, start + FLAC_HEAD_BYTES));
  const info = parseFlacHead(source.name, head);
  const audioStart = await skipMetadata(source, start);
  const audio = { format: "FLAC", ...info };
  const frames = sliceSource(source, audioStart, Math.max(audioStart, source.sizeBytes - (await id3v1Bytes(source))));
  return { ...audio, blocks: (warn) => decodeFlac(frames, info, warn) };
}

/**
 * Parses `fLaC` and STREAMINFO.
 * @throws SpeechError `AUDIO_INVALID`.
 */
export function parseFlacHead(name: string, head: Uint8Array): FlacInfo {
  // The type of the first block, without its bit for the last block, is STREAMINFO's 0.
  if (head.length < FLAC_HEAD_BYTES || (head[4] & 0x7f) !== 0) {
    const got = head.length < FLAC_HEAD_BYTES ? "the end of the file" : "another block";
    const text = `${name}: expected FLAC to begin with its STREAMINFO block, got ${got}. The file is damaged.`;
    throw new SpeechError("AUDIO_INVALID", text);
  }
  const view = new DataView(head.buffer, head.byteOffset + 8, 34);
  const bits = view.getUint32(10);
  const sampleRateHz = bits >>> 12;
  const numChannels = ((bits >>> 9) & 7) + 1;
  const bitsPerSample = ((bits >>> 4) & 31) + 1;
  const numSamples = (bits & 15) * 2 ** 32 + view.getUint32(14);
  checkShape(name, sampleRateHz, numChannels);
  return { sampleRateHz, numChannels, bitsPerSample, numSamples: numSamples === 0 ? undefined : numSamples };
}

async function skipMetadata(source: ByteSource, start: number): Promise<number> {
  let position = start + 4;
  for (let i = 0; i < MAX_METADATA_BLOCKS && position + 4 <= source.sizeBytes; i++) {
    const header = await source.read(position, position + 4);
    position += 4 + header[1] * 65_536 + header[2] * 256 + header[3];
    if (header[0] & 0x80) break;
  }
  return Math.min(position, source.sizeBytes);
}

/** Decodes frame by frame; damaged and missing frames become silence, so that the times after them stay right. */
async function* decodeFlac(
  frames: ByteSource,
  info: FlacInfo,
  warn: Warn,
): AsyncGenerator<Float32Array[], void, undefined> {
  const decoder = await flacDecoder(frames.name, info);
  let numDecoded = 0;
  try {
    for await (const frame of readFlacFrames(frames, info)) {
      const numMissing = numDecoded === 0 ? 0 : Math.max(0, frame.startSample - numDecoded);
      const sound = frame.isSound ? await decoder.decode(frame.bytes) : undefined;
      if (!sound || numMissing > 0) warn("Parts of it are damaged and were taken as silence.");
      if (numMissing <= MAX_GAP_SEC * info.sampleRateHz) {
        numDecoded += numMissing;
        yield* silence(info.numChannels, numMissing);
      }
      numDecoded += sound ? sound[0].length : frame.numSamples;
      if (sound) yield sound;
      else yield* silence(info.numChannels, frame.numSamples);
    }
    warnIfShort(warn, info, numDecoded);
  } finally {
    decoder.free();
  }
}

/** libFLAC's remark about a frame whose number does not follow the last one's; the frame itself is good. */
const AFTER_A_GAP = "STATUS_MISSING_FRAME";

/** Decodes frames one at a time. */
export interface FlacDecoder {
  /** One array for each channel; `undefined` when the frame cannot be decoded. */
  decode(frame: Uint8Array): Promise<Float32Array[] | undefined>;
  free(): void;
}

/** A FLAC decoder whose samples are exactly `integer / 2^(bits - 1)`, as libsndfile gives them. */
export async function flacDecoder(name: string, { bitsPerSample, numChannels }: FlacInfo): Promise<FlacDecoder> {
  const { FLACDecoder } = await import("@wasm-audio-decoders/flac");
  const decoder = new FLACDecoder();
  await decoder.ready;
  return {
    async decode(frame) {
      const decoded = await callDecoder(name, () => decoder.decodeFrames([frame]));
      const { channelData, samplesDecoded, errors } = decoded;
      const isDamaged = errors.some(({ message }) => !message.includes(AFTER_A_GAP));
      if (isDamaged || samplesDecoded === 0 || channelData.length !== numChannels) return undefined;
      for (const channel of channelData) restoreIntegers(channel, bitsPerSample);
      return channelData;
    },
    free: () => decoder.free(),
  };
}

/**
 * The library divides by `2^(bits - 1) - 1`; rounding undoes it exactly up to 24 bits, which is all that a float holds.
 * In place.
 */
function restoreIntegers(samples: Float32Array, bitsPerSample: number): void {
  const half = 2 ** (bitsPerSample - 1);
  for (let i = 0; i < samples.length; i++) samples[i] = Math.round(samples[i] * (half - 1)) / half;
}
