import { type ByteSource, SpeechError } from "@nemo-stt/core";
import type { DecodedAudio, Warn } from "./decoded.ts";
import { parseElements, parseUnsigned, parseVint, type ReadAt, readElement, windowReader } from "./ebml.ts";
import { OPUS_TICKS_HZ, type OpusHead, opusPacketSamples, opusPackets, parseOpusHead, sliceBlock } from "./opus.ts";
import { silence } from "./silence.ts";

/** Ids of the elements that are read (RFC 9559). Of these the first three are entered, everything else is stepped over. */
const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;
const BLOCK_GROUP = 0xa0;
const TRACKS = 0x1654ae6b;
const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const TRACK_TYPE = 0x83;
const CODEC_ID = 0x86;
const CODEC_PRIVATE = 0x63a2;
const INFO = 0x1549a966;
const TIMESTAMP_SCALE = 0x2ad7b1;
const CLUSTER_TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK = 0xa1;
const DISCARD_PADDING = 0x75a2;

const AUDIO_TRACK = 2;
/** Descriptions of tracks have some kilobytes, packets of Opus at most 61 KB (RFC 6716, section 3.4). */
const MAX_ELEMENT_BYTES = 1024 * 1024;
/** Decoded at a time: a second of sound. */
const PACKETS_PER_BLOCK = 50;
/** Browsers leave gaps of a packet or two; a longer one is filled, so that the times after it stay right. */
const GAP_SEC = { shortest: 0.2, longest: 60 } as const;

type Blocks = AsyncGenerator<Float32Array[], void, undefined>;

/** An Opus track of a file. */
interface OpusTrack {
  readonly number: number;
  readonly head: OpusHead;
}

/**
 * Opens the first sound track of a WebM or Matroska file, if that is Opus, as browsers record it; `undefined` if it is of
 * another codec.
 * @throws SpeechError `AUDIO_INVALID` when the file is damaged or has no sound track.
 */
export async function openWebm(source: ByteSource): Promise<DecodedAudio | undefined> {
  const track = await findTrack(source);
  if (!track) return undefined;
  return {
    format: "WebM Opus",
    sampleRateHz: track.head.sampleRateHz,
    numChannels: track.head.numChannels,
    blocks: (warn) => decodeTrack(source, track, warn),
  };
}

async function findTrack(source: ByteSource): Promise<OpusTrack | undefined> {
  for await (const element of readParts(source, () => {})) {
    if (element.id === CLUSTER) break;
    if (element.id !== TRACKS) continue;
    for (const { id, content } of parseElements(element.content)) {
      if (id !== TRACK_ENTRY) continue;
      const fields = new Map([...parseElements(content)].map((field) => [field.id, field.content]));
      if (numberOf(fields.get(TRACK_TYPE)) !== AUDIO_TRACK) continue;
      const privateBytes = fields.get(CODEC_PRIVATE);
      if (textOf(fields.get(CODEC_ID)) !== "A_OPUS" || !privateBytes) return undefined;
      return { number: numberOf(fields.get(TRACK_NUMBER)), head: parseOpusHead(source.name, privateBytes.slice()) };
    }
  }
  const text = `${source.name}: expected a sound track, got none. Name a file with sound; this one may be damaged.`;
  throw new SpeechError("AUDIO_INVALID", text);
}

const numberOf = (bytes: Uint8Array | undefined) => parseUnsigned(bytes?.subarray(0, 8) ?? new Uint8Array(0));
const textOf = (bytes: Uint8Array | undefined) =>
  String.fromCharCode(...(bytes?.subarray(0, 32) ?? [])).replace(/\0+$/, "");

interface Part {
  readonly id: number;
  /** Empty for elements that are entered. */
  readonly content: Uint8Array;
}

const ENTERED: ReadonlySet<number> = new Set([SEGMENT, CLUSTER, BLOCK_GROUP]);
const READ: ReadonlySet<number> = new Set([TRACKS, INFO, CLUSTER_TIMESTAMP, SIMPLE_BLOCK, BLOCK, DISCARD_PADDING]);

/** The elements that matter, in order. Where the bytes make no sense, it goes on with the next cluster. */
async function* readParts(source: ByteSource, warn: Warn): AsyncGenerator<Part, void, undefined> {
  const read = windowReader(source);
  for (let position = 0; position < source.sizeBytes; ) {
    const element = await readElement(read, position, source.sizeBytes);
    const isEntered = element && ENTERED.has(element.id);
    if (!element || (element.end > source.sizeBytes && !isEntered)) {
      const next = await findCluster(read, position + 1, source.sizeBytes);
      if (next < source.sizeBytes) warn("Parts of it are damaged and were left out.");
      else warn("It is cut off, or its end is damaged.");
      position = next;
    } else if (isEntered) {
      yield { id: element.id, content: new Uint8Array(0) };
      position = element.start;
    } else {
      const sizeBytes = element.end - element.start;
      if (READ.has(element.id) && sizeBytes <= MAX_ELEMENT_BYTES) {
        yield { id: element.id, content: await read(element.start, sizeBytes) };
      }
      position = element.end;
    }
  }
}

async function findCluster(read: ReadAt, start: number, sizeBytes: number): Promise<number> {
  const step = 32_768;
  for (let position = start; position < sizeBytes; position += step) {
    const bytes = await read(position, step + 3);
    for (let at = bytes.indexOf(CLUSTER >>> 24); at >= 0 && at < step; at = bytes.indexOf(CLUSTER >>> 24, at + 1)) {
      if (parseUnsigned(bytes.subarray(at, at + 4)) === CLUSTER) return position + at;
    }
  }
  return sizeBytes;
}

async function* decodeTrack(source: ByteSource, track: OpusTrack, warn: Warn): Blocks {
  const { head } = track;
  const decoder = await opusPackets(source.name, head);
  let packets: Uint8Array[] = [];
  let numSkipped = 0;
  const preSkip = Math.round((head.preSkip * head.sampleRateHz) / OPUS_TICKS_HZ);

  /** Decodes what has come, without the warm-up at the start of the track and `trimmed` samples at the end. */
  async function* decodePending(trimmed = 0): Blocks {
    const block = packets.length === 0 ? undefined : await decoder.decode(packets, warn);
    packets = [];
    if (!block) return;
    const toSkip = Math.min(block[0].length, preSkip - numSkipped);
    numSkipped += toSkip;
    const kept = sliceBlock(block, toSkip, block[0].length - trimmed);
    if (kept) yield kept;
  }

  try {
    let endSec: number | undefined;
    for await (const event of trackEvents(source, track, warn)) {
      if (event.kind === "trim") {
        yield* decodePending(Math.round(event.sec * head.sampleRateHz));
        continue;
      }
      const gapSec = endSec === undefined ? 0 : event.timeSec - endSec;
      if (gapSec > GAP_SEC.shortest && gapSec <= GAP_SEC.longest) {
        yield* decodePending();
        warn("It has gaps, which were taken as silence.");
        yield* silence(head.numChannels, Math.round(gapSec * head.sampleRateHz));
      }
      endSec = event.timeSec + opusPacketSamples(event.packet) / OPUS_TICKS_HZ;
      packets.push(event.packet);
      if (packets.length > PACKETS_PER_BLOCK) yield* decodePending();
    }
    yield* decodePending();
  } finally {
    decoder.free();
  }
}

type TrackEvent =
  | { readonly kind: "packet"; readonly packet: Uint8Array; readonly timeSec: number }
  /** The end of what came before is padding. */
  | { readonly kind: "trim"; readonly sec: number };

/** The packets of one track with their times. */
async function* trackEvents(
  source: ByteSource,
  track: OpusTrack,
  warn: Warn,
): AsyncGenerator<TrackEvent, void, undefined> {
  let tickSec = 1e-3;
  let clusterTicks = 0;
  let isOurs = false;
  for await (const { id, content } of readParts(source, warn)) {
    if (id === INFO) {
      for (const field of parseElements(content))
        if (field.id === TIMESTAMP_SCALE) tickSec = parseUnsigned(field.content) / 1e9;
    } else if (id === CLUSTER_TIMESTAMP) {
      clusterTicks = parseUnsigned(content.subarray(0, 8));
    } else if (id === SIMPLE_BLOCK || id === BLOCK) {
      const block = parseBlock(content);
      isOurs = block?.trackNumber === track.number;
      if (!block || !isOurs) continue;
      if (block.isLaced) {
        throw new SpeechError(
          "AUDIO_UNSUPPORTED",
          `${source.name}: expected one Opus packet in a block, got several. Convert it, for example with ffmpeg.`,
        );
      }
      yield { kind: "packet", packet: block.packet, timeSec: (clusterTicks + block.ticks) * tickSec };
    } else if (id === DISCARD_PADDING && isOurs) {
      yield { kind: "trim", sec: parseUnsigned(content.subarray(0, 8)) / 1e9 };
    }
  }
}

/** RFC 9559, section 10: track, time against the cluster, flags. */
function parseBlock(content: Uint8Array) {
  const track = parseVint(content, 0, false);
  if (!track || content.length < track.length + 3) return undefined;
  const view = new DataView(content.buffer, content.byteOffset + track.length);
  return {
    trackNumber: track.value,
    ticks: view.getInt16(0),
    isLaced: (view.getUint8(2) & 6) !== 0,
    packet: content.slice(track.length + 3),
  };
}
