import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { type ByteSource, checkRange, SpeechError } from "@nemo-stt/core";

/** A `ByteSource` over an open file; whoever opened it closes it. */
export interface FileSource extends ByteSource {
  readonly path: string;
  /** Idempotent. */
  close(): Promise<void>;
}

/** The kernel reads at most 2 GiB - 4 KiB at a time; this is below it on every platform. */
const MAX_READ_BYTES = 1024 * 1024 * 1024;

/**
 * Opens a file for reads by ranges, at any offset. `name` stands in messages.
 * @throws SpeechError `NOT_FOUND` when it does not exist, cannot be read or is no regular file.
 */
export async function openFileSource(path: string, name = basename(path)): Promise<FileSource> {
  const file = await open(path, "r").catch((error) => {
    throw notFound(path, error);
  });
  const stat = await file.stat();
  if (!stat.isFile()) {
    await file.close();
    const [kind, advice] = stat.isDirectory()
      ? ["a folder", "Name a file in it."]
      : ["a pipe or device", "It is read as it comes by `stream`; copy it to a file for anything else."];
    throw new SpeechError("NOT_FOUND", `${path}: expected a file, got ${kind}. ${advice}`);
  }
  let isClosed = false;
  const self: FileSource = {
    name,
    path,
    sizeBytes: stat.size,
    async read(start, end) {
      checkRange(self, start, end);
      if (isClosed)
        throw new SpeechError("CLOSED", `${name}: expected an open file, got one after \`close()\`. Open it again.`);
      return readRange(file, name, start, end);
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await file.close();
    },
  };
  return self;
}

async function readRange(file: FileHandle, name: string, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  let filled = 0;
  while (filled < bytes.length) {
    const wanted = Math.min(bytes.length - filled, MAX_READ_BYTES);
    const { bytesRead } = await file.read(bytes, filled, wanted, start + filled);
    if (bytesRead === 0) {
      throw new SpeechError(
        "FORMAT_INVALID",
        `${name}: expected bytes [${start}, ${end}), got the end of the file at ${start + filled}. It shrank while it was read.`,
      );
    }
    filled += bytesRead;
  }
  return bytes;
}

function notFound(path: string, error: unknown): SpeechError {
  const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "nothing" : (error as Error).message;
  return new SpeechError("NOT_FOUND", `${path}: expected a readable file, got ${reason}. Check the path.`, {
    cause: error,
  });
}
