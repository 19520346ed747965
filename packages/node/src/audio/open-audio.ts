import { extname } from "node:path";
import { isSpeechError, SpeechError } from "@nemo-stt/core";
import { audioOf, createWarnings } from "./checked-audio.ts";
import type { DecodedAudio, Warn } from "./decoded.ts";
import { openWithFfmpeg } from "./ffmpeg.ts";
import { openFlac } from "./flac.ts";
import { type AudioInput, type OpenInput, openInput } from "./input.ts";
import { openMp3 } from "./mp3.ts";
import { openOgg } from "./ogg.ts";
import { openRaw, type RawFormat, rawFormat, rawFormatOf } from "./raw.ts";
import { type Sniffed, sniffAudio } from "./sniff.ts";
import { openWavFile } from "./wav.ts";
import { openWebm } from "./webm.ts";

export { collectChannels } from "./checked-audio.ts";
export type { AudioInput } from "./input.ts";

/** Options of `openAudio`. */
export interface AudioOptions {
  /** What to call it in messages; its extension counts like that of a path. */
  readonly name?: string;
  /** For samples without a header: what is not as the extension says. Content with a header is read by its header. */
  readonly raw?: Partial<RawFormat>;
  /** The ffmpeg program for formats that need it; `ffmpeg` from the search path unless told. */
  readonly ffmpeg?: string;
}

/** An opened recording; whoever opened it closes it. */
export interface Audio {
  readonly name: string;
  /** What its content is: `WAV`, `FLAC`, `OGG Opus`. */
  readonly format: string;
  readonly sampleRateHz: number;
  readonly numChannels: number;
  /** Where the file tells it. */
  readonly durationSec: number | undefined;
  /** What is wrong with it and did not stop its use, in sentences; complete when all of it was read. */
  readonly warnings: readonly string[];
  /**
   * Decodes from the start, at most 65,536 samples at a time: one array for each channel, all of one length, which
   * belong to the caller. Memory does not grow with the recording.
   * @throws SpeechError `AUDIO_INVALID`.
   */
  blocks(): AsyncGenerator<Float32Array[], void, undefined>;
  /** All samples: one array for each channel. @throws SpeechError `AUDIO_INVALID`, `LIMIT_EXCEEDED`. */
  channels(): Promise<Float32Array[]>;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a recording of any format: WAV, FLAC, MP3, OGG (Vorbis, Opus, FLAC), WebM with Opus, what an installed ffmpeg
 * reads, and samples without a header. The content decides, not the name: where they disagree there is a warning.
 * @throws SpeechError `NOT_FOUND`, `AUDIO_INVALID`, `AUDIO_UNSUPPORTED`.
 */
export async function openAudio(input: AudioInput, options: AudioOptions = {}): Promise<Audio> {
  const opened = await openInput(input, options.name);
  try {
    const extension = extname(options.name ?? (typeof input === "string" ? input : "")).toLowerCase();
    const told = createWarnings();
    const decoded = await openDecoded(opened, { ...options, extension, isStream: input === "-", warn: told.warn });
    return audioOf({ name: opened.source.name, close: opened.close }, decoded, told);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

interface OpenContext extends AudioOptions {
  readonly extension: string;
  readonly isStream: boolean;
  readonly warn: Warn;
}

async function openDecoded(opened: OpenInput, context: OpenContext): Promise<DecodedAudio> {
  const { source } = opened;
  if (source.sizeBytes === 0) {
    throw new SpeechError("AUDIO_INVALID", `${source.name}: expected a recording, got an empty file. Record it again.`);
  }
  const sniffed = await sniffAudio(source);
  const rawByName = rawFormatOf(context.extension);
  const raw = context.raw || rawByName ? rawFormat({ ...rawByName, ...context.raw }) : undefined;
  if (sniffed.kind === "no-audio") {
    throw new SpeechError(
      "AUDIO_INVALID",
      `${source.name}: expected a recording, got ${sniffed.name}. Name a file with sound.`,
    );
  }
  if (sniffed.kind !== "unknown") {
    if (raw) context.warn(`It was named as samples without a header, but it is ${sniffed.name} and was read as that.`);
    else warnOfName(sniffed, context);
    return openKnown(opened, sniffed, context);
  }
  if (raw) return openRaw(source, raw, context.warn);
  if (context.isStream) {
    const usual = rawFormat({});
    context.warn("It has no header that is known and was read as samples of 16 bits, 16,000 Hz, mono.");
    return openRaw(source, usual, context.warn);
  }
  const head = await source.read(0, Math.min(8, source.sizeBytes));
  throw new SpeechError(
    "AUDIO_UNSUPPORTED",
    `${source.name}: expected WAV, FLAC, MP3, OGG, WebM or another audio format, got bytes that begin with ${Buffer.from(head).toString("hex")}. Name it .raw, .ulaw or .alaw if it holds samples without a header.`,
  );
}

async function openKnown(
  opened: OpenInput,
  sniffed: Exclude<Sniffed, { kind: "unknown" | "no-audio" }>,
  context: OpenContext,
): Promise<DecodedAudio> {
  const { source } = opened;
  const byFfmpeg = async (demuxer: string, formatName = sniffed.name) =>
    openWithFfmpeg({ name: source.name, path: await opened.path(), formatName, demuxer, program: context.ffmpeg });
  switch (sniffed.kind) {
    case "wav":
      return openWavFile(source, context.warn).catch(
        unlessUnsupported(() => byFfmpeg("wav", "WAV of a rare encoding")),
      );
    case "flac":
      return openFlac(source, sniffed.start);
    case "mp3":
      return openMp3(source, sniffed.start);
    case "ogg":
      return openOgg(source).catch(unlessUnsupported(() => byFfmpeg("ogg", "OGG of a rare codec")));
    case "webm":
      return (await openWebm(source)) ?? byFfmpeg("matroska");
    case "other-audio":
      return byFfmpeg(sniffed.demuxer);
  }
}

/** Tries another way when a format is right and its encoding is not read here; where that fails too, the reason stays. */
function unlessUnsupported(next: () => Promise<DecodedAudio>): (error: unknown) => Promise<DecodedAudio> {
  const isUnsupported = (error: unknown) => isSpeechError(error) && error.code === "AUDIO_UNSUPPORTED";
  return (error) => {
    if (!isUnsupported(error)) throw error;
    return next().catch((later) => {
      throw isUnsupported(later) ? error : later;
    });
  };
}

/** What kind of content each extension promises. */
const KINDS_BY_EXTENSION: Readonly<Record<string, Sniffed["kind"]>> = {
  ".wav": "wav",
  ".wave": "wav",
  ".flac": "flac",
  ".mp3": "mp3",
  ".ogg": "ogg",
  ".oga": "ogg",
  ".opus": "ogg",
  ".webm": "webm",
  ".mka": "webm",
  ".mp4": "other-audio",
  ".m4a": "other-audio",
};

function warnOfName(sniffed: Sniffed & { name: string }, { extension, warn }: OpenContext): void {
  const promised = KINDS_BY_EXTENSION[extension];
  if (promised && promised !== sniffed.kind)
    warn(`It is named ${extension}, but it is ${sniffed.name} and was read as that.`);
}
