/** The header of an MPEG audio frame (ISO/IEC 11172-3, section 2.4.1.3, and 13818-3 for the lower rates). */
export interface MpegFrame {
  readonly start: number;
  readonly sizeBytes: number;
  readonly layer: 1 | 2 | 3;
  readonly sampleRateHz: number;
  readonly numChannels: 1 | 2;
  /** For each channel. */
  readonly numSamples: number;
  /** Of layer III, between the header and the sound. */
  readonly sideInfoBytes: number;
}

/** In kbit/s by index, for MPEG 1 layers I, II, III, and MPEG 2 layer I, layers II and III. */
const BITRATES_KBPS = {
  "1/1": [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  "1/2": [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  "1/3": [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  "2/1": [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  "2/2": [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  "2/3": [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
} as const;
const SAMPLE_RATES_HZ = [44_100, 48_000, 32_000];
/** Frames that must follow each other before bytes are taken for MPEG audio. */
const NUM_FRAMES_IN_ROW = 3;

/**
 * The first of at least three frames in a row that agree in layer and rate; two where the bytes end there. Other data
 * looks so once in many billions of bytes.
 */
export function findMpegFrame(bytes: Uint8Array): MpegFrame | undefined {
  for (let at = 0; at + 4 <= bytes.length; at++) {
    if (bytes[at] !== 0xff) continue;
    const frame = parseMpegFrame(bytes, at);
    if (frame && isFollowed(bytes, frame)) return frame;
  }
  return undefined;
}

function isFollowed(bytes: Uint8Array, first: MpegFrame): boolean {
  let end = first.start + first.sizeBytes;
  for (let i = 1; i < NUM_FRAMES_IN_ROW; i++) {
    // A file that ends with a whole frame is as good as one that goes on.
    if (i > 1 && end + 4 > bytes.length) return true;
    const next = parseMpegFrame(bytes, end);
    if (!next || next.layer !== first.layer || next.sampleRateHz !== first.sampleRateHz) return false;
    end = next.start + next.sizeBytes;
  }
  return true;
}

/** The frame header at a position, if one can stand there. Free bit rates, which nobody uses, are not read. */
export function parseMpegFrame(bytes: Uint8Array, start: number): MpegFrame | undefined {
  if (start + 4 > bytes.length || bytes[start] !== 0xff || (bytes[start + 1] & 0xe0) !== 0xe0) return undefined;
  const version = (bytes[start + 1] >> 3) & 3; // 0: MPEG 2.5, 2: MPEG 2, 3: MPEG 1
  const layerBits = (bytes[start + 1] >> 1) & 3;
  const rateIndex = (bytes[start + 2] >> 2) & 3;
  if (version === 1 || layerBits === 0 || rateIndex === 3) return undefined;
  const layer = (4 - layerBits) as 1 | 2 | 3;
  const family = version === 3 ? 1 : 2;
  const bitrateKbps = BITRATES_KBPS[`${family}/${layer}`][bytes[start + 2] >> 4];
  if (!bitrateKbps) return undefined;
  const sampleRateHz = SAMPLE_RATES_HZ[rateIndex] / (version === 3 ? 1 : version === 2 ? 2 : 4);
  const padding = (bytes[start + 2] >> 1) & 1;
  const numChannels = bytes[start + 3] >> 6 === 3 ? 1 : 2;
  const numSamples = layer === 1 ? 384 : layer === 3 && family === 2 ? 576 : 1152;
  const slotBytes = layer === 1 ? 4 : 1;
  const slots = Math.floor(((numSamples / 8) * bitrateKbps * 1000) / sampleRateHz / slotBytes) + padding;
  const sideInfoBytes = family === 1 ? (numChannels === 1 ? 17 : 32) : numChannels === 1 ? 9 : 17;
  return { start, sizeBytes: slots * slotBytes, layer, sampleRateHz, numChannels, numSamples, sideInfoBytes };
}
