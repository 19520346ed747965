import {
  type ByteSource,
  decodeSamples,
  SAMPLE_ENCODINGS,
  type SampleEncoding,
  SpeechError,
  sampleBytes,
} from "@nemo-stt/core";
import { checkShape, type DecodedAudio, READ_BYTES, type Warn } from "./decoded.ts";

/** How samples without a header are to be read; channels take turns. */
export interface RawFormat {
  readonly encoding: SampleEncoding;
  readonly sampleRateHz: number;
  readonly numChannels: number;
}

const ENCODINGS_BY_EXTENSION: Readonly<Record<string, SampleEncoding>> = {
  ".raw": "s16le",
  ".pcm": "s16le",
  ".ulaw": "ulaw",
  ".mulaw": "ulaw",
  ".ul": "ulaw",
  ".alaw": "alaw",
  ".al": "alaw",
};

/** What an extension such as `.raw` or `.ulaw` says of samples without a header. */
export function rawFormatOf(extension: string): Partial<RawFormat> | undefined {
  const encoding = ENCODINGS_BY_EXTENSION[extension];
  return encoding && { encoding };
}

/**
 * Fills in what is usual: 16 bits little-endian at 16 kHz, G.711 at 8 kHz, one channel.
 * @throws RangeError for an encoding that there is not.
 */
export function rawFormat({ encoding = "s16le", sampleRateHz, numChannels = 1 }: Partial<RawFormat>): RawFormat {
  if (!SAMPLE_ENCODINGS.includes(encoding)) {
    throw new RangeError(
      `options.raw.encoding: expected one of ${SAMPLE_ENCODINGS.join(", ")}, got ${encoding}. Leave it out, or give one.`,
    );
  }
  const usualRateHz = encoding === "ulaw" || encoding === "alaw" ? 8000 : 16_000;
  return { encoding, sampleRateHz: sampleRateHz ?? usualRateHz, numChannels };
}

/**
 * Opens samples without a header.
 * @throws SpeechError `AUDIO_INVALID` when the file has less than one sample.
 */
export function openRaw(source: ByteSource, format: RawFormat, warn: Warn): DecodedAudio {
  const { encoding, sampleRateHz, numChannels } = format;
  checkShape(source.name, sampleRateHz, numChannels);
  const frameBytes = sampleBytes(encoding) * numChannels;
  const numSamples = Math.floor(source.sizeBytes / frameBytes);
  const rest = source.sizeBytes % frameBytes;
  if (numSamples === 0) {
    const text = `${source.name}: expected samples of ${frameBytes} bytes, got ${rest} bytes. Check the encoding.`;
    throw new SpeechError("AUDIO_INVALID", text);
  }
  if (rest > 0) warn(`It ends inside a sample: its last ${rest} bytes were left out.`);
  return {
    format: `${encoding} without a header`,
    sampleRateHz,
    numChannels,
    numSamples,
    async *blocks() {
      const step = Math.max(1, Math.floor(READ_BYTES / frameBytes)) * frameBytes;
      const end = numSamples * frameBytes;
      for (let start = 0; start < end; start += step) {
        yield decodeSamples(await source.read(start, Math.min(end, start + step)), encoding, numChannels);
      }
    },
  };
}
