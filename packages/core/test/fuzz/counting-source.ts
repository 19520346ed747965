import type { ByteSource } from "../../src/bytes.ts";
import { checkRange } from "../../src/bytes.ts";

/**
 * A source over memory that throws a plain error, which no reader may let pass, when it is asked for far more than it
 * has: a reader that loops or reads the same bytes again and again.
 */
export function countingSource(bytes: Uint8Array, name = "input"): ByteSource {
  let numBytesLeft = 1_000_000 + bytes.length * 200;
  let numReadsLeft = 50_000;
  const self = {
    name,
    sizeBytes: bytes.length,
    async read(start: number, end: number): Promise<Uint8Array> {
      checkRange(self, start, end);
      numBytesLeft -= end - start;
      numReadsLeft--;
      if (numBytesLeft < 0 || numReadsLeft < 0) throw new Error("reads without end");
      return bytes.slice(start, end);
    },
  };
  return self;
}
