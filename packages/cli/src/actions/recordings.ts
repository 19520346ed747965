import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, relative, resolve, sep } from "node:path";
import { isSpeechError, SpeechError } from "@nemo-stt/core";
import { type Audio, type AudioOptions, modelInputBlocks, openAudio, toModelInput } from "@nemo-stt/node";

/** Extensions that are taken for recordings when a folder is named. */
const AUDIO_EXTENSIONS = new Set(
  ".wav .wave .flac .mp3 .ogg .oga .opus .webm .mka .mp4 .m4a .aac .raw .pcm .ulaw .mulaw .ul .alaw .al .aiff .aif .au .snd".split(
    " ",
  ),
);

/** A recording that was named on the command line, itself or by its folder. */
export interface NamedRecording {
  readonly path: string;
  /** What it is called within what was named: a path below the folder, or the file's name. */
  readonly name: string;
  /** Why there is nothing to read. */
  readonly error?: SpeechError;
}

/** A recording as the model hears it: one waveform a channel that was asked for, and what was odd about the file. */
export interface Recording {
  readonly channels: readonly Float32Array[];
  readonly warnings: readonly string[];
}

/** How recordings are read. */
export interface ReadOptions {
  /** A number counts from 1, as transcripts do. */
  readonly channels?: "mix" | "split" | number;
  /** For samples without a header. */
  readonly raw?: AudioOptions["raw"];
}

/**
 * Reads a recording at a model's sample rate; `-` is standard input.
 * @throws SpeechError
 */
export async function readRecording(path: string, sampleRateHz: number, options: ReadOptions = {}): Promise<Recording> {
  const audio = await openAudio(path, { raw: options.raw });
  try {
    const channels = await toModelInput(audio, sampleRateHz, { channels: channelChoice(audio, options.channels) });
    return { channels, warnings: [...audio.warnings] };
  } finally {
    await audio.close();
  }
}

/** A recording that is read part by part; whoever opened it closes it. */
export interface OpenRecording {
  /** The next samples, one array for each channel that was asked for: at least so many, unless it ends. */
  read(minSamples: number): Promise<readonly Float32Array[]>;
  /** True when all of it was read. */
  readonly hasEnded: boolean;
  /** Complete when all of it was read. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens a recording to be read at a model's sample rate; `-` is standard input.
 * @throws SpeechError, as `read` does
 */
export async function openRecording(path: string, sampleRateHz: number, options: ReadOptions): Promise<OpenRecording> {
  const audio = await openAudio(path, { raw: options.raw });
  let hasEnded = false;
  const blocks = await openBlocks(audio, sampleRateHz, options).catch(closeWith);
  async function closeWith(error: unknown): Promise<never> {
    await audio.close();
    throw error;
  }
  return {
    async read(minSamples) {
      const parts: Float32Array[][] = [];
      let numSamples = 0;
      while (!hasEnded && numSamples < minSamples) {
        const next = await blocks.next().catch(closeWith);
        hasEnded = next.done === true;
        if (!next.done) parts.push(next.value);
        numSamples += next.value?.[0].length ?? 0;
      }
      const numChannels = options.channels === "split" ? audio.numChannels : 1;
      return Array.from({ length: numChannels }, (_, i) => joined(parts.map((part) => part[i])));
    },
    get hasEnded() {
      return hasEnded;
    },
    get warnings() {
      return [...audio.warnings];
    },
    close: () => audio.close(),
  };
}

async function openBlocks(audio: Audio, sampleRateHz: number, { channels }: ReadOptions) {
  return modelInputBlocks(audio, sampleRateHz, { channels: channelChoice(audio, channels) });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The channel that was asked for as `toModelInput` counts them. @throws SpeechError where there is none */
export function channelChoice(audio: Audio, choice: ReadOptions["channels"] = "mix"): "mix" | "split" | number {
  if (typeof choice !== "number") return choice;
  if (choice <= audio.numChannels) return choice - 1;
  throw new SpeechError(
    "AUDIO_UNSUPPORTED",
    `${audio.name}: expected a recording with a channel ${choice}, got one of ${audio.numChannels}. Choose another channel, or mix.`,
  );
}

/** One mono waveform; what is odd about the file goes to `warn`. */
export async function readWaveform(
  path: string,
  sampleRateHz: number,
  warn: (text: string) => void,
): Promise<Float32Array> {
  const { channels, warnings } = await readRecording(path, sampleRateHz);
  for (const warning of warnings) warn(`${path}: ${warning}`);
  return channels[0];
}

/**
 * The recordings that some paths name, each once: files as they are, folders by their recordings, sorted, subfolders
 * included, hidden files left out. A path that names nothing is in the list with the reason.
 */
export async function listRecordings(paths: readonly string[]): Promise<NamedRecording[]> {
  const found = new Map<string, NamedRecording>();
  for (const path of paths) {
    for (const recording of await recordingsAt(path)) {
      const key = path === "-" ? path : resolve(recording.path);
      if (!found.has(key)) found.set(key, recording);
    }
  }
  return [...found.values()];
}

async function recordingsAt(path: string): Promise<NamedRecording[]> {
  if (path === "-") return [{ path, name: "stdin" }];
  const named = { path, name: basename(path) };
  try {
    const info = await stat(path);
    return info.isDirectory() ? await recordingsIn(path) : [named];
  } catch (cause) {
    return [{ ...named, error: isSpeechError(cause) ? cause : notFound(path, "a recording or a folder", cause) }];
  }
}

async function recordingsIn(folder: string): Promise<NamedRecording[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, name: relative(folder, path) }))
    .filter(({ name }) => AUDIO_EXTENSIONS.has(extname(name).toLowerCase()))
    .filter(({ name }) => !name.split(sep).some((part) => part.startsWith(".")))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (files.length > 0) return files;
  const known = [...AUDIO_EXTENSIONS].slice(0, 6).join(", ");
  throw new SpeechError(
    "NOT_FOUND",
    `${folder}: expected recordings (${known}, …), got a folder without any. Name another folder.`,
  );
}

/** An error of the file system as one of ours. */
export function notFound(path: string, expected: string, cause: unknown): SpeechError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const got = code === "ENOENT" ? "nothing of that name" : cause instanceof Error ? cause.message : String(cause);
  return new SpeechError("NOT_FOUND", `${path}: expected ${expected}, got ${got}. Check the path.`, { cause });
}
