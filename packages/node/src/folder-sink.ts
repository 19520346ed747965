import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { type FolderSink, SpeechError } from "@nemo-stt/core";

/** A folder on the disk that files can be written into; it is made where it does not exist. */
export async function folderSink(folder: string): Promise<FolderSink> {
  await mkdir(folder, { recursive: true }).catch(writeFailed(folder));
  return {
    async create(name) {
      const path = join(folder, name);
      const file = await open(path, "w").catch(writeFailed(path));
      return {
        async write(bytes) {
          for (let start = 0; start < bytes.byteLength; ) {
            const { bytesWritten } = await file.write(bytes, start).catch(writeFailed(path));
            start += bytesWritten;
          }
        },
        close: () => file.close(),
      };
    },
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
