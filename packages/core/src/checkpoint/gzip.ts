import { type ByteSource, checkRange } from "../bytes.ts";
import { isSpeechError, SpeechError } from "../errors.ts";

/** Where unpacked bytes go: memory unless the platform has something larger (a temporary file). */
export interface Spill {
  /** Appends; `bytes` may be reused by the caller afterwards. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends writing and gives the bytes back as a source. */
  finish(): Promise<ByteSource>;
  /** Frees what was written, after a failure. */
  abort(): Promise<void>;
}

/** Opens a `Spill` for the content of the file called `name`. */
export type CreateSpill = (name: string) => Promise<Spill>;

/** The part of the Web's `DecompressionStream` that is used (WHATWG Compression Standard; Node 18, browsers 2023). */
interface ByteTransform {
  readonly writable: {
    getWriter(): {
      write(bytes: Uint8Array): Promise<void>;
      close(): Promise<void>;
      abort(reason: unknown): Promise<void>;
    };
  };
  readonly readable: {
    getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array }>; cancel(reason: unknown): Promise<void> };
  };
}
declare const DecompressionStream: new (format: "gzip") => ByteTransform;

/** Old `.nemo` files, the only packed ones, have at most 1.5 GB; a larger one is not loaded by a machine this limit hurts. */
const MAX_INFLATED_BYTES = 16 * 2 ** 30;
/** Weights shrink by a tenth. Only constant tensors and padding shrink more, and those are small. */
const MAX_RATIO = 100;
/** Below this size any ratio will do. */
const RATIO_FREE_BYTES = 64 << 20;
/** What a browser tab or a small server holds without harm. Platforms with files pass a `Spill` of their own. */
const MAX_MEMORY_BYTES = 2 ** 30;
const READ_BYTES = 1 << 20;
/** A browser unpacks all it is fed at once; deflate's ratio of 1032 makes at most 135 MB of this. */
const FEED_BYTES = 1 << 17;
const MEMORY_CHUNK_BYTES = 1 << 18;

/** True for bytes that begin as a gzip file does. */
export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/**
 * Unpacks a gzip file (RFC 1952), reading it by ranges, into `createSpill`'s target.
 * @throws SpeechError `FORMAT_INVALID` (corrupt or truncated), `LIMIT_EXCEEDED` (too large, or a bomb).
 */
export async function inflateGzip(source: ByteSource, createSpill: CreateSpill = memorySpill): Promise<ByteSource> {
  const spill = await createSpill(source.name);
  const stream = new DecompressionStream("gzip");
  const reader = stream.readable.getReader();
  const writer = stream.writable.getWriter();
  const feeding = feed(source, writer);
  feeding.catch(() => {}); // Awaited below; the reader may fail first.
  try {
    let numBytes = 0;
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      numBytes += chunk.value!.length;
      checkSize(numBytes, source);
      await spill.write(chunk.value!);
    }
    await feeding;
    return await spill.finish();
  } catch (error) {
    reader.cancel(error).catch(() => {});
    writer.abort(error).catch(() => {});
    const readError = await feeding.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    await spill.abort();
    if (isSpeechError(error)) throw error;
    if (isSpeechError(readError)) throw readError;
    throw new SpeechError(
      "FORMAT_INVALID",
      `${source.name}: expected a whole gzip file, got one that cannot be unpacked. The file is truncated or corrupt; download it again.`,
      { cause: error },
    );
  }
}

async function feed(source: ByteSource, writer: ReturnType<ByteTransform["writable"]["getWriter"]>): Promise<void> {
  for (let start = 0; start < source.sizeBytes; start += READ_BYTES) {
    const bytes = await source
      .read(start, Math.min(start + READ_BYTES, source.sizeBytes))
      .catch(async (error: unknown) => {
        await writer.abort(error).catch(() => {});
        throw error;
      });
    for (let at = 0; at < bytes.length; at += FEED_BYTES) await writer.write(bytes.subarray(at, at + FEED_BYTES));
  }
  await writer.close();
}

function checkSize(numBytes: number, source: ByteSource): void {
  if (numBytes > MAX_INFLATED_BYTES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${source.name}: expected at most ${MAX_INFLATED_BYTES} bytes when unpacked, got more. Unpack it with gunzip.`,
    );
  }
  if (numBytes > RATIO_FREE_BYTES && numBytes > source.sizeBytes * MAX_RATIO) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${source.name}: expected at most ${MAX_RATIO} unpacked bytes for each packed one, got ${numBytes} of ${source.sizeBytes}. Model weights do not pack like this; unpack it with gunzip if you trust it.`,
    );
  }
}

/** A `Spill` in memory, of at most 1 GiB. Chunks are not joined at the end, so that the bytes are held once. */
export async function memorySpill(name: string): Promise<Spill> {
  const chunks: Uint8Array[] = [];
  let numBytes = 0;
  return {
    async write(bytes) {
      if (numBytes + bytes.length > MAX_MEMORY_BYTES) {
        throw new SpeechError(
          "LIMIT_EXCEEDED",
          `${name}: expected at most ${MAX_MEMORY_BYTES} bytes when unpacked in memory, got more. Unpack it with gunzip.`,
        );
      }
      for (let taken = 0; taken < bytes.length; ) {
        const at = numBytes % MEMORY_CHUNK_BYTES;
        if (at === 0) chunks.push(new Uint8Array(MEMORY_CHUNK_BYTES));
        const part = bytes.subarray(taken, taken + MEMORY_CHUNK_BYTES - at);
        chunks.at(-1)!.set(part, at);
        taken += part.length;
        numBytes += part.length;
      }
    },
    async finish() {
      return chunkedSource(chunks, numBytes, name);
    },
    async abort() {
      chunks.length = 0;
    },
  };
}

function chunkedSource(chunks: readonly Uint8Array[], sizeBytes: number, name: string): ByteSource {
  const self = {
    name,
    sizeBytes,
    async read(start: number, end: number): Promise<Uint8Array> {
      checkRange(self, start, end);
      const bytes = new Uint8Array(end - start);
      for (let at = start; at < end; ) {
        const inChunk = at % MEMORY_CHUNK_BYTES;
        const part = chunks[Math.floor(at / MEMORY_CHUNK_BYTES)].subarray(inChunk, inChunk + end - at);
        bytes.set(part, at - start);
        at += part.length;
      }
      return bytes;
    },
  };
  return self;
}
