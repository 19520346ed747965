import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { indexTar, isTarHeader } from "../../src/checkpoint/tar.ts";
import {
  concat,
  padded,
  paxRecord,
  sparseSource,
  type TarMember,
  tarArchive,
  tarHeader,
  utf8,
  withChecksum,
} from "./archive-writers.ts";

const index = (bytes: Uint8Array) => indexTar(memorySource(bytes, "x.nemo"));

/** Name and content of every member. */
async function contents(bytes: Uint8Array): Promise<[string, string][]> {
  return (await index(bytes)).map(({ name, start, end }) => [
    name,
    new TextDecoder().decode(bytes.subarray(start, end)),
  ]);
}

describe("indexTar", () => {
  test("finds every member's bytes and leaves directories out", async () => {
    const bytes = tarArchive([
      { name: "./", type: "5" },
      { name: "./model_config.yaml", data: utf8("a: 1") },
      { name: "old/", type: "0" },
      { name: "empty", data: new Uint8Array(0) },
      { name: "dir/./file", data: utf8("x".repeat(513)) },
      { name: "end", data: utf8("end"), prefix: "a/b" },
    ]);
    expect(await contents(bytes)).toEqual([
      ["model_config.yaml", "a: 1"],
      ["empty", ""],
      ["dir/file", "x".repeat(513)],
      ["a/b/end", "end"],
    ]);
  });

  test("finds any members in any order", async () => {
    const member = fc.record({
      name: fc.stringMatching(/^[a-zäß0-9_]{1,30}(\/[a-z]{1,9})?$/),
      data: fc.uint8Array({ maxLength: 1500 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(member, { selector: ({ name }) => name, maxLength: 8 }), async (members) => {
        const bytes = tarArchive(members.map((one, i) => ({ ...one, name: i % 2 ? `./${one.name}` : one.name })));
        const found = await index(bytes);
        expect(found.map(({ name }) => name)).toEqual(members.map(({ name }) => name));
        expect(found.map(({ start, end }) => bytes.slice(start, end))).toEqual(members.map(({ data }) => data));
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  test("reads long names and sizes of pax and GNU headers", async () => {
    const long = `${"d/".repeat(80)}ümlaut`;
    const bytes = tarArchive([
      { name: "pax", type: "g", data: paxRecord("comment", "x=y") },
      {
        name: "pax",
        type: "x",
        data: concat(paxRecord("mtime", "1.5"), paxRecord("path", `./${long}`), paxRecord("size", "3")),
      },
      { name: "short", data: utf8("abc"), size: 0 },
      { name: "././@LongLink", type: "L", data: utf8(`${long}2\0`) },
      { name: "short", data: utf8("GNU") },
      { name: "././@LongLink", type: "K", data: utf8("target\0") },
      { name: "after", data: utf8("!") },
    ]);
    expect(await contents(bytes)).toEqual([
      [long, "abc"],
      [`${long}2`, "GNU"],
      ["after", "!"],
    ]);
  });

  test("reads members beyond 8 GiB by their base-256 sizes, with one read per header", async () => {
    const size = 9 * 2 ** 30 + 5;
    const second = 512 + Math.ceil(size / 512) * 512;
    const source = sparseSource(second + 2048, [
      { start: 0, bytes: tarHeader({ name: "big", size, isBase256: true }) },
      { start: second, bytes: tarHeader({ name: "small", size: 3 }) },
    ]);
    expect(await indexTar(source)).toEqual([
      { name: "big", start: 512, end: 512 + size },
      { name: "small", start: second + 512, end: second + 515 },
    ]);
    expect(source.numReads).toBe(3);
  });

  test("takes the last of members with the same name, and an archive without its end", async () => {
    const bytes = tarArchive([
      { name: "a", data: utf8("first") },
      { name: "./a", data: utf8("last") },
    ]);
    expect(await contents(bytes.slice(0, -1024))).toEqual([["a", "last"]]);
  });

  const refused: [string, readonly TarMember[], string, string][] = [
    [
      "an absolute path",
      [{ name: "/etc/passwd" }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected a relative path inside the archive, got `/etc/passwd`. The archive is unsafe to unpack.",
    ],
    [
      "a Windows path",
      [{ name: "C:\\x" }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected a relative path inside the archive, got `C:\\x`. The archive is unsafe to unpack.",
    ],
    [
      "a path that leaves the archive",
      [{ name: "a/../../b" }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected a relative path inside the archive, got `a/../../b`. The archive is unsafe to unpack.",
    ],
    [
      "a symbolic link",
      [{ name: "a" }, { name: "b", type: "2" }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 512: expected plain files, got a symbolic link `b`. Links and devices are refused; pack the files themselves.",
    ],
    [
      "a hard link",
      [{ name: "b", type: "1" }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected plain files, got a hard link `b`. Links and devices are refused; pack the files themselves.",
    ],
    [
      "a device",
      [{ name: "b", type: "3" }],
      "FORMAT_INVALID",
      'x.nemo: tar header at byte 0: expected plain files, got an entry of type "3" `b`. Links and devices are refused; pack the files themselves.',
    ],
    [
      "a sparse file",
      [{ name: "b", type: "S" }],
      "FORMAT_UNSUPPORTED",
      "x.nemo: tar header at byte 0: sparse files are not read. Pack the files without --sparse.",
    ],
    [
      "a sparse file of pax",
      [{ name: "p", type: "x", data: paxRecord("GNU.sparse.major", "1") }],
      "FORMAT_UNSUPPORTED",
      "x.nemo: tar header at byte 0: sparse files are not read. Pack the files without --sparse.",
    ],
    [
      "a broken pax header",
      [{ name: "p", type: "x", data: utf8("99 path=a\n") }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected pax records, got something else. The archive is corrupt.",
    ],
    [
      "a pax size that is none",
      [{ name: "p", type: "x", data: paxRecord("size", "-1") }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected a decimal pax size. The archive is corrupt.",
    ],
    [
      "a huge extended header",
      [{ name: "p", type: "x", size: 2 ** 30 }],
      "LIMIT_EXCEEDED",
      "x.nemo: tar header at byte 0: expected an extended header of at most 1048576 bytes, got 1073741824. The archive is corrupt.",
    ],
    [
      "a member beyond the end",
      [{ name: "b", size: 5000 }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected a whole member, got `b` of 5000 bytes with 1024 left. The file is truncated; download it again.",
    ],
    [
      "an extended header beyond the end",
      [{ name: "b", type: "x", size: 5000 }],
      "FORMAT_INVALID",
      "x.nemo: tar header at byte 0: expected a whole member, got an unfinished extended header. The file is truncated; download it again.",
    ],
  ];
  test.each(refused)("refuses %s", async (_, members, code, message) => {
    await expect(index(tarArchive(members))).rejects.toMatchObject({ code, message });
  });

  test("refuses a wrong checksum, a wrong size field and half a header", async () => {
    const bytes = tarArchive([{ name: "a", data: utf8("x") }]);
    const corrupt = bytes.slice();
    corrupt[0] ^= 1;
    await expect(index(corrupt)).rejects.toMatchObject({
      code: "FORMAT_INVALID",
      message: "x.nemo: tar header at byte 0: expected a header with a right checksum. The archive is corrupt.",
    });
    const wrongSize = tarHeader({ name: "a" });
    wrongSize.set(utf8("12x45678901"), 124);
    await expect(index(withChecksum(wrongSize))).rejects.toThrow(
      "x.nemo: tar header at byte 0: expected an octal or base-256 size.",
    );
    await expect(index(bytes.slice(0, 1024 + 100))).rejects.toThrow("expected a whole member, got 100 of 512 bytes");
  });

  test("stops after ten thousand headers", async () => {
    const header = tarHeader({ name: "a" });
    const source = sparseSource(512 * 20_000, [{ start: 0, bytes: concat(...new Array(10_001).fill(header)) }]);
    await expect(indexTar(source)).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: "sparse: tar header at byte 5120000: expected at most 10000 headers. This is no model archive.",
    });
  });
});

describe("isTarHeader", () => {
  test("takes checksums of signed and unsigned characters, and nothing else", () => {
    const header = tarHeader({ name: "ä" });
    expect(isTarHeader(header)).toBe(true);
    const signed = header.reduce(
      (sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte > 127 ? byte - 256 : byte),
      0,
    );
    const old = header.slice();
    old.set(utf8(`${signed.toString(8).padStart(6, "0")}\0 `), 148);
    expect(isTarHeader(old)).toBe(true);
    expect(isTarHeader(padded(utf8("PK")))).toBe(false);
    expect(isTarHeader(new Uint8Array(512))).toBe(false);
    expect(isTarHeader(header.slice(0, 511))).toBe(false);
  });
});
