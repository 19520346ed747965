import { type ByteSource, memorySource, SpeechError } from "@nemo-stt/core";
import { openFileSource } from "../file-source.ts";
import { type FileSpill, fileSpill } from "../spill.ts";

/** A recording: a path, `-` for standard input, bytes, or a stream of bytes. */
export type AudioInput = string | Uint8Array | AsyncIterable<Uint8Array>;

/** An input as bytes that can be read anywhere, several times. */
export interface OpenInput {
  readonly source: ByteSource;
  /** A file with these bytes, which is made when there is none. */
  path(): Promise<string>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Twelve hours of stereo at 48 kHz as floats take 16 GB; a stream that goes on for longer never ends. */
const MAX_STREAM_BYTES = 16 * 2 ** 30;
const COPY_BYTES = 1024 * 1024;

/**
 * Opens an input. A stream is read to its end, into a temporary file.
 * @throws SpeechError `NOT_FOUND`, `WRITE_FAILED`, `LIMIT_EXCEEDED`.
 */
export async function openInput(input: AudioInput, name?: string): Promise<OpenInput> {
  if (typeof input === "string" && input !== "-") {
    const source = await openFileSource(input, name);
    return { source, path: async () => source.path, close: source.close };
  }
  const spill = fileSpill();
  if (input instanceof Uint8Array) {
    const source = memorySource(input, name ?? "recording");
    return { source, path: once(() => spillSource(spill, source)), close: spill.close };
  }
  try {
    const stream = typeof input === "string" ? process.stdin : input;
    const source = await spillStream(spill, stream, name ?? (input === "-" ? "standard input" : "recording"));
    return { source, path: async () => source.path, close: spill.close };
  } catch (error) {
    await spill.close();
    throw error;
  }
}

async function spillStream(spill: FileSpill, stream: AsyncIterable<Uint8Array>, name: string) {
  const target = await spill.create(name);
  let sizeBytes = 0;
  for await (const chunk of stream) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_STREAM_BYTES) {
      throw new SpeechError(
        "LIMIT_EXCEEDED",
        `${name}: expected a recording of at most ${MAX_STREAM_BYTES} bytes, got more. Send it in parts.`,
      );
    }
    await target.write(chunk);
  }
  return target.finish();
}

async function spillSource(spill: FileSpill, source: ByteSource): Promise<string> {
  async function* parts(): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < source.sizeBytes; start += COPY_BYTES) {
      yield await source.read(start, Math.min(source.sizeBytes, start + COPY_BYTES));
    }
  }
  return (await spillStream(spill, parts(), source.name)).path;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
