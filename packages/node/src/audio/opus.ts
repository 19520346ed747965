import { SpeechError } from "@nemo-stt/core";
import { callDecoder, checkShape, type Warn, warnOfErrors } from "./decoded.ts";

/** The unit of positions and of `preSkip`, whatever the decoder's own rate. */
export const OPUS_TICKS_HZ = 48_000;
/** What the decoder can give. */
const DECODER_RATES_HZ = [8000, 12_000, 16_000, 24_000, 48_000] as const;
const HEAD_BYTES = 19;

/** What an identification header says (RFC 7845, section 5.1). */
export interface OpusHead {
  readonly numChannels: number;
  /**
   * The rate to decode at: the lowest that holds what was encoded, as libsndfile (and so NeMo) chooses it; 48 kHz where
   * the header does not tell.
   */
  readonly sampleRateHz: (typeof DECODER_RATES_HZ)[number];
  /** Samples at 48 kHz that only warm the decoder up. */
  readonly preSkip: number;
  /** What every sample is multiplied with. */
  readonly gain: number;
  readonly numStreams: number;
  readonly numCoupledStreams: number;
  readonly channelMapping: readonly number[];
}

/**
 * Parses `OpusHead`, which begins an Ogg stream and is the codec's private data in Matroska.
 * @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED`.
 */
export function parseOpusHead(name: string, bytes: Uint8Array): OpusHead {
  const numChannels = bytes[9];
  const family = bytes[18];
  // A major version other than 0 may not be read; minor versions may.
  const isWhole =
    bytes.length >= HEAD_BYTES && bytes[8] < 16 && (family === 0 || bytes.length >= HEAD_BYTES + 2 + numChannels);
  if (!isWhole) {
    throw new SpeechError(
      "AUDIO_INVALID",
      `${name}: expected a whole Opus header, got ${bytes.length} bytes. The file is damaged.`,
    );
  }
  checkShape(name, OPUS_TICKS_HZ, numChannels);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const inputHz = view.getUint32(12, true) || OPUS_TICKS_HZ;
  const shared = {
    numChannels,
    sampleRateHz: DECODER_RATES_HZ.find((rate) => rate >= inputHz) ?? OPUS_TICKS_HZ,
    preSkip: view.getUint16(10, true),
    gain: 10 ** (view.getInt16(16, true) / 256 / 20),
  };
  if (family === 0) {
    if (numChannels > 2) {
      throw new SpeechError(
        "AUDIO_INVALID",
        `${name}: expected 1 or 2 channels in Opus without a channel map, got ${numChannels}. The file is damaged.`,
      );
    }
    const channelMapping = numChannels === 1 ? [0] : [0, 1];
    return { ...shared, numStreams: 1, numCoupledStreams: numChannels - 1, channelMapping };
  }
  const [numStreams, numCoupledStreams] = [bytes[19], bytes[20]];
  const channelMapping = [...bytes.subarray(21, 21 + numChannels)];
  const isValid = numStreams > 0 && numCoupledStreams <= numStreams && numStreams + numCoupledStreams <= 255;
  if (!isValid || channelMapping.some((stream) => stream !== 255 && stream >= numStreams + numCoupledStreams)) {
    throw new SpeechError(
      "AUDIO_INVALID",
      `${name}: expected a channel map of its ${numStreams} Opus streams, got another. The file is damaged.`,
    );
  }
  return { ...shared, numStreams, numCoupledStreams, channelMapping };
}

/** Samples of a frame at 48 kHz by the configuration's kind: SILK and Hybrid to 15, CELT from 16 (RFC 6716, section 3.1). */
const SILK_SAMPLES = [480, 960, 1920, 2880];
const HYBRID_SAMPLES = [480, 960];
const CELT_SAMPLES = [120, 240, 480, 960];

/** The number of samples that a packet decodes to, at 48 kHz; 0 for one that says nothing. */
export function opusPacketSamples(packet: Uint8Array): number {
  if (packet.length === 0) return 0;
  const config = packet[0] >> 3;
  const code = packet[0] & 3;
  const numFrames = code === 0 ? 1 : code === 3 ? packet[1] & 0x3f : 2;
  if (config < 12) return numFrames * SILK_SAMPLES[config & 3];
  return numFrames * (config < 16 ? HYBRID_SAMPLES[config & 1] : CELT_SAMPLES[config & 3]);
}

/** Decodes the packets of one Opus stream in order; `free` it at the end. */
export interface OpusPackets {
  /** One array for each channel, warm-up included; `undefined` when nothing came of the packets. */
  decode(packets: readonly Uint8Array[], warn: Warn): Promise<Float32Array[] | undefined>;
  free(): void;
}

/** A decoder for the stream that `head` begins. */
export async function opusPackets(name: string, head: OpusHead): Promise<OpusPackets> {
  const library = await import("opus-decoder");
  const decoder = new library.OpusDecoder({
    sampleRate: head.sampleRateHz,
    channels: head.numChannels,
    streamCount: head.numStreams,
    coupledStreamCount: head.numCoupledStreams,
    channelMappingTable: [...head.channelMapping],
    preSkip: 0,
  });
  await decoder.ready;
  return {
    async decode(packets, warn) {
      const decoded = await callDecoder(name, () => decoder.decodeFrames([...packets]));
      warnOfErrors(warn, decoded.errors);
      if (decoded.samplesDecoded === 0) return undefined;
      if (head.gain !== 1) for (const channel of decoded.channelData) amplify(channel, head.gain);
      return decoded.channelData;
    },
    free: () => decoder.free(),
  };
}

function amplify(samples: Float32Array, gain: number): void {
  for (let i = 0; i < samples.length; i++) samples[i] *= gain;
}

/** The part `[start, end)` of a block of channels, clipped to the block; `undefined` when it is empty. */
export function sliceBlock(block: Float32Array[], start: number, end: number): Float32Array[] | undefined {
  const from = Math.max(0, start);
  const to = Math.min(block[0].length, end);
  if (from >= to) return undefined;
  return from === 0 && to === block[0].length ? block : block.map((channel) => channel.subarray(from, to));
}
