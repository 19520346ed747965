import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import { type FileSource, openFileSource } from "./file-source.ts";

/** An extracted checkpoint has some twenty files; each is an open file here. */
const MAX_FILES = 256;

/** The files of a folder, open; whoever opened them closes them. */
export interface FolderSources {
  /** By path within the folder, with `/` between its parts. */
  readonly files: ReadonlyMap<string, FileSource>;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens every file in a folder and its subfolders, as an extracted `.nemo` is read.
 * @throws SpeechError `NOT_FOUND` when there is no such folder, `LIMIT_EXCEEDED` when it has more than 256 files.
 */
export async function openFolderSources(folder: string): Promise<FolderSources> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch((error: Error) => {
    const text = `${folder}: expected a readable folder, got ${error.message}. Check the path.`;
    throw new SpeechError("NOT_FOUND", text, { cause: error });
  });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  if (paths.length > MAX_FILES) {
    const text = `${folder}: expected at most ${MAX_FILES} files, got ${paths.length}. Name the folder of one model.`;
    throw new SpeechError("LIMIT_EXCEEDED", text);
  }
  const files = new Map<string, FileSource>();
  const close = async () => void (await Promise.all([...files.values()].map((file) => file.close())));
  try {
    for (const path of paths.sort()) {
      const name = relative(folder, path).split(sep).join("/");
      files.set(name, await openFileSource(path, name));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { files, close };
}
