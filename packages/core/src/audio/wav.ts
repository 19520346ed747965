import type { ByteSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import { decodeSamples, type SampleEncoding } from "./pcm.ts";
import {
  DS64_BYTES,
  MAX_CHUNKS,
  MAX_FORMAT_BYTES,
  parseWavFormat,
  UNKNOWN_SIZE,
  type WavFormat,
} from "./wav-format.ts";

/** An opened WAV file. Nothing of its samples is held. */
export interface WavReader {
  readonly sampleRateHz: number;
  readonly numChannels: number;
  /** For each channel. */
  readonly numSamples: number;
  readonly encoding: SampleEncoding;
  /** What is wrong with the file and does not stop its use, in sentences. */
  readonly warnings: readonly string[];
  /**
   * Decodes the samples `[startSample, endSample)`: one array for each channel, which belong to the caller.
   * @throws RangeError when the range is outside `[0, numSamples]`.
   */
  read(startSample: number, endSample: number): Promise<Float32Array[]>;
}

/**
 * Opens a WAV file: RIFF, RIFX, RF64 and BW64 with PCM of 8 to 32 bits, floats, µ-law and A-law, extensible or not. Files
 * whose writer never told the size (a pipe) and truncated ones are read to their end, the latter with a warning.
 * @throws SpeechError `AUDIO_INVALID` when it is no WAV file or its header is damaged, `AUDIO_UNSUPPORTED` when what it
 * holds is compressed.
 */
export async function openWav(source: ByteSource): Promise<WavReader> {
  const { format, dataStart, dataBytes, warnings } = await readHeader(source);
  const { encoding, numChannels, sampleRateHz, frameBytes } = format;
  const numSamples = Math.floor(dataBytes / frameBytes);
  const rest = dataBytes % frameBytes;
  if (rest > 0) warnings.push(`It ends inside a sample: its last ${rest} bytes were left out.`);
  return {
    sampleRateHz,
    numChannels,
    numSamples,
    encoding,
    warnings,
    async read(startSample, endSample) {
      if (!(startSample >= 0 && startSample <= endSample && endSample <= numSamples)) {
        throw new RangeError(
          `${source.name}: expected samples within [0, ${numSamples}), got [${startSample}, ${endSample}).`,
        );
      }
      const bytes = await source.read(dataStart + startSample * frameBytes, dataStart + endSample * frameBytes);
      return decodeSamples(bytes, encoding, numChannels);
    },
  };
}

interface Header {
  readonly format: WavFormat;
  readonly dataStart: number;
  readonly dataBytes: number;
  readonly warnings: string[];
}

interface Chunk {
  readonly id: string;
  readonly start: number;
  readonly sizeBytes: number;
}

async function readHeader(source: ByteSource): Promise<Header> {
  const isLittle = await readFileId(source);
  const warnings: string[] = [];
  let format: WavFormat | undefined;
  let data: Pick<Header, "dataStart" | "dataBytes"> | undefined;
  let size64: number | undefined;
  let position = 12;
  for (let n = 0; position + 8 <= source.sizeBytes && (format === undefined || data === undefined); n++) {
    if (n === MAX_CHUNKS) throw damaged(source, `samples within ${MAX_CHUNKS} chunks`, "none");
    const chunk = await readChunk(source, position, isLittle);
    const end = Math.min(source.sizeBytes, chunk.start + chunk.sizeBytes);
    let length = chunk.sizeBytes;
    if (chunk.id === "ds64" && end - chunk.start >= DS64_BYTES) {
      size64 = await readDataSize64(source, chunk.start, isLittle);
    } else if (chunk.id === "fmt " && format === undefined) {
      const bytes = await source.read(chunk.start, Math.min(end, chunk.start + MAX_FORMAT_BYTES));
      format = parseWavFormat(bytes, isLittle, source.name);
    } else if (chunk.id === "data" && data === undefined) {
      length = await dataSize(source, chunk, size64, isLittle, warnings);
      data = { dataStart: chunk.start, dataBytes: length };
    }
    // Chunks begin at even positions.
    position = chunk.start + length + (length % 2);
  }
  if (format === undefined) throw damaged(source, "a format chunk (`fmt `)", "none");
  if (data === undefined) throw damaged(source, "samples (a `data` chunk)", "none");
  return { format, ...data, warnings };
}

/** True for little-endian files. */
async function readFileId(source: ByteSource): Promise<boolean> {
  const bytes = await source.read(0, Math.min(12, source.sizeBytes));
  const id = ascii(bytes, 0);
  const isRiff = ["RIFF", "RIFX", "RF64", "BW64"].includes(id);
  if (bytes.length < 12 || !isRiff || ascii(bytes, 8) !== "WAVE") {
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    throw damaged(source, "a file that begins with RIFF, RIFX, RF64 or BW64 and WAVE", hex || "an empty one");
  }
  return id !== "RIFX";
}

async function readChunk(source: ByteSource, position: number, isLittle: boolean): Promise<Chunk> {
  const bytes = await source.read(position, position + 8);
  return { id: ascii(bytes, 0), start: position + 8, sizeBytes: viewOf(bytes).getUint32(4, isLittle) };
}

async function readDataSize64(source: ByteSource, start: number, isLittle: boolean): Promise<number> {
  const bytes = await source.read(start, start + DS64_BYTES);
  return Number(viewOf(bytes).getBigUint64(8, isLittle));
}

/** The bytes of samples that are really there. */
async function dataSize(
  source: ByteSource,
  chunk: Chunk,
  size64: number | undefined,
  isLittle: boolean,
  warnings: string[],
): Promise<number> {
  const rest = source.sizeBytes - chunk.start;
  const declared = chunk.sizeBytes === 0xffffffff && size64 !== undefined ? size64 : chunk.sizeBytes;
  if (declared === 0 && rest > 0 && !(await isChunk(source, chunk.start, isLittle))) {
    warnings.push("Its header says that it has no samples; it was read to its end.");
    return rest;
  }
  if (declared <= rest) return declared;
  const isUnknown = declared >= UNKNOWN_SIZE && declared <= 0xffffffff;
  if (!isUnknown) warnings.push(`It is truncated: ${rest} of ${declared} bytes of samples are there.`);
  return rest;
}

/** Whether what stands at a position can be a chunk: four printable characters and a size that fits. */
async function isChunk(source: ByteSource, position: number, isLittle: boolean): Promise<boolean> {
  if (position + 8 > source.sizeBytes) return false;
  const chunk = await readChunk(source, position, isLittle);
  return /^[\x20-\x7e]{4}$/.test(chunk.id) && chunk.start + chunk.sizeBytes <= source.sizeBytes + 1;
}

function ascii(bytes: Uint8Array, start: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + 4));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function damaged(source: ByteSource, expected: string, got: string): SpeechError {
  return new SpeechError(
    "AUDIO_INVALID",
    `${source.name}: expected ${expected}, got ${got}. It is no WAV file, or a damaged one.`,
  );
}
