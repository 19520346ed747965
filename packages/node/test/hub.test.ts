import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { scanCacheDir } from "@huggingface/hub";
import { describe, expect, test, vi } from "vitest";
import { findPulled, listPulled } from "../src/hub.ts";
import { BYTES, bytesOf, COMMIT, hubFixture, NAME, OTHER_COMMIT, SUM } from "./hub/hub-fixture.ts";
import { gitSum, sha256 } from "./hub/hub-server.ts";

const { fixture, pauses, serve, pull, repositoryAt, blobs, rangesAtStorage } = hubFixture();

describe("pullModel", () => {
  test("downloads into the layout of the hub's clients and finds it again", async () => {
    serve([
      { path: "README.md", bytes: bytesOf(10, 2), isInGit: true },
      { path: "larger.nemo", bytes: bytesOf(400_000, 3) },
      { path: "tiny.nemo", bytes: BYTES },
    ]);
    const seen: number[] = [];
    const pulled = await pull({
      onProgress: ({ doneBytes, totalBytes }) => {
        seen.push(doneBytes);
        expect(totalBytes).toBe(BYTES.byteLength);
      },
    });
    const path = repositoryAt("snapshots", COMMIT, "tiny.nemo");
    expect(pulled).toEqual({ name: NAME, path, sizeBytes: BYTES.byteLength, revision: COMMIT });
    expect(sha256(await readFile(path))).toBe(SUM);
    expect(await readlink(path)).toBe(join("..", "..", "blobs", SUM));
    expect(await blobs()).toEqual([SUM]);
    expect(await readFile(repositoryAt("refs", "main"), "utf8")).toBe(COMMIT);
    expect(await findPulled(NAME)).toBe(path);
    expect(await listPulled()).toEqual([pulled]);
    expect(seen.at(0)).toBe(0);
    expect(seen.at(-1)).toBe(BYTES.byteLength);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    const { repos, warnings } = await scanCacheDir();
    expect(warnings).toEqual([]);
    expect(repos).toMatchObject([{ id: { name: NAME }, size: BYTES.byteLength, revisions: [{ refs: ["main"] }] }]);
  });

  test("downloads nothing twice", async () => {
    serve();
    const pulled = await pull();
    expect(await pull()).toEqual(pulled);
    expect(rangesAtStorage()).toHaveLength(1);
    fixture.hub.requests.length = 0;
    expect(await pull({ revision: COMMIT })).toEqual(pulled);
    expect(fixture.hub.requests).toEqual([]);
  });

  test("follows a branch to its new commit, and keeps the file if it is the same", async () => {
    const repository = serve();
    await pull();
    repository.commit = OTHER_COMMIT;
    expect((await pull()).revision).toBe(OTHER_COMMIT);
    expect(await findPulled(NAME)).toBe(repositoryAt("snapshots", OTHER_COMMIT, "tiny.nemo"));
    expect(rangesAtStorage()).toHaveLength(1);
  });

  test("pulls a tag with a slash in its name", async () => {
    serve().branches.push("refs/pr/1");
    await pull({ revision: "refs/pr/1" });
    expect(await readFile(repositoryAt("refs", "refs", "pr", "1"), "utf8")).toBe(COMMIT);
  });

  test("checks a file that is not in LFS by Git's sum", async () => {
    serve([{ path: "tiny.nemo", bytes: BYTES, isInGit: true }]);
    const { path } = await pull();
    expect(await readlink(path)).toBe(join("..", "..", "blobs", gitSum(BYTES)));
  });
});

describe("pullModel where it cannot", () => {
  test("tells of names and revisions that do not exist", async () => {
    serve();
    await expect(pull({}, "nvidia/absent")).rejects.toMatchObject({ code: "NOT_FOUND" });
    const revision = pull({ revision: "v9" });
    await expect(revision).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(revision).rejects.toThrow("expected a revision `v9`, got status 404. Its branches and tags");
    await expect(pull({}, "no name")).rejects.toThrow(
      "no name: expected a model's name on the hub, such as nvidia/parakeet-tdt_ctc-110m.",
    );
    await expect(pull({ revision: "../../x" })).rejects.toThrow("expected a branch, tag or commit, got `../../x`.");
  });

  test("tells of repositories without a checkpoint", async () => {
    serve([{ path: "model.safetensors", bytes: BYTES }]);
    await expect(pull()).rejects.toThrow("expected a repository with a .nemo file, got 1 files of other kinds.");
    serve(["encoder.onnx", "vocab.txt", "README.md"].map((path) => ({ path, bytes: BYTES })));
    const exported = pull();
    await expect(exported).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(exported).rejects.toThrow("got an exported ONNX model. Fetch it with `hf download nvidia/tiny`;");
  });

  test.each([
    [{ path: "../../evil.nemo" }, '"../../evil.nemo" for a relative path'],
    [{ path: "/etc/evil.nemo" }, '"/etc/evil.nemo" for a relative path'],
    [{ path: "a\\..\\evil.nemo" }, '"a\\\\..\\\\evil.nemo" for a relative path'],
    [{ lfs: { oid: "../../evil", size: 1 } }, '"../../evil" for a SHA-256'],
    [{ lfs: { oid: SUM, size: -1 } }, "-1 for a size"],
    [{ lfs: undefined, oid: 7 }, "7 for a SHA-1"],
  ])("refuses a listing with %j", async (override, text) => {
    serve();
    Object.assign(fixture.hub.entryOverrides, override);
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(`expected the hub's answer about nvidia/tiny, got ${text}`);
    expect(await readdir(fixture.home)).toEqual([]);
  });

  test("refuses answers that are not the hub's, or too long", async () => {
    serve();
    fixture.hub.hubFaults.push({ bytes: Buffer.from("<html>log in") });
    await expect(pull()).rejects.toThrow(/got .*JSON.* Check HF_ENDPOINT; a proxy or a login page may have answered/);
    fixture.hub.hubFaults.push({ bytes: new Uint8Array(17 << 20) });
    await expect(pull()).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
  });

  test("does not read a listing without end", async () => {
    serve(Array.from({ length: 100 }, (_, i) => ({ path: `${i}.txt`, bytes: BYTES.subarray(0, i) })));
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
    await expect(failed).rejects.toThrow(
      /: expected at most 20 pages about nvidia\/tiny, got more\. Check HF_ENDPOINT\.$/,
    );
    expect(fixture.hub.requests).toHaveLength(20);
  });

  test("tells at once that nobody is there", async () => {
    await fixture.hub[Symbol.asyncDispose]();
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:\d+: expected an answer about nvidia\/tiny, got .*ECONNREFUSED.*\. Check the connection and pull again, which goes on where it stopped; or set HF_ENDPOINT to a mirror\.$/,
    );
    expect(pauses).toEqual([]);
  });

  test.each(["hub.example", "ftp://hub.example", "https://user:secret@hub.example"])(
    "refuses the endpoint %s",
    async (endpoint) => {
      vi.stubEnv("HF_ENDPOINT", endpoint);
      await expect(pull()).rejects.toThrow(/^HF_ENDPOINT: expected an address such as https:\/\/huggingface\.co, got/);
      await expect(pull()).rejects.not.toThrow("secret");
    },
  );

  test("asks nobody with HF_HUB_OFFLINE", async () => {
    serve();
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const absent = pull();
    await expect(absent).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(absent).rejects.toThrow("as HF_HUB_OFFLINE is set, got nothing. Unset it to pull the model.");
    vi.stubEnv("HF_HUB_OFFLINE", "0");
    const pulled = await pull();
    fixture.hub.requests.length = 0;
    vi.stubEnv("HF_HUB_OFFLINE", "TRUE");
    expect(await pull()).toEqual(pulled);
    await expect(pull({ revision: "v9" })).rejects.toThrow("HF_HUB_OFFLINE");
    expect(fixture.hub.requests).toEqual([]);
  });

  test("tells of a disk without room before it downloads", async () => {
    serve();
    fixture.hub.entryOverrides.lfs = { oid: SUM, size: 2 ** 52 };
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "WRITE_FAILED" });
    await expect(failed).rejects.toThrow(
      /: expected 4503599628 MB free for the download, got \d+ MB\. Free space, or set/,
    );
    expect(rangesAtStorage()).toEqual([]);
  });

  test("tells of a folder that cannot be written", async () => {
    serve();
    await writeFile(join(fixture.home, "hub"), "a file where the folder should be");
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "WRITE_FAILED" });
    await expect(failed).rejects.toThrow(/expected to write the download there, got (ENOTDIR|EEXIST)/);
  });
});
