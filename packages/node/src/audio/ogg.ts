import { type ByteSource, SpeechError } from "@nemo-stt/core";
import type { OggVorbisDecodedAudio } from "@wasm-audio-decoders/ogg-vorbis";
import { callDecoder, checkSameShape, checkShape, type DecodedAudio, type Warn, warnOfErrors } from "./decoded.ts";
import { flacDecoder, parseFlacHead } from "./flac.ts";
import { lastGranule, type OggPage, packetJoiner, readOggPages } from "./ogg-pages.ts";
import { OPUS_TICKS_HZ, type OpusHead, opusPackets, parseOpusHead, sliceBlock } from "./opus.ts";

type Blocks = AsyncGenerator<Float32Array[], void, undefined>;

/** An audio stream of an Ogg file, as its first page tells it. */
interface OggStream {
  readonly format: "OGG Vorbis" | "OGG Opus" | "OGG FLAC";
  readonly sampleRateHz: number;
  readonly numChannels: number;
  /** The number of samples at a position. */
  samplesAt(granule: number): number;
  open(): Promise<PageDecoder>;
}

/** Decodes the pages of one stream in order. */
interface PageDecoder {
  decode(page: OggPage, warn: Warn): Blocks;
  finish(warn: Warn): Blocks;
  free(): void;
}

/** The first pages of all streams stand first in the file, and nobody plays more than a few together. */
const MAX_FIRST_PAGES = 64;

/**
 * Opens an Ogg file of Vorbis, Opus or FLAC. Of several streams that play together the first of these is read; files
 * that follow one another in one (chained) are read one after the other.
 * @throws SpeechError `AUDIO_UNSUPPORTED` when no stream is of these codecs, `AUDIO_INVALID`.
 */
export async function openOgg(source: ByteSource): Promise<DecodedAudio> {
  const { stream, serial } = await findStream(source);
  const granule = await lastGranule(source, serial);
  const audio = {
    format: stream.format,
    sampleRateHz: stream.sampleRateHz,
    numChannels: stream.numChannels,
    numSamples: granule === undefined ? undefined : Math.max(0, stream.samplesAt(granule)),
  };
  return { ...audio, blocks: (warn) => decodeChain(source, audio, warn) };
}

async function findStream(source: ByteSource): Promise<{ stream: OggStream; serial: number }> {
  const codecs: string[] = [];
  for await (const page of readOggPages(source, () => {})) {
    const stream = page.isFirst ? streamOf(source.name, page) : undefined;
    if (stream) return { stream, serial: page.serial };
    if (!page.isFirst || codecs.length === MAX_FIRST_PAGES) break;
    codecs.push(codecName(page.body));
  }
  if (codecs.length === 0) {
    throw new SpeechError(
      "AUDIO_INVALID",
      `${source.name}: expected an Ogg file to begin with a stream's first page, got none. The file is damaged.`,
    );
  }
  throw new SpeechError(
    "AUDIO_UNSUPPORTED",
    `${source.name}: expected Vorbis, Opus or FLAC in the Ogg file, got ${codecs.join(", ")}. Convert it, for example with ffmpeg.`,
  );
}

async function* decodeChain(
  source: ByteSource,
  shape: Pick<DecodedAudio, "sampleRateHz" | "numChannels">,
  warn: Warn,
): Blocks {
  let current: { serial: number; decoder: PageDecoder; isEnded: boolean } | undefined;
  let isBeginning = false;

  async function* finishCurrent(): Blocks {
    if (!current) return;
    const { decoder, isEnded } = current;
    current = undefined;
    if (!isEnded) warn("It is cut off: the last page of its stream is missing.");
    try {
      yield* decoder.finish(warn);
    } finally {
      decoder.free();
    }
  }

  try {
    for await (const page of readOggPages(source, warn)) {
      if (page.isFirst && !isBeginning) yield* finishCurrent();
      isBeginning = page.isFirst;
      if (page.isFirst && !current) {
        const stream = streamOf(source.name, page);
        if (stream) {
          checkSameShape(source.name, shape, stream);
          current = { serial: page.serial, decoder: await stream.open(), isEnded: false };
        }
      }
      if (current?.serial !== page.serial) continue;
      current.isEnded ||= page.isLast;
      yield* current.decoder.decode(page, warn);
    }
    yield* finishCurrent();
  } finally {
    current?.decoder.free();
  }
}

function streamOf(name: string, page: OggPage): OggStream | undefined {
  const { body } = page;
  const magic = String.fromCharCode(...body.subarray(0, 8));
  if (magic.startsWith("\x01vorbis") && body.length >= 30) return vorbisStream(name, body);
  if (magic === "OpusHead") return opusStream(name, parseOpusHead(name, body));
  if (magic.startsWith("\x7fFLAC")) return flacStream(name, body);
  return undefined;
}

/** For a message; the padding of eight-byte names and the kind of the packet are left out. */
function codecName(body: Uint8Array): string {
  const name = String.fromCharCode(...body.subarray(0, 8))
    .replace(/[^\x20-\x7e]/g, "")
    .trim();
  return name === "" ? "an unknown codec" : name;
}

/** Vorbis I specification, section 4.2.2: version, channels, rate. */
function vorbisStream(name: string, body: Uint8Array): OggStream {
  const numChannels = body[11];
  const sampleRateHz = new DataView(body.buffer, body.byteOffset).getUint32(12, true);
  checkShape(name, sampleRateHz, numChannels);
  return {
    format: "OGG Vorbis",
    sampleRateHz,
    numChannels,
    samplesAt: (granule) => granule,
    async open() {
      const { OggVorbisDecoder } = await import("@wasm-audio-decoders/ogg-vorbis");
      const decoder = new OggVorbisDecoder();
      await decoder.ready;
      function* take(decoded: OggVorbisDecodedAudio, warn: Warn): Generator<Float32Array[], void, undefined> {
        warnOfErrors(warn, decoded.errors);
        if (decoded.channelData[0]?.length > 0) yield decoded.channelData;
      }
      return {
        async *decode(page, warn) {
          const bytes = page.bytes.slice(); // The library keeps what it has not parsed.
          yield* take(await callDecoder(name, () => decoder.decode(bytes)), warn);
        },
        async *finish(warn) {
          yield* take(await callDecoder(name, () => decoder.flush()), warn);
        },
        free: () => decoder.free(),
      };
    },
  };
}

/** Ogg mapping of FLAC (RFC 9639, section 10.1): nine bytes, then the head of a FLAC file. */
function flacStream(name: string, body: Uint8Array): OggStream {
  const info = parseFlacHead(name, body.subarray(9));
  return {
    format: "OGG FLAC",
    ...info,
    samplesAt: (granule) => granule,
    async open() {
      const decoder = await flacDecoder(name, info);
      const join = packetJoiner();
      return {
        async *decode(page, warn) {
          // Header packets begin with `0x7f` or a block type; frames with their sync code. One packet is one frame.
          for (const packet of join(page)) {
            if (packet[0] !== 0xff) continue;
            const block = await decoder.decode(packet);
            if (block) yield block;
            else warn("Parts of it are damaged and were left out; times after them are early.");
          }
        },
        async *finish() {},
        free: () => decoder.free(),
      };
    },
  };
}

/** Ogg mapping of Opus (RFC 7845, section 4): the samples before `preSkip` and beyond the last position are cut off. */
function opusStream(name: string, head: OpusHead): OggStream {
  const toSamples = (ticks: number) => Math.round((ticks * head.sampleRateHz) / OPUS_TICKS_HZ);
  return {
    format: "OGG Opus",
    sampleRateHz: head.sampleRateHz,
    numChannels: head.numChannels,
    samplesAt: (granule) => toSamples(granule - head.preSkip),
    async open() {
      const decoder = await opusPackets(name, head);
      const join = packetJoiner();
      let numHeaders = 2; // OpusHead and OpusTags
      let numDecoded = 0;
      let start: number | undefined;
      return {
        async *decode(page, warn) {
          const packets = join(page);
          const sound = packets.slice(numHeaders);
          numHeaders -= packets.length - sound.length;
          const block = sound.length === 0 ? undefined : await decoder.decode(sound, warn);
          if (!block) return;
          const blockStart = numDecoded;
          numDecoded += block[0].length;
          // A recording of a broadcast begins at any position; a page that is first and last tells only its end.
          start ??= page.isLast ? 0 : Math.max(0, toSamples(page.granule) - numDecoded);
          const end = page.isLast && page.granule >= 0 ? toSamples(page.granule) - start : numDecoded;
          const kept = sliceBlock(block, toSamples(head.preSkip) - blockStart, end - blockStart);
          if (kept) yield kept;
        },
        async *finish() {},
        free: () => decoder.free(),
      };
    },
  };
}
