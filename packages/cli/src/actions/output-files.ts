import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import type { NamedRecording } from "./recordings.ts";

/** A recording and the file that its transcript goes to. */
export interface Output {
  readonly recording: NamedRecording;
  readonly path: string;
}

/**
 * A file in `folder` for every recording: the structure of a folder that was named is kept. Where two would have the same
 * file, all are named by their paths below the folder that all of them are in.
 */
export function outputFiles(recordings: readonly NamedRecording[], folder: string, extension: string): Output[] {
  const isTold = new Set(recordings.map(({ name }) => name)).size === recordings.length;
  const top = isTold ? undefined : commonFolder(recordings.filter(({ path }) => path !== "-").map(({ path }) => path));
  return recordings.map((recording) => {
    const { path, name } = recording;
    const stem = top === undefined || path === "-" ? name : relative(top, resolve(path));
    return { recording, path: join(folder, `${stem}.${extension}`) };
  });
}

/** The innermost folder that holds all of some files. */
function commonFolder(paths: readonly string[]): string {
  const [first, ...others] = paths.map((path) => dirname(resolve(path)).split(sep));
  const length = first.findIndex((part, i) => others.some((other) => other[i] !== part));
  return first.slice(0, length < 0 ? first.length : length).join(sep) || sep;
}

/** Whether a recording's file is there and not older than the recording. */
export async function isDone({ recording, path }: Output): Promise<boolean> {
  const [written, source] = await Promise.all([path, recording.path].map((p) => stat(p).catch(() => undefined)));
  return written !== undefined && source !== undefined && written.mtimeMs >= source.mtimeMs;
}

/**
 * Writes a file that appears whole or not at all, so that an interrupted run can be taken up again.
 * @throws SpeechError `WRITE_FAILED`
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.partial`);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(partial, content);
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => {});
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SpeechError("WRITE_FAILED", `${path}: expected to write here, got ${reason}. Name another place.`, {
      cause,
    });
  }
}
