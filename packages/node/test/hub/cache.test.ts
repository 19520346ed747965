import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { getHFHubCachePath } from "@huggingface/hub";
import { describe, expect, test, vi } from "vitest";
import { findPulled, hubCacheFolder, listPulled } from "../../src/hub.ts";
import { COMMIT, hubFixture, NAME, OTHER_COMMIT } from "./hub-fixture.ts";

const { fixture, repositoryAt } = hubFixture();

describe("hubCacheFolder", () => {
  test.each([
    { HF_HUB_CACHE: "/a", HUGGINGFACE_HUB_CACHE: "/b", HF_HOME: "/c" },
    { HUGGINGFACE_HUB_CACHE: "/b", HF_HOME: "/c" },
    { HF_HOME: "/c", XDG_CACHE_HOME: "/d" },
    { XDG_CACHE_HOME: "/d" },
    {},
  ])("with %j is the folder of the official client", (environment) => {
    vi.stubEnv("HF_HOME", undefined);
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    expect(hubCacheFolder()).toBe(getHFHubCachePath());
  });

  test("takes an empty variable as unset and knows `~`", () => {
    expect(hubCacheFolder({ HF_HUB_CACHE: "", HF_HOME: "/c" })).toBe(join("/c", "hub"));
    expect(hubCacheFolder({ HF_HUB_CACHE: "~/models" })).toBe(join(homedir(), "models"));
  });
});

describe("findPulled and listPulled", () => {
  /** A snapshot as Python's client leaves it. */
  async function leaveSnapshot(name: string, commit: string, files: Record<string, string>): Promise<string> {
    const repository = join(fixture.home, "hub", `models--${name.replace("/", "--")}`);
    await mkdir(join(repository, "blobs"), { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      const link = join(repository, "snapshots", commit, path);
      await mkdir(dirname(link), { recursive: true });
      await writeFile(join(repository, "blobs", `${commit}-${path.replaceAll("/", "-")}`), text);
      await symlink(join(repository, "blobs", `${commit}-${path.replaceAll("/", "-")}`), link);
    }
    return join(repository, "snapshots", commit);
  }

  test("finds nothing where nothing was pulled, nor for what is no name", async () => {
    expect(await findPulled(NAME)).toBeUndefined();
    expect(await listPulled()).toEqual([]);
    for (const name of ["../../etc", "a/../b", "nvidia/", "/x", "a--b/c", "a/b/c", ".", "", "x y"]) {
      expect(await findPulled(name)).toBeUndefined();
    }
  });

  test("prefers the file that carries the model's name to a larger one, and knows NeMo's bare name", async () => {
    const snapshot = await leaveSnapshot(NAME, COMMIT, {
      "tiny.nemo": "abc",
      "other.nemo": "abcdef",
      "README.md": "x",
    });
    expect(await findPulled(NAME)).toBe(join(snapshot, "tiny.nemo"));
    expect(await findPulled("tiny")).toBe(join(snapshot, "tiny.nemo"));
  });

  test("takes the largest file, in any folder, where none carries the name", async () => {
    const snapshot = await leaveSnapshot(NAME, COMMIT, { "a.nemo": "abc", "deep/b.nemo": "abcdef", "c.nemo": "a" });
    expect(await findPulled(NAME)).toBe(join(snapshot, "deep", "b.nemo"));
  });

  test("takes `main` before a newer snapshot, and a newer one before an older", async () => {
    await leaveSnapshot(NAME, COMMIT, { "tiny.nemo": "old" });
    await wait(20); // The file system's clock has to move.
    const newer = await leaveSnapshot(NAME, OTHER_COMMIT, { "tiny.nemo": "newer" });
    expect(await findPulled(NAME)).toBe(join(newer, "tiny.nemo"));
    await mkdir(repositoryAt("refs"));
    await writeFile(repositoryAt("refs", "main"), COMMIT);
    expect(await findPulled(NAME)).toBe(repositoryAt("snapshots", COMMIT, "tiny.nemo"));
  });

  test("passes over links to files that are gone and snapshots without a model", async () => {
    const whole = await leaveSnapshot(NAME, COMMIT, { "tiny.nemo": "abc" });
    await leaveSnapshot(NAME, OTHER_COMMIT, { "tiny.nemo": "gone", "README.md": "x" });
    await rm(repositoryAt("blobs", `${OTHER_COMMIT}-tiny.nemo`));
    await mkdir(repositoryAt("refs"));
    await writeFile(repositoryAt("refs", "main"), OTHER_COMMIT);
    expect(await findPulled(NAME)).toBe(join(whole, "tiny.nemo"));
  });

  test("gives the folder of an exported model", async () => {
    const snapshot = await leaveSnapshot("someone/asr-onnx", COMMIT, { "encoder.onnx": "graph", "tokens.txt": "a 0" });
    expect(await findPulled("someone/asr-onnx")).toBe(snapshot);
  });

  test("lists models by name with their sizes, and no other repositories", async () => {
    const a = await leaveSnapshot("b/asr-onnx", COMMIT, { "vocab.txt": "a 0", "encoder.onnx": "graph" });
    const b = await leaveSnapshot(NAME, OTHER_COMMIT, { "tiny.nemo": "abc" });
    await leaveSnapshot("a/text-model", COMMIT, { "model.safetensors": "x", "vocab.txt": "a" });
    await mkdir(join(fixture.home, "hub", "datasets--nvidia--tiny"));
    expect(await listPulled()).toEqual([
      { name: "b/asr-onnx", path: a, sizeBytes: 8, revision: COMMIT },
      { name: NAME, path: join(b, "tiny.nemo"), sizeBytes: 3, revision: OTHER_COMMIT },
    ]);
  });
});
