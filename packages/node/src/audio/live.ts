import { createSampleDecoder, createWavStream, memorySource, SpeechError } from "@nemo-stt/core";
import { audioOf, createWarnings } from "./checked-audio.ts";
import { checkShape, type DecodedAudio } from "./decoded.ts";
import { type Audio, openAudio } from "./open-audio.ts";
import { type RawFormat, rawFormat } from "./raw.ts";
import { sniffAudio } from "./sniff.ts";

/** Options of `openLiveAudio`. */
export interface LiveAudioOptions {
  /** What to call it in messages; `standard input` unless told. */
  readonly name?: string;
  /** What samples without a header are; a WAV header counts all the same. */
  readonly raw?: Partial<RawFormat>;
}

/** A WAV file shows itself within these. */
const WAV_HEAD_BYTES = 12;
/** Other formats within these, and samples as none of them. */
const SNIFF_BYTES = 4096;

/**
 * Opens sound that still comes, as from a pipe or a recorder: WAV, whose header is read as it comes, and samples without a
 * header. Blocks are handed out as soon as their samples are there. Of other formats the whole is read first, with a
 * warning that says so.
 * @throws SpeechError `AUDIO_INVALID`, `AUDIO_UNSUPPORTED`.
 */
export async function openLiveAudio(input: AsyncIterable<Uint8Array>, options: LiveAudioOptions = {}): Promise<Audio> {
  const name = options.name ?? "standard input";
  const bytes = createReader(input);
  const told = createWarnings();
  const isWav = async () => /^(RIFF|RIFX|RF64|BW64)/.test(ascii(await bytes.peek(WAV_HEAD_BYTES)));
  const close = () => bytes.close();
  if (await isWav()) return audioOf({ name, close }, await wavAudio(name, bytes), told);
  const raw = options.raw ?? (await unknownFormat(bytes));
  if (raw) {
    const format = rawFormat(raw);
    if (!options.raw) {
      told.warn(`It has no header that is known and was read as samples of 16 bits, 16,000 Hz, mono.`);
    }
    return audioOf({ name, close }, rawAudio(name, format, bytes, told.warn), told);
  }
  told.warn("Its format cannot be read as it comes: it was read to its end first.");
  const whole = await openAudio(bytes.rest(), { name });
  return { ...whole, warnings: [...told.warnings, ...whole.warnings] };
}

/** What samples without a header usually are, where the bytes are of no known format. */
async function unknownFormat(bytes: Reader): Promise<Partial<RawFormat> | undefined> {
  const head = await bytes.peek(SNIFF_BYTES);
  const isUnknown = head.length > 0 && (await sniffAudio(memorySource(head, "head"))).kind === "unknown";
  return isUnknown ? {} : undefined;
}

async function wavAudio(name: string, bytes: Reader): Promise<DecodedAudio> {
  const stream = createWavStream(name);
  const pieces = bytes.rest();
  let first: Float32Array[] = [];
  while (!stream.format) {
    const next = await pieces.next();
    if (next.done) {
      stream.finish();
      break;
    }
    first = stream.feed(next.value);
  }
  const { sampleRateHz, numChannels } = stream.format as NonNullable<typeof stream.format>;
  checkShape(name, sampleRateHz, numChannels);
  return {
    format: "WAV",
    sampleRateHz,
    numChannels,
    async *blocks(warn) {
      if (first.length > 0 && first[0].length > 0) yield first;
      for await (const piece of pieces) {
        const block = stream.feed(piece);
        if (block.length > 0 && block[0].length > 0) yield block;
      }
      stream.finish();
      for (const warning of stream.warnings) warn(warning);
    },
  };
}

function rawAudio(
  name: string,
  { encoding, sampleRateHz, numChannels }: RawFormat,
  bytes: Reader,
  warn: (sentence: string) => void,
): DecodedAudio {
  checkShape(name, sampleRateHz, numChannels);
  const decoder = createSampleDecoder(encoding, numChannels);
  return {
    format: `${encoding} without a header`,
    sampleRateHz,
    numChannels,
    async *blocks() {
      let hasSound = false;
      for await (const piece of bytes.rest()) {
        const block = decoder.feed(piece);
        if (block[0].length === 0) continue;
        hasSound = true;
        yield block;
      }
      const rest = decoder.numPendingBytes;
      if (!hasSound) {
        throw new SpeechError("AUDIO_INVALID", `${name}: expected samples, got ${rest} bytes. Check what writes them.`);
      }
      if (rest > 0) warn(`It ends inside a sample: its last ${rest} bytes were left out.`);
    },
  };
}

const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes.subarray(0, 4));

/** Bytes that come in pieces, of which the first can be looked at before they are taken. */
interface Reader {
  /** The first bytes, fewer where there are no more; they stay. */
  peek(count: number): Promise<Uint8Array>;
  rest(): AsyncGenerator<Uint8Array, void, undefined>;
  close(): Promise<void>;
}

function createReader(input: AsyncIterable<Uint8Array>): Reader {
  const pieces = input[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  let hasEnded = false;
  return {
    async peek(count) {
      while (head.length < count && !hasEnded) {
        const next = await pieces.next();
        if (next.done) hasEnded = true;
        else head = Buffer.concat([head, next.value]);
      }
      return head;
    },
    async *rest() {
      const first = head;
      head = new Uint8Array(0);
      if (first.length > 0) yield first;
      while (!hasEnded) {
        const next = await pieces.next();
        if (next.done) hasEnded = true;
        else yield next.value;
      }
    },
    async close() {
      // A read that waits is not waited for: whoever opened the input ends it.
      if (!hasEnded) void pieces.return?.()?.catch(() => {});
      hasEnded = true;
    },
  };
}
