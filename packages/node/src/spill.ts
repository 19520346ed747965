import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpeechError, type Spill } from "@nemo-stt/core";
import { type FileSource, openFileSource } from "./file-source.ts";

/** A spill that gives back a file. */
export interface FileSpillTarget extends Spill {
  finish(): Promise<FileSource>;
}

/** Temporary files for what has to be unpacked; whoever made it closes it when the sources are no longer read. */
export interface FileSpill {
  /** A `CreateSpill` whose sources are files. */
  create(name: string): Promise<FileSpillTarget>;
  /** Removes the files. Idempotent. */
  close(): Promise<void>;
}

/**
 * Unpacks into temporary files instead of memory, in a folder of its own in `parent` (the system's temporary folder
 * unless told).
 */
export function fileSpill(parent = tmpdir()): FileSpill {
  const sources: FileSource[] = [];
  let folder: Promise<string> | undefined;
  let numFiles = 0;
  return {
    async create(name) {
      folder ??= mkdtemp(join(parent, "nemo-stt-"));
      const path = await folder.then((made) => join(made, String(numFiles++)), writeFailed(parent));
      const file = await open(path, "wx", 0o600).catch(writeFailed(path));
      return spillInto(file, path, async () => {
        const source = await openFileSource(path, name);
        sources.push(source);
        return source;
      });
    },
    async close() {
      const made = folder;
      folder = undefined;
      await Promise.all(sources.splice(0).map((source) => source.close()));
      if (made) await rm(await made, { recursive: true, force: true });
    },
  };
}

function spillInto(file: FileHandle, path: string, reopen: () => Promise<FileSource>): FileSpillTarget {
  return {
    async write(bytes) {
      await file.writeFile(bytes).catch(writeFailed(path)); // Appends: the handle keeps its position.
    },
    async finish() {
      await file.close();
      return reopen();
    },
    async abort() {
      await file.close();
      await rm(path, { force: true });
    },
  };
}

function writeFailed(path: string): (error: unknown) => never {
  return (error) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SpeechError(
      "WRITE_FAILED",
      `${path}: expected to unpack here, got ${reason}. Free space, or set TMPDIR to a folder with more.`,
      { cause: error },
    );
  };
}
