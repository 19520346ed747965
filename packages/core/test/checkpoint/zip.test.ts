import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { indexZip, locateEntries } from "../../src/checkpoint/zip.ts";
import {
  centralRecord,
  concat,
  localHeader,
  sparseSource,
  utf8,
  type ZipMember,
  zipArchive,
  zipEnd,
} from "./archive-writers.ts";

const source = (bytes: Uint8Array) => memorySource(bytes, "w.ckpt");

/** Name and content of every entry. */
async function contents(bytes: Uint8Array): Promise<[string, Uint8Array][]> {
  const entries = await indexZip(source(bytes));
  const starts = await locateEntries(source(bytes), entries);
  return entries.map(({ name, sizeBytes }, i) => [name, bytes.slice(starts[i], starts[i] + sizeBytes)]);
}

describe("indexZip and locateEntries", () => {
  test("find every entry's data, padded local headers, zip64 and comments included", async () => {
    const member = fc.record({
      name: fc.stringMatching(/^[a-z/.ä]{1,20}$/),
      data: fc.uint8Array({ maxLength: 300 }),
      localExtra: fc.nat(100),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(member, { selector: ({ name }) => name, maxLength: 6 }),
        fc.boolean(),
        fc.stringMatching(/^[a-z]{0,40}$/),
        async (members, isZip64, comment) => {
          expect(await contents(zipArchive(members, { isZip64, comment }))).toEqual(
            members.map(({ name, data }) => [name, data]),
          );
        },
      ),
      { seed: 1, numRuns: 60 },
    );
  });

  test("find entries beyond 4 GiB and read nothing of their data", async () => {
    const far = 5 * 2 ** 30;
    const big = { name: "big", data: new Uint8Array(0), localExtra: 7, crc: 1 };
    const small = { name: "small", data: utf8("abc") };
    const bigBytes = far - localHeader(big).length;
    const smallBytes = concat(localHeader(small), small.data);
    const directory = concat(centralRecord(big, 0, true, bigBytes), centralRecord(small, far, true));
    const directoryStart = far + smallBytes.length;
    const tail = concat(directory, zipEnd(directoryStart, directory.length, 2, true));
    const zip = sparseSource(directoryStart + tail.length, [
      { start: 0, bytes: localHeader(big) },
      { start: far, bytes: smallBytes },
      { start: directoryStart, bytes: tail },
    ]);
    const entries = await indexZip(zip);
    expect(entries).toMatchObject([
      { name: "big", sizeBytes: bigBytes, crc32: 1, headerStart: 0 },
      { name: "small", sizeBytes: 3, headerStart: far },
    ]);
    expect(await locateEntries(zip, entries)).toEqual([40, far + 35]);
    expect(zip.numBytesRead).toBeLessThan(200_000);
  });

  test("read neighbouring local headers together", async () => {
    const members = Array.from({ length: 300 }, (_, i) => ({ name: `data/${i}`, data: new Uint8Array(100) }));
    const zip = sparseSource(zipArchive(members).length, [{ start: 0, bytes: zipArchive(members) }]);
    const entries = await indexZip(zip);
    const numReads = zip.numReads;
    await locateEntries(zip, entries);
    expect(zip.numReads - numReads).toBe(1);
  });

  const a: ZipMember = { name: "a", data: utf8("hello") };
  const refused: [string, Uint8Array, string, string][] = [
    [
      "a truncated file",
      zipArchive([a]).slice(0, -1),
      "FORMAT_INVALID",
      "w.ckpt: zip end record: expected it in the last 64 KiB, got none. The file is truncated; download it again.",
    ],
    [
      "an empty file",
      new Uint8Array(0),
      "FORMAT_INVALID",
      "w.ckpt: zip end record: expected it in the last 64 KiB, got none. The file is truncated; download it again.",
    ],
    [
      "compressed entries",
      zipArchive([{ ...a, method: 8 }]),
      "FORMAT_UNSUPPORTED",
      "w.ckpt: zip entry 0 `a`: expected stored data, got compression method 8. Write the file with torch.save, or zip it without compression (zip -0).",
    ],
    [
      "encrypted entries",
      zipArchive([{ ...a, flags: 1 }]),
      "FORMAT_UNSUPPORTED",
      "w.ckpt: zip entry 0 `a`: expected stored data, got encrypted data. Write the file with torch.save, or zip it without compression (zip -0).",
    ],
    [
      "two entries of one name",
      zipArchive([a, a]),
      "FORMAT_INVALID",
      "w.ckpt: zip entry 1: expected different names, got `a` twice. The file is corrupt; download it again.",
    ],
    [
      "entries that share bytes",
      zipArchive([a, { name: "b", data: utf8("hello"), headerStart: 0 }]),
      "FORMAT_INVALID",
      "w.ckpt: zip entry `a`: expected an end by byte 0, got an end at 35. The file is corrupt; download it again.",
    ],
    [
      "entries that reach into the directory",
      zipArchive([{ ...a, headerStart: 10 }]),
      "FORMAT_INVALID",
      "w.ckpt: zip entry `a`: expected an end by byte 36, got an end at 45. The file is corrupt; download it again.",
    ],
    [
      "a directory beyond the end",
      concat(zipArchive([a]).slice(0, -22), zipEnd(36, 5000, 1, false)),
      "FORMAT_INVALID",
      "w.ckpt: zip end record: expected a central directory before it, got one that reaches beyond it. The file is corrupt; download it again.",
    ],
    [
      "a directory elsewhere",
      concat(zipArchive([a]).slice(0, -22), zipEnd(35, 47, 1, false)),
      "FORMAT_INVALID",
      "w.ckpt: zip entry 0: expected a record at byte 35 of the central directory, got something else. The file is corrupt; download it again.",
    ],
    [
      "a record beyond the directory",
      concat(zipArchive([a]).slice(0, -22), zipEnd(36, 46, 1, false)),
      "FORMAT_INVALID",
      "w.ckpt: zip entry 0: expected a whole record, got one that reaches beyond the directory. The file is corrupt; download it again.",
    ],
    [
      "too many entries",
      concat(zipArchive([a]).slice(0, -22), zipEnd(36, 47, 200_000, true)),
      "LIMIT_EXCEEDED",
      "w.ckpt: zip end record: expected at most 100000 entries, got 200000. This is no model.",
    ],
  ];
  test.each(refused)("refuse %s", async (_, bytes, code, message) => {
    await expect(indexZip(source(bytes))).rejects.toMatchObject({ code, message });
  });

  test("refuse sizes that disagree, a part of several, and a zip64 record that is none", async () => {
    const bytes = zipArchive([a]);
    const packed = bytes.slice();
    new DataView(packed.buffer).setUint32(36 + 20, 4, true);
    await expect(indexZip(source(packed))).rejects.toThrow(
      "w.ckpt: zip entry 0 `a`: expected equal sizes of stored data, got 4 and 5.",
    );
    const missing = bytes.slice();
    new DataView(missing.buffer).setUint32(36 + 20, 0xffffffff, true);
    await expect(indexZip(source(missing))).rejects.toThrow(
      "w.ckpt: zip entry 0: expected a zip64 extra field, got none.",
    );
    const parts = bytes.slice();
    parts[bytes.length - 22 + 4] = 1;
    await expect(indexZip(source(parts))).rejects.toMatchObject({
      code: "FORMAT_UNSUPPORTED",
      message: "w.ckpt: zip end record: expected one file, got a part of a zip split in several. Join it first.",
    });
    const zip64 = zipArchive([a], { isZip64: true });
    zip64[zip64.length - 22 - 20 - 56] = 0;
    await expect(indexZip(source(zip64))).rejects.toThrow(
      "w.ckpt: zip end record: expected a zip64 end record, got something else.",
    );
  });

  test("refuse a local header that is none, or whose length makes entries overlap", async () => {
    const bytes = zipArchive([a, { name: "b", data: utf8("hello") }]);
    const entries = await indexZip(source(bytes));
    const noHeader = bytes.slice();
    noHeader[0] = 0;
    await expect(locateEntries(source(noHeader), entries)).rejects.toThrow(
      "w.ckpt: zip entry `a`: expected its header at byte 0, got something else.",
    );
    const longer = bytes.slice();
    longer[28] = 9;
    await expect(locateEntries(source(longer), entries)).rejects.toThrow(
      "w.ckpt: zip entry `a`: expected an end by byte 36, got an end at 45.",
    );
  });
});
