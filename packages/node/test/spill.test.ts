import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileSpill } from "../src/index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nemo-stt-spill-"));
});
afterAll(() => rm(root, { recursive: true }));

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe("fileSpill", () => {
  test("gives written bytes back by ranges and leaves nothing behind", async () => {
    const spill = fileSpill(root);
    const first = await spill.create("old.nemo");
    const second = await spill.create("other.nemo");
    const chunk = Buffer.from("abc");
    await first.write(chunk);
    chunk.fill("x"); // The caller may reuse its bytes.
    await first.write(Buffer.from("defg"));
    await second.write(Buffer.from("2"));
    const source = await first.finish();
    expect({ name: source.name, sizeBytes: source.sizeBytes }).toEqual({ name: "old.nemo", sizeBytes: 7 });
    expect(text(await source.read(2, 5))).toBe("cde");
    expect(text(await (await second.finish()).read(0, 1))).toBe("2");
    await spill.close();
    await spill.close();
    expect(await readdir(root)).toEqual([]);
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("removes the file of an aborted spill at once", async () => {
    const spill = fileSpill(root);
    const aborted = await spill.create("bomb.nemo");
    await aborted.write(Buffer.from("abc"));
    await aborted.abort();
    const [own] = await readdir(root);
    expect(await readdir(join(root, own))).toEqual([]);
    await spill.close();
  });

  test("says where it cannot write", async () => {
    const parent = join(root, "absent");
    await expect(fileSpill(parent).create("old.nemo")).rejects.toMatchObject({
      code: "WRITE_FAILED",
      message: expect.stringMatching(/absent: expected to unpack here, got .+ Free space, or set TMPDIR/),
    });
  });
});
