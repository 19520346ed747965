import { SpeechError } from "./errors.ts";

/**
 * Random access to bytes: a file, a Blob, an HTTP range source or memory. The one interface through which checkpoints
 * and other large inputs are read.
 */
export interface ByteSource {
  /** What to call it in error messages: a file name or address. */
  readonly name: string;
  readonly sizeBytes: number;
  /**
   * Reads `[start, end)`. The result holds exactly `end - start` bytes and belongs to the caller.
   * @throws SpeechError `FORMAT_INVALID` when the range reaches beyond the end.
   */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Checks a range against a source's size, for implementations of `ByteSource.read`. */
export function checkRange(source: { name: string; sizeBytes: number }, start: number, end: number): void {
  if (!(start >= 0 && end >= start && end <= source.sizeBytes)) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${source.name}: expected bytes [${start}, ${end}) to exist, got a size of ${source.sizeBytes}. The file is truncated or corrupt.`,
    );
  }
}

/** A `ByteSource` over bytes in memory. `read` returns copies. */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  // Node's Buffer is a Uint8Array whose `slice` copies nothing.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const self = {
    name,
    sizeBytes: bytes.byteLength,
    async read(start: number, end: number): Promise<Uint8Array> {
      checkRange(self, start, end);
      return plain.slice(start, end);
    },
  };
  return self;
}

/** The range `[start, end)` of another source as a source of its own. */
export function sliceSource(source: ByteSource, start: number, end: number, name = source.name): ByteSource {
  checkRange(source, start, end);
  const self = {
    name,
    sizeBytes: end - start,
    async read(from: number, to: number): Promise<Uint8Array> {
      checkRange(self, from, to);
      return source.read(start + from, start + to);
    },
  };
  return self;
}
