import type { ByteSource } from "@nemo-stt/core";

/** `TAG` and 125 bytes. */
const ID3V1_BYTES = 128;

/** Length of the ID3v2 tag that bytes begin with (id3.org, section 3.1), with its header and footer; 0 without one. */
export function id3v2Bytes(head: Uint8Array): number {
  if (head.length < 10 || head[0] !== 0x49 || head[1] !== 0x44 || head[2] !== 0x33) return 0;
  const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
  return 10 + size + (head[5] & 0x10 ? 10 : 0);
}

/** Length of the ID3v1 tag at the end of a file; 0 without one. */
export async function id3v1Bytes(source: ByteSource): Promise<number> {
  if (source.sizeBytes < ID3V1_BYTES) return 0;
  const start = source.sizeBytes - ID3V1_BYTES;
  const magic = await source.read(start, start + 3);
  return String.fromCharCode(...magic) === "TAG" ? ID3V1_BYTES : 0;
}
