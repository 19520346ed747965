import { copyFile, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { type ByteSink, type ByteSource, type FolderSink, SpeechError } from "@nemo-stt/core";
import type { FileSource } from "./file-source.ts";

/** A folder on the disk that files can be written into; it is made where it does not exist. */
export async function folderSink(folder: string): Promise<FolderSink> {
  await mkdir(folder, { recursive: true }).catch(writeFailed(folder));
  return {
    async create(name) {
      return openSink(join(folder, name), "w");
    },
    async createCopy(name, source) {
      if (!isFileSource(source)) return undefined;
      const path = join(folder, name);
      // The system copies inside the kernel, or shares the blocks where the file system can.
      await copyFile(source.path, path).catch(writeFailed(path));
      return openSink(path, "a");
    },
  };
}

const isFileSource = (source: ByteSource): source is FileSource => "path" in source;

async function openSink(path: string, flags: "w" | "a"): Promise<ByteSink & { close(): Promise<void> }> {
  const file = await open(path, flags).catch(writeFailed(path));
  return {
    async write(bytes) {
      for (let start = 0; start < bytes.byteLength; ) {
        const { bytesWritten } = await file.write(bytes, start).catch(writeFailed(path));
        start += bytesWritten;
      }
    },
    close: () => file.close(),
  };
}

function writeFailed(path: string): (error: unknown) => never {
  return (error) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SpeechError("WRITE_FAILED", `${path}: expected to write here, got ${reason}. Name another folder.`, {
      cause: error,
    });
  };
}
