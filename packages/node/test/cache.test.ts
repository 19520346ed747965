import { mkdir, mkdtemp, open, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cacheFolder, publishFolder, removeSuperseded } from "../src/index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nemo-stt-cache-"));
});
afterAll(() => rm(root, { recursive: true }));

describe("cacheFolder", () => {
  test.each([
    [{ NEMO_STT_CACHE: "/own", XDG_CACHE_HOME: "/xdg", HOME: "/h" }, "linux", "/own"],
    [{ XDG_CACHE_HOME: "/xdg", HOME: "/h" }, "linux", "/xdg/nemo-stt"],
    [{ XDG_CACHE_HOME: "relative", HOME: "/h" }, "linux", "/h/.cache/nemo-stt"],
    [{ HOME: "/h" }, "linux", "/h/.cache/nemo-stt"],
    [{ HOME: "/h" }, "darwin", "/h/Library/Caches/nemo-stt"],
    [{ HOME: "/h", LOCALAPPDATA: "/local" }, "win32", "/local/nemo-stt/Cache"],
  ] as const)("of %j on %s is %s", (environment, platform, expected) => {
    expect(cacheFolder(environment, platform)).toBe(expected);
  });
});

describe("publishFolder", () => {
  const fillWith = (text: string) => async (temporary: string) => {
    await mkdir(join(temporary, "inner"));
    await writeFile(join(temporary, "inner", "a.txt"), text);
  };

  test("makes a folder once", async () => {
    const folder = join(root, "deep", "once");
    expect(await publishFolder(folder, fillWith("first"))).toBe(folder);
    expect(await publishFolder(folder, fillWith("second"))).toBe(folder);
    expect(await readFile(join(folder, "inner", "a.txt"), "utf8")).toBe("first");
    expect(await readdir(join(root, "deep"))).toEqual(["once"]);
  });

  test("shows nothing before it is whole, and nothing of a failure", async () => {
    const folder = join(root, "failing", "model");
    const seen: string[][] = [];
    const fill = async (temporary: string) => {
      await writeFile(join(temporary, "half"), "x");
      seen.push((await readdir(join(root, "failing"))).filter((name) => !name.startsWith(".")));
      throw new SpeechError("MODEL_INVALID", "half way");
    };
    await expect(publishFolder(folder, fill)).rejects.toMatchObject({ code: "MODEL_INVALID" });
    expect(seen).toEqual([[]]);
    expect(await readdir(join(root, "failing"))).toEqual([]);
  });

  test("lets the first of several writers win", async () => {
    const folder = join(root, "race", "model");
    const writers = Array.from({ length: 8 }, (_, i) => publishFolder(folder, fillWith(String(i).repeat(1000))));
    expect(new Set(await Promise.all(writers))).toEqual(new Set([folder]));
    expect(await readFile(join(folder, "inner", "a.txt"), "utf8")).toMatch(/^(\d)\1{999}$/);
    expect(await readdir(join(root, "race"))).toEqual(["model"]);
  });

  test("removes what a process that died left a day ago, and not what another is making now", async () => {
    const folder = join(root, "left", "model");
    const old = join(root, "left", ".model.making-old");
    const young = join(root, "left", ".model.making-young");
    await mkdir(old, { recursive: true });
    await mkdir(young);
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600;
    await utimes(old, twoDaysAgo, twoDaysAgo);
    await publishFolder(folder, fillWith("x"));
    expect((await readdir(join(root, "left"))).sort()).toEqual([".model.making-young", "model"]);
  });

  test("says where it cannot write", async () => {
    const file = join(root, "a-file");
    await writeFile(file, "");
    await expect(publishFolder(join(file, "model"), fillWith("x"))).rejects.toMatchObject({
      code: "WRITE_FAILED",
      message: expect.stringMatching(
        /model: expected to write this folder, got .+\. Free space or name another folder\.$/,
      ),
    });
  });
});

describe("removeSuperseded", () => {
  const isOld = (name: string) => name.startsWith("old");

  test("removes what is superseded, and what a process that died had begun to remove", async () => {
    const parent = join(root, "superseded");
    for (const name of ["new", "old-1", ".old-2.removing-7", "other"]) {
      await mkdir(join(parent, name), { recursive: true });
      await writeFile(join(parent, name, "weights"), name);
    }
    await Promise.all(Array.from({ length: 4 }, () => removeSuperseded(join(parent, "new"), isOld)));
    expect((await readdir(parent)).sort()).toEqual(["new", "other"]);
    await removeSuperseded(join(root, "nowhere", "new"), isOld);
  });

  test.skipIf(process.platform === "win32")("leaves what is open to whoever has it open", async () => {
    const parent = join(root, "in-use");
    await mkdir(join(parent, "old-1"), { recursive: true });
    await writeFile(join(parent, "old-1", "weights"), "still here");
    const used = await open(join(parent, "old-1", "weights"));
    try {
      await removeSuperseded(join(parent, "new"), isOld);
      expect(await readdir(parent)).toEqual([]);
      expect(await used.readFile("utf8")).toBe("still here");
    } finally {
      await used.close();
    }
  });
});
