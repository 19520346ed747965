import { SpeechError } from "../errors.ts";
import type { SampleEncoding } from "./pcm.ts";

/** What a `fmt ` chunk says, as far as decoding needs it. */
export interface WavFormat {
  readonly encoding: SampleEncoding;
  readonly numChannels: number;
  readonly sampleRateHz: number;
  /** Bytes of one sample of all channels. */
  readonly frameBytes: number;
}

/** Files have a handful of chunks; more are an attack on our patience. */
export const MAX_CHUNKS = 1000;
/** What of a format chunk is of interest. */
export const MAX_FORMAT_BYTES = 64;
/** `ds64`: three sizes of eight bytes. */
export const DS64_BYTES = 24;
/** From here on a size is what writers put that do not know it: `0xffffffff`, or the largest they dare. */
export const UNKNOWN_SIZE = 0x7ffff000;

/** More than any array of microphones; a limit on what a hostile header makes us allocate. */
const MAX_CHANNELS = 256;

const PCM = 0x0001;
const FLOAT = 0x0003;
const A_LAW = 0x0006;
const MU_LAW = 0x0007;
const EXTENSIBLE = 0xfffe;

/** Formats that WAV files really carry and that are no samples. */
const CODEC_NAMES: Readonly<Record<number, string>> = {
  2: "Microsoft ADPCM",
  17: "IMA ADPCM",
  22: "G.723 ADPCM",
  34: "TrueSpeech",
  49: "GSM 6.10",
  64: "G.721 ADPCM",
  69: "G.726 ADPCM",
  80: "MPEG audio",
  85: "MP3",
  131: "G.729",
  255: "AAC",
  353: "Windows Media Audio",
  354: "Windows Media Audio",
  5648: "AAC",
  8192: "AC-3",
  26447: "Ogg Vorbis",
  28751: "Opus",
  41225: "Speex",
  61868: "FLAC",
};

/** What follows the format tag in `SubFormat`: Microsoft's identifier, and that of ambisonic files. */
const SUBFORMAT_TAILS = ["000000001000800000aa00389b71", "00002107d3118644c8c1ca000000"];

/**
 * Reads a `fmt ` chunk.
 * @throws SpeechError `AUDIO_UNSUPPORTED` for compressed formats and rare widths, `AUDIO_INVALID` for nonsense.
 */
export function parseWavFormat(chunk: Uint8Array, isLittle: boolean, name: string): WavFormat {
  if (chunk.length < 16) throw invalid(name, "a format chunk of 16 bytes or more", `${chunk.length}`);
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  const numChannels = view.getUint16(2, isLittle);
  const sampleRateHz = view.getUint32(4, isLittle);
  const blockBytes = view.getUint16(12, isLittle);
  const bits = view.getUint16(14, isLittle);
  const tag = formatTag(chunk, view, isLittle, name);
  if (numChannels < 1 || numChannels > MAX_CHANNELS) {
    throw invalid(name, `1 to ${MAX_CHANNELS} channels`, `${numChannels}`);
  }
  if (sampleRateHz === 0) throw invalid(name, "a sample rate", "0 Hz");
  // Samples of 20 and 24 bits may stand at the upper end of 32: the block tells.
  const bytes = bits > 16 && blockBytes === 4 * numChannels ? 4 : Math.ceil(bits / 8);
  const encoding = sampleEncoding(tag, bytes, isLittle);
  if (encoding === undefined) throw unsupported(tag, bits, name);
  return { encoding, numChannels, sampleRateHz, frameBytes: bytes * numChannels };
}

function formatTag(chunk: Uint8Array, view: DataView, isLittle: boolean, name: string): number {
  const tag = view.getUint16(0, isLittle);
  if (tag !== EXTENSIBLE) return tag;
  if (chunk.length < 40) throw invalid(name, "an extensible format chunk of 40 bytes", `${chunk.length}`);
  const tail = Array.from(chunk.subarray(26, 40), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (isLittle && !SUBFORMAT_TAILS.includes(tail)) {
    throw new SpeechError(
      "AUDIO_UNSUPPORTED",
      `${name}: expected the extensible format's identifier of PCM, float or G.711, got one that ends in ${tail}. Convert the file to 16-bit PCM.`,
    );
  }
  return view.getUint16(24, isLittle);
}

function sampleEncoding(tag: number, bytes: number, isLittle: boolean): SampleEncoding | undefined {
  const order = isLittle ? "le" : "be";
  if (tag === MU_LAW) return bytes === 1 ? "ulaw" : undefined;
  if (tag === A_LAW) return bytes === 1 ? "alaw" : undefined;
  if (tag === FLOAT) return bytes === 4 ? `f32${order}` : bytes === 8 ? `f64${order}` : undefined;
  if (tag !== PCM) return undefined;
  switch (bytes) {
    case 1:
      return "u8";
    case 2:
      return `s16${order}`;
    case 3:
      return `s24${order}`;
    case 4:
      return `s32${order}`;
    default:
      return undefined;
  }
}

function unsupported(tag: number, bits: number, name: string): SpeechError {
  const codec = CODEC_NAMES[tag];
  const hex = `format tag 0x${tag.toString(16).padStart(4, "0")}`;
  const got = codec === undefined ? `${hex} with ${bits} bits` : `${hex} (${codec})`;
  return new SpeechError(
    "AUDIO_UNSUPPORTED",
    `${name}: expected 8-, 16-, 24- or 32-bit PCM, 32- or 64-bit float, µ-law or A-law, got ${got}. Convert it to 16-bit PCM.`,
  );
}

function invalid(name: string, expected: string, got: string): SpeechError {
  return new SpeechError("AUDIO_INVALID", `${name}: expected ${expected}, got ${got}. The WAV header is damaged.`);
}
