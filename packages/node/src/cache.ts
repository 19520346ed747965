import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { isSpeechError, SpeechError } from "@nemo-stt/core";

/** A temporary folder older than this belongs to a process that died; no export takes a day. */
const MAX_TEMPORARY_AGE_MS = 24 * 60 * 60 * 1000;

/**
 * The folder for what can be made again: `NEMO_STT_CACHE`, else `nemo-stt` in the platform's cache folder
 * (`XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on Windows). Creates nothing.
 */
export function cacheFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (environment.NEMO_STT_CACHE) return environment.NEMO_STT_CACHE;
  const home = environment.HOME || homedir();
  // The XDG base directory specification has relative paths ignored.
  const xdg = environment.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, "nemo-stt");
  if (platform === "darwin") return join(home, "Library", "Caches", "nemo-stt");
  if (platform === "win32")
    return join(environment.LOCALAPPDATA || join(home, "AppData", "Local"), "nemo-stt", "Cache");
  return join(home, ".cache", "nemo-stt");
}

/**
 * Gives `folder`, after making it with `fill` unless it exists. It appears whole or not at all: `fill` writes into a
 * temporary sibling, which is flushed to the disk and renamed. When several processes make the same folder, the first
 * one's stays and all use it.
 * @throws SpeechError `WRITE_FAILED`, or whatever `fill` throws.
 */
export async function publishFolder(folder: string, fill: (temporary: string) => Promise<void>): Promise<string> {
  if (await isFolder(folder)) return folder;
  try {
    const parent = dirname(folder);
    await mkdir(parent, { recursive: true });
    await removeAbandoned(parent, temporaryPrefix(folder));
    const temporary = await mkdtemp(join(parent, temporaryPrefix(folder)));
    try {
      await fill(temporary);
      await flushFolder(temporary);
      await renameUnlessThere(temporary, folder);
      await flush(parent);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
    return folder;
  } catch (error) {
    if (isSpeechError(error) || !isSystemError(error)) throw error;
    throw new SpeechError(
      "WRITE_FAILED",
      `${folder}: expected to write this folder, got ${error.message}. Free space or name another folder.`,
      { cause: error },
    );
  }
}

/**
 * Removes the siblings of `folder` that it takes the place of. Each disappears as a whole, by a rename, before its files
 * are removed. Where another process uses one: what it has open or mapped stays readable to it on POSIX systems, and
 * only what it opens later is missing; Windows refuses, and the folder stays. What cannot be removed is no error.
 */
export async function removeSuperseded(folder: string, isSuperseded: (name: string) => boolean): Promise<void> {
  const parent = dirname(folder);
  for (const name of await readdir(parent).catch(() => [])) {
    // Another process may be removing it, or have died over it: both go on with what is left.
    const [, hidden] = /^\.(.+)\.removing-[^.]*$/.exec(name) ?? [];
    if (name === basename(folder) || !isSuperseded(hidden ?? name)) continue;
    const place = hidden === undefined ? join(parent, `.${name}.removing-${process.pid}`) : join(parent, name);
    try {
      if (hidden === undefined) await rename(join(parent, name), place);
      await rm(place, { recursive: true, force: true });
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }
}

const temporaryPrefix = (folder: string) => `.${basename(folder)}.making-`;

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

async function renameUnlessThere(temporary: string, folder: string): Promise<void> {
  try {
    await rename(temporary, folder);
  } catch (error) {
    // A folder that is not empty is never replaced: ENOTEMPTY or EEXIST, on Windows EPERM.
    if (!(await isFolder(folder))) throw error;
  }
}

async function removeAbandoned(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const path = join(parent, name);
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > MAX_TEMPORARY_AGE_MS) await rm(path, { recursive: true, force: true });
  }
}

async function flushFolder(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    await flush(join(entry.parentPath, entry.name));
  }
  await flush(folder);
}

async function flush(path: string): Promise<void> {
  const file = await open(path, "r").catch(() => undefined); // Windows opens no folders.
  try {
    await file?.sync().catch(ignoreUnsupported);
  } finally {
    await file?.close();
  }
}

/** Some file systems do not flush what is open for reading only, or folders; the rename is atomic there as well. */
function ignoreUnsupported(error: NodeJS.ErrnoException): void {
  if (!["EINVAL", "EPERM", "EBADF", "ENOTSUP"].includes(error.code ?? "")) throw error;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}
