import { mkdir, mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileSource, openFolderSources } from "../src/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nemo-stt-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("openFileSource", () => {
  test("reads ranges that belong to the caller", async () => {
    const path = join(folder, "digits.bin");
    await writeFile(path, "0123456789");
    const source = await openFileSource(path);
    expect({ name: source.name, sizeBytes: source.sizeBytes }).toEqual({ name: "digits.bin", sizeBytes: 10 });
    const [first, again] = await Promise.all([source.read(2, 5), source.read(2, 5)]);
    first.fill(0);
    expect(Buffer.from(again).toString()).toBe("234");
    expect(await source.read(10, 10)).toHaveLength(0);
    await source.close();
  });

  test("reads beyond 4 GB", async () => {
    const path = join(folder, "sparse.bin");
    const start = 5 * 2 ** 30 + 7;
    const file = await open(path, "w");
    await file.write("far", start);
    await file.close();
    const source = await openFileSource(path);
    expect(source.sizeBytes).toBe(start + 3);
    expect(Buffer.from(await source.read(start, start + 3)).toString()).toBe("far");
    await source.close();
  });

  test("refuses ranges beyond the end, and a file that shrank", async () => {
    const path = join(folder, "short.bin");
    await writeFile(path, "abc");
    const source = await openFileSource(path);
    await expect(source.read(1, 4)).rejects.toMatchObject({
      code: "FORMAT_INVALID",
      message: "short.bin: expected bytes [1, 4) to exist, got a size of 3. The file is truncated or corrupt.",
    });
    await truncate(path, 1);
    await expect(source.read(0, 3)).rejects.toMatchObject({
      code: "FORMAT_INVALID",
      message: "short.bin: expected bytes [0, 3), got the end of the file at 1. It shrank while it was read.",
    });
    await source.close();
  });

  test("names what does not exist and what is a folder", async () => {
    const absent = join(folder, "absent");
    await expect(openFileSource(absent)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: `${absent}: expected a readable file, got nothing. Check the path.`,
    });
    await expect(openFileSource(folder)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: `${folder}: expected a file, got a folder. Name a file in it.`,
    });
  });

  test("closes once and refuses reads then", async () => {
    const path = join(folder, "closed.bin");
    await writeFile(path, "abc");
    const source = await openFileSource(path);
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({
      code: "CLOSED",
      message: "closed.bin: expected an open file, got one after `close()`. Open it again.",
    });
  });
});

describe("openFolderSources", () => {
  test("opens the files of a folder and its subfolders by their names", async () => {
    const root = join(folder, "extracted");
    await mkdir(join(root, "inner"), { recursive: true });
    await writeFile(join(root, "model_config.yaml"), "a: 1");
    await writeFile(join(root, "inner", "vocab.txt"), "x");
    const { files, close } = await openFolderSources(root);
    expect([...files.keys()].sort()).toEqual(["inner/vocab.txt", "model_config.yaml"]);
    expect(Buffer.from(await files.get("model_config.yaml")!.read(0, 4)).toString()).toBe("a: 1");
    await close();
    await close();
    await expect(files.get("inner/vocab.txt")!.read(0, 1)).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("refuses what is no folder of a model", async () => {
    await expect(openFolderSources(join(folder, "absent"))).rejects.toMatchObject({ code: "NOT_FOUND" });
    const many = join(folder, "many");
    await mkdir(many);
    await Promise.all(Array.from({ length: 257 }, (_, i) => writeFile(join(many, String(i)), "")));
    await expect(openFolderSources(many)).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message: `${many}: expected at most 256 files, got 257. Name the folder of one model.`,
    });
  });
});
