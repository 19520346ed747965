import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import { type AudioOptions, openAudio, toModelInput } from "@nemo-stt/node";

/** Extensions that are taken for recordings when a folder is named. */
const AUDIO_EXTENSIONS = new Set(
  ".wav .wave .flac .mp3 .ogg .oga .opus .webm .mka .mp4 .m4a .aac .raw .pcm .ulaw .mulaw .ul .alaw .al .aiff .aif .au .snd".split(
    " ",
  ),
);

/** A recording as the model hears it: one waveform a channel that was asked for, and what was odd about the file. */
export interface Recording {
  readonly channels: readonly Float32Array[];
  readonly warnings: readonly string[];
}

/** How recordings are read. */
export interface ReadOptions {
  readonly channels?: "mix" | "split" | number;
  /** For samples without a header. */
  readonly raw?: AudioOptions["raw"];
}

/** Reads a recording at a model's sample rate. */
export async function readRecording(path: string, sampleRateHz: number, options: ReadOptions = {}): Promise<Recording> {
  const audio = await openAudio(path, { raw: options.raw });
  try {
    const channels = await toModelInput(audio, sampleRateHz, { channels: options.channels ?? "mix" });
    return { channels, warnings: [...audio.warnings] };
  } finally {
    await audio.close();
  }
}

/** One mono waveform. */
export async function readWaveform(
  path: string,
  sampleRateHz: number,
  options: ReadOptions = {},
): Promise<Float32Array> {
  const { channels } = await readRecording(path, sampleRateHz, { ...options, channels: "mix" });
  return channels[0];
}

/**
 * The recordings that some paths name: files as they are, folders by their recordings, sorted, subfolders included.
 * @throws SpeechError `NOT_FOUND` for a path that does not exist
 */
export async function listRecordings(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    if (path === "-") {
      found.push(path);
      continue;
    }
    const info = await stat(path).catch((cause: unknown) => {
      throw new SpeechError("NOT_FOUND", `${path}: expected a recording or a folder, got nothing. Check the path.`, {
        cause,
      });
    });
    if (info.isDirectory()) found.push(...(await recordingsIn(path)));
    else found.push(path);
  }
  return found;
}

async function recordingsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = entries
    .filter((entry) => entry.isFile() && AUDIO_EXTENSIONS.has(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  if (files.length === 0) {
    throw new SpeechError(
      "NOT_FOUND",
      `${folder}: expected recordings (${[...AUDIO_EXTENSIONS].slice(0, 6).join(", ")}, …), got none. Name another folder.`,
    );
  }
  return files;
}
