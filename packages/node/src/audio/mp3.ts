import { type ByteSource, SpeechError } from "@nemo-stt/core";
import type { MPEGDecodedAudio } from "mpg123-decoder";
import {
  callDecoder,
  checkSameShape,
  checkShape,
  type DecodedAudio,
  READ_BYTES,
  warnIfShort,
  warnOfErrors,
} from "./decoded.ts";
import { id3v1Bytes } from "./id3.ts";
import { findMpegFrame, type MpegFrame } from "./mpeg-frame.ts";

/** What may stand between the tag at the start and the first frame. */
const MAX_JUNK_BYTES = 65_536;

/**
 * Opens an MPEG audio file (MP3, also layers I and II). The encoder's delay and padding, where an Info frame tells them,
 * are cut off, as libsndfile and ffmpeg do.
 */
export async function openMp3(source: ByteSource, start: number): Promise<DecodedAudio> {
  const head = await source.read(start, Math.min(source.sizeBytes, start + MAX_JUNK_BYTES));
  const frame = findMpegFrame(head);
  if (!frame) {
    throw new SpeechError(
      "AUDIO_INVALID",
      `${source.name}: expected MPEG audio frames after the tag, got none in ${head.length} bytes. The file is damaged.`,
    );
  }
  checkShape(source.name, frame.sampleRateHz, frame.numChannels);
  const info = parseInfoFrame(head, frame);
  const end = source.sizeBytes - (await id3v1Bytes(source));
  const audio = {
    format: "MP3",
    sampleRateHz: frame.sampleRateHz,
    numChannels: frame.numChannels,
    numSamples: info?.numSamples,
  };
  return {
    ...audio,
    async *blocks(warn) {
      const { MPEGDecoder } = await import("mpg123-decoder");
      const decoder = new MPEGDecoder();
      await decoder.ready;
      let numDecoded = 0;
      try {
        for (let at = start; at < end; at += READ_BYTES) {
          const bytes = await source.read(at, Math.min(end, at + READ_BYTES));
          const decoded = await callDecoder<MPEGDecodedAudio>(source.name, () => decoder.decode(bytes));
          warnOfErrors(warn, decoded.errors);
          if (decoded.samplesDecoded === 0) continue;
          // The library makes two equal channels of one.
          const channels = decoded.channelData.slice(0, frame.numChannels);
          checkSameShape(source.name, audio, { sampleRateHz: decoded.sampleRate, numChannels: channels.length });
          numDecoded += decoded.samplesDecoded;
          yield channels;
        }
        warnIfShort(warn, audio, numDecoded, 2 * frame.numSamples); // Encoders count their first frame or not.
      } finally {
        decoder.free();
      }
    },
  };
}

/**
 * The length that the Xing/Info frame tells, less the delay and padding of a LAME tag in it
 * (http://gabriel.mp3-tech.org/mp3infotag.html). The frame itself holds no sound.
 */
function parseInfoFrame(head: Uint8Array, frame: MpegFrame): { numSamples: number } | undefined {
  const at = frame.start + 4 + frame.sideInfoBytes;
  if (at + 8 + 4 + 4 + 100 + 4 + 24 > head.length) return undefined;
  const magic = String.fromCharCode(...head.subarray(at, at + 4));
  if (magic !== "Xing" && magic !== "Info") return undefined;
  const view = new DataView(head.buffer, head.byteOffset + at);
  const flags = view.getUint32(4);
  if (!(flags & 1)) return undefined;
  const numFrames = view.getUint32(8);
  const tag = 8 + (flags & 1 ? 4 : 0) + (flags & 2 ? 4 : 0) + (flags & 4 ? 100 : 0) + (flags & 8 ? 4 : 0);
  const hasEncoder = view.getUint8(tag) !== 0;
  const delay = hasEncoder ? (view.getUint8(tag + 21) << 4) | (view.getUint8(tag + 22) >> 4) : 0;
  const padding = hasEncoder ? ((view.getUint8(tag + 22) & 15) << 8) | view.getUint8(tag + 23) : 0;
  return { numSamples: Math.max(0, numFrames * frame.numSamples - delay - padding) };
}
