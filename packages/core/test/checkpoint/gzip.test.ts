import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type ByteSource, memorySource } from "../../src/bytes.ts";
import { inflateGzip, memorySpill, type Spill } from "../../src/checkpoint/gzip.ts";
import { SpeechError } from "../../src/errors.ts";
import { concat, sparseSource } from "./archive-writers.ts";

/** Bytes that do not pack well, always the same. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** A spill that tells what became of it. */
function recordingSpill(log: string[]): () => Promise<Spill> {
  return async () => {
    const inner = await memorySpill("spilled");
    return {
      write: inner.write,
      finish: () => {
        log.push("finish");
        return inner.finish();
      },
      abort: () => {
        log.push("abort");
        return inner.abort();
      },
    };
  };
}

describe("inflateGzip", () => {
  test("gives the unpacked bytes as a source, read by any ranges", async () => {
    const data = noise(700_000);
    const source = await inflateGzip(memorySource(gzipSync(data), "old.nemo"));
    expect(source).toMatchObject({ name: "old.nemo", sizeBytes: data.length });
    for (const [start, end] of [
      [0, 700_000],
      [0, 0],
      [262_143, 262_145],
      [262_144, 524_288],
      [699_999, 700_000],
    ]) {
      expect(Buffer.compare(await source.read(start, end), data.slice(start, end))).toBe(0);
    }
    await expect(source.read(0, 700_001)).rejects.toMatchObject({ code: "FORMAT_INVALID" });
  });

  test("reads the packed file by ranges of a MiB, and files of several members", async () => {
    const data = noise(1_500_000);
    const packed = concat(gzipSync(data), gzipSync(data.slice(0, 10)));
    const source = sparseSource(packed.length, [{ start: 0, bytes: packed }]);
    const unpacked = await inflateGzip(source);
    const bytes = await unpacked.read(0, unpacked.sizeBytes);
    expect(Buffer.compare(bytes, concat(data, data.slice(0, 10)))).toBe(0);
    expect(source.numReads).toBe(2);
  });

  test("writes into the platform's spill", async () => {
    const log: string[] = [];
    const source = await inflateGzip(memorySource(gzipSync(noise(100))), recordingSpill(log));
    expect(await source.read(0, 100)).toEqual(noise(100));
    expect(log).toEqual(["finish"]);
  });

  const packed = gzipSync(noise(50_000));
  const wrongChecksum = packed.slice();
  wrongChecksum[packed.length - 8] ^= 1;
  const broken: [string, Uint8Array][] = [
    ["truncated", packed.slice(0, 20_000)],
    ["without its checksum", packed.slice(0, -8)],
    ["of a wrong checksum", wrongChecksum],
    ["broken in the middle", concat(packed.slice(0, 20_000), new Uint8Array(1000).fill(255), packed.slice(21_000))],
    ["of the magic number alone", packed.slice(0, 2)],
  ];
  test.each(broken)("refuses a file %s and frees the spill", async (_, bytes) => {
    const log: string[] = [];
    await expect(inflateGzip(memorySource(bytes, "old.nemo"), recordingSpill(log))).rejects.toMatchObject({
      code: "FORMAT_INVALID",
      message:
        "old.nemo: expected a whole gzip file, got one that cannot be unpacked. The file is truncated or corrupt; download it again.",
    });
    expect(log).toEqual(["abort"]);
  });

  test("stops a bomb at 64 MiB", async () => {
    const log: string[] = [];
    let numBytes = 0;
    const spill = async (): Promise<Spill> => ({
      ...(await recordingSpill(log)()),
      write: async (bytes) => {
        numBytes += bytes.length;
      },
    });
    const bomb = gzipSync(new Uint8Array(80 << 20));
    await expect(inflateGzip(memorySource(bomb, "bomb.nemo"), spill)).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: expect.stringMatching(
        /^bomb.nemo: expected at most 100 unpacked bytes for each packed one, got 67\d{6} of \d+\. Model weights do not pack like this; unpack it with gunzip if you trust it\.$/,
      ),
    });
    expect(log).toEqual(["abort"]);
    expect(numBytes).toBeLessThanOrEqual(64 << 20);
  });

  test("passes on errors of the source and of the spill", async () => {
    const failing: ByteSource = {
      name: "net.nemo",
      sizeBytes: 5_000_000,
      read: async () => {
        throw new SpeechError("NETWORK_FAILED", "net.nemo: gone.");
      },
    };
    const log: string[] = [];
    await expect(inflateGzip(failing, recordingSpill(log))).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    const full = async (): Promise<Spill> => ({
      ...(await recordingSpill(log)()),
      write: async () => {
        throw new SpeechError("WRITE_FAILED", "disk full.");
      },
    });
    await expect(inflateGzip(memorySource(packed), full)).rejects.toMatchObject({ code: "WRITE_FAILED" });
    expect(log).toEqual(["abort", "abort"]);
  });
});

describe("memorySpill", () => {
  test("holds at most one GiB", async () => {
    const spill = await memorySpill("huge.nemo");
    const write = spill.write({ length: 2 ** 30 + 1 } as Uint8Array);
    await expect(write).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: "huge.nemo: expected at most 1073741824 bytes when unpacked in memory, got more. Unpack it with gunzip.",
    });
  });
});
