import { memorySource, openWav, SpeechError } from "@nemo-stt/core";
import type { SoundFormat } from "./encodings.ts";

/** What a WAV header says of the samples behind it. */
export interface WavHeader {
  readonly format: SoundFormat;
  /** How many bytes of samples there are, where the writer knew it: other chunks may follow them. */
  readonly dataBytes: number | undefined;
}

/** What stands in front of the samples of a WAV stream. */
export interface WavStart extends WavHeader {
  /** Where samples begin. */
  readonly dataStart: number;
}

/** Writers put pictures and cue lists in front of samples, but no megabytes. */
const MAX_HEADER_BYTES = 256 * 1024;
const RIFF_BYTES = 12;
const CHUNK_BYTES = 8;
/** From here on a size is what writers put that do not know it. */
const UNKNOWN_SIZE = 0x7ffff000;

/** Bytes that a stream begins with, looked at for a WAV header. */
export type HeaderState =
  | { readonly kind: "raw" }
  | { readonly kind: "more" }
  | { readonly kind: "wav"; readonly start: WavStart };

/**
 * Says whether the beginning of a stream is a WAV header: samples without one, too few bytes to tell, or what it says.
 * @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED` for headers that are damaged or of compressed sound
 */
export async function readWavStart(bytes: Uint8Array, name: string): Promise<HeaderState> {
  const id = text(bytes, 0);
  if (!["RIFF", "RIFX", "RF64", "BW64"].some((known) => known.startsWith(id))) return { kind: "raw" };
  if (bytes.length < RIFF_BYTES) return { kind: "more" };
  if (text(bytes, 8) !== "WAVE") return { kind: "raw" };
  const data = findData(bytes, id !== "RIFX");
  if (data === undefined) {
    if (bytes.length <= MAX_HEADER_BYTES) return { kind: "more" };
    throw new SpeechError(
      "AUDIO_INVALID",
      `${name}: expected samples within ${MAX_HEADER_BYTES} bytes of a WAV header, got none. Send the samples without a header.`,
    );
  }
  // The sizes of a file whose end is not here yet are warned of, which does not matter.
  const wav = await openWav(memorySource(bytes, name));
  const { encoding, numChannels, sampleRateHz } = wav;
  return { kind: "wav", start: { ...data, format: { encoding, numChannels, sampleRateHz } } };
}

function findData(bytes: Uint8Array, isLittle: boolean): Pick<WavStart, "dataStart" | "dataBytes"> | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let size64: number | undefined;
  for (let at = RIFF_BYTES; at + CHUNK_BYTES <= bytes.length; ) {
    const size = view.getUint32(at + 4, isLittle);
    const start = at + CHUNK_BYTES;
    if (text(bytes, at) === "ds64" && start + 16 <= bytes.length)
      size64 = Number(view.getBigUint64(start + 8, isLittle));
    if (text(bytes, at) === "data") {
      const isKnown = size > 0 && size < UNKNOWN_SIZE;
      return { dataStart: start, dataBytes: isKnown ? size : size === 0xffffffff ? size64 : undefined };
    }
    at = start + size + (size % 2);
  }
  return undefined;
}

const text = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
