import { SpeechError } from "../errors.ts";
import { createSampleDecoder, type SampleDecoder } from "./pcm.ts";
import {
  DS64_BYTES,
  MAX_CHUNKS,
  MAX_FORMAT_BYTES,
  parseWavFormat,
  UNKNOWN_SIZE,
  type WavFormat,
} from "./wav-format.ts";

/** A WAV file that arrives in pieces of any size, as from a pipe. */
export interface WavStream {
  /** Known when the header has come: before that `feed` gives nothing. */
  readonly format: WavFormat | undefined;
  /** What is wrong with it and does not stop its use, in sentences; complete after `finish`. */
  readonly warnings: readonly string[];
  /**
   * Takes bytes and gives the samples that are whole: one array for each channel, none before the header has come.
   * @throws SpeechError as `openWav`
   */
  feed(bytes: Uint8Array): Float32Array[];
  /** Tells that no more comes. @throws SpeechError `AUDIO_INVALID` where there was no header, or no samples */
  finish(): void;
}

/**
 * Reads a WAV file as it comes: what `openWav` reads, but the format has to stand before the samples. A size that the
 * writer did not know (0 or the largest) means: to the end. What stands behind the samples is left out.
 */
export function createWavStream(name: string): WavStream {
  const warnings: string[] = [];
  let pending: Uint8Array = new Uint8Array(0);
  let isLittle: boolean | undefined;
  let numChunks = 0;
  let numToSkip = 0;
  let size64: number | undefined;
  let format: WavFormat | undefined;
  let data: { readonly decoder: SampleDecoder; readonly declared: number; left: number } | undefined;

  const invalid = (expected: string, got: string) =>
    new SpeechError(
      "AUDIO_INVALID",
      `${name}: expected ${expected}, got ${got}. It is no WAV file, or its header came damaged.`,
    );

  /** Takes one part of the header off `pending`; false where more bytes are needed. */
  function readPart(): boolean {
    if (numToSkip > 0) {
      const skipped = Math.min(numToSkip, pending.length);
      pending = pending.subarray(skipped);
      numToSkip -= skipped;
      return numToSkip === 0;
    }
    if (isLittle === undefined) return readFileId();
    return readChunk(isLittle);
  }

  function readFileId(): boolean {
    if (pending.length < 12) return false;
    const id = ascii(pending, 0);
    if (!["RIFF", "RIFX", "RF64", "BW64"].includes(id) || ascii(pending, 8) !== "WAVE") {
      throw invalid("a stream that begins with RIFF, RIFX, RF64 or BW64 and WAVE", JSON.stringify(id));
    }
    isLittle = id !== "RIFX";
    pending = pending.subarray(12);
    return true;
  }

  function readChunk(little: boolean): boolean {
    if (pending.length < 8) return false;
    const view = new DataView(pending.buffer, pending.byteOffset, pending.byteLength);
    const id = ascii(pending, 0);
    const size = view.getUint32(4, little);
    if (id === "data") {
      beginData(size);
      return true;
    }
    const needed = id === "fmt " ? Math.min(size, MAX_FORMAT_BYTES) : id === "ds64" ? Math.min(size, DS64_BYTES) : 0;
    if (pending.length < 8 + needed) return false;
    if (++numChunks > MAX_CHUNKS) throw invalid(`samples within ${MAX_CHUNKS} chunks`, "none");
    if (id === "fmt ") format ??= parseWavFormat(pending.slice(8, 8 + needed), little, name);
    if (needed === DS64_BYTES && id === "ds64") size64 = Number(view.getBigUint64(16, little));
    pending = pending.subarray(8);
    // Chunks begin at even positions.
    numToSkip = size + (size % 2);
    return true;
  }

  function beginData(size: number): void {
    if (!format) throw invalid("a format chunk (`fmt `) before the samples", "samples first");
    pending = pending.subarray(8);
    const declared = size === 0xffffffff && size64 !== undefined ? size64 : size;
    const isUnknown = declared === 0 || (declared >= UNKNOWN_SIZE && declared <= 0xffffffff);
    const left = isUnknown ? Number.POSITIVE_INFINITY : declared;
    data = { decoder: createSampleDecoder(format.encoding, format.numChannels), declared: left, left };
  }

  return {
    get format() {
      return data && format;
    },
    warnings,
    feed(bytes) {
      let fresh = bytes;
      if (!data) {
        pending = joined(pending, bytes);
        while (!data && readPart());
        if (!data) return [];
        fresh = pending;
        pending = new Uint8Array(0);
      }
      const own = data.left < fresh.length ? fresh.subarray(0, data.left) : fresh;
      data.left -= own.length;
      return data.decoder.feed(own);
    },
    finish() {
      if (!format) throw invalid("a format chunk (`fmt `)", "none");
      if (!data) throw invalid("samples (a `data` chunk)", "none");
      const { decoder, declared, left } = data;
      if (left > 0 && declared < Number.POSITIVE_INFINITY) {
        warnings.push(`It is truncated: ${declared - left} of ${declared} bytes of samples are there.`);
      }
      const rest = decoder.numPendingBytes;
      if (rest > 0) warnings.push(`It ends inside a sample: its last ${rest} bytes were left out.`);
    },
  };
}

const ascii = (bytes: Uint8Array, start: number): string => String.fromCharCode(...bytes.subarray(start, start + 4));

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
