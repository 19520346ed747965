import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { getHFHubCachePath, scanCacheDir } from "@huggingface/hub";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findPulled, type HubTiming, hubCacheFolder, listPulled, pullModel } from "../src/hub.ts";
import { gitSum, sha256, startTestHub, type TestHub, type TestRepository } from "./hub-server.ts";

const NAME = "nvidia/tiny";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef";
const BYTES = bytesOf(300_000, 1);
const SUM = sha256(BYTES);

let home: string;
let hub: TestHub;
/** Every pause that was asked for, in ms; none is made. */
let pauses: number[];
let timing: HubTiming;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "nemo-stt-hub-"));
  hub = await startTestHub();
  pauses = [];
  timing = { sleep: async (ms) => pauses.push(ms), stallMs: 20_000 };
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN", "HF_HUB_OFFLINE"]) {
    vi.stubEnv(name, undefined);
  }
  for (const name of ["HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"]) vi.stubEnv(name, undefined);
  vi.stubEnv("HF_HOME", home);
  vi.stubEnv("HF_ENDPOINT", `${hub.endpoint}/`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

/** Bytes that no two seeds share. */
function bytesOf(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** Puts a repository on the hub. */
function serve(files: TestRepository["files"] = [{ path: "tiny.nemo", bytes: BYTES }], name = NAME): TestRepository {
  const repository: TestRepository = { commit: COMMIT, branches: ["main"], files };
  hub.repositories.set(name, repository);
  return repository;
}

const pull = (options: Parameters<typeof pullModel>[1] = {}, name = NAME) => pullModel(name, options, timing);
const repositoryAt = (...parts: string[]) => join(home, "hub", "models--nvidia--tiny", ...parts);
const blobs = () => readdir(repositoryAt("blobs"));
const rangesAtStorage = () => hub.requests.filter(({ line }) => line.startsWith("storage")).map(({ range }) => range);

/** Puts a download there that was not finished. */
async function leavePartial(name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(repositoryAt("blobs"), { recursive: true });
  await writeFile(repositoryAt("blobs", name), bytes);
}

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
    const repository = join(home, "hub", `models--${name.replace("/", "--")}`);
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
    await mkdir(join(home, "hub", "datasets--nvidia--tiny"));
    expect(await listPulled()).toEqual([
      { name: "b/asr-onnx", path: a, sizeBytes: 8, revision: COMMIT },
      { name: NAME, path: join(b, "tiny.nemo"), sizeBytes: 3, revision: OTHER_COMMIT },
    ]);
  });
});

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
    hub.requests.length = 0;
    expect(await pull({ revision: COMMIT })).toEqual(pulled);
    expect(hub.requests).toEqual([]);
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

  test("goes on over cut connections, from where each ended", async () => {
    serve();
    hub.faults.push({ cutAfterBytes: 100_000 }, { status: 503 }, { cutAfterBytes: 70_000 });
    const { path } = await pull();
    expect(sha256(await readFile(path))).toBe(SUM);
    const starts = rangesAtStorage().map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    // What the kernel had taken when the connection broke may be less than what was sent.
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[2]).toBe(starts[1]);
    expect(starts[3]).toBeGreaterThan(starts[2]);
    expect(starts).toHaveLength(4);
  });

  test("goes on after a failed pull, and after a process that died", async () => {
    serve();
    hub.faults.push({ cutAfterBytes: 150_000 }, ...Array.from({ length: 6 }, () => ({ status: 502 })));
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:\d+: expected an answer about nvidia\/tiny, got status 502\. Try again later\.$/,
    );
    expect(await blobs()).toEqual([`${SUM}.incomplete`]);
    const kept = (await readFile(repositoryAt("blobs", `${SUM}.incomplete`))).byteLength;
    expect(kept).toBeGreaterThan(0);
    hub.faults.length = 0;

    const dead = spawn(process.execPath, ["-e", ""]);
    await once(dead, "exit");
    const host = hostname().replace(/[^\w-]/g, "_");
    await rename(
      repositoryAt("blobs", `${SUM}.incomplete`),
      repositoryAt("blobs", `${SUM}.${host}-${dead.pid}.incomplete`),
    );
    await pull();
    expect(rangesAtStorage().at(-1)).toBe(`bytes=${kept}-`);
    expect(await blobs()).toEqual([SUM]);
  });

  test("goes on with what another client of the hub left, and leaves alone what one may be writing", async () => {
    serve();
    await leavePartial(`${SUM}.incomplete`, BYTES.subarray(0, 1000));
    await leavePartial(`${SUM}.0a1b2c3d.incomplete`, BYTES.subarray(0, 2000));
    await pull();
    expect(rangesAtStorage()).toEqual(["bytes=1000-"]);
    expect((await blobs()).sort()).toEqual([SUM, `${SUM}.0a1b2c3d.incomplete`].sort());
  });

  test("waits for another process that is at it", async () => {
    serve();
    const other = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"]);
    try {
      await once(other, "spawn");
      const partial = `${SUM}.${hostname().replace(/[^\w-]/g, "_")}-${other.pid}.incomplete`;
      await leavePartial(partial, BYTES.subarray(0, 5000));
      const seen: number[] = [];
      const sleep = async (ms: number) => {
        pauses.push(ms);
        if (pauses.length < 3) return;
        await writeFile(repositoryAt("blobs", partial), BYTES);
        await rename(repositoryAt("blobs", partial), repositoryAt("blobs", SUM));
      };
      const { path } = await pullModel(NAME, { onProgress: (p) => seen.push(p.doneBytes) }, { ...timing, sleep });
      expect(sha256(await readFile(path))).toBe(SUM);
      expect(pauses).toEqual([1000, 1000, 1000]);
      expect(seen).toEqual([5000, 5000, 5000, BYTES.byteLength]);
      expect(rangesAtStorage()).toEqual([]);
    } finally {
      other.kill();
    }
  });

  test("downloads once for callers at the same time", async () => {
    serve();
    const pulled = await Promise.all(Array.from({ length: 5 }, () => pull()));
    expect(new Set(pulled.map(({ path }) => path)).size).toBe(1);
    expect(rangesAtStorage()).toEqual(["bytes=0-"]);
    expect(await readdir(repositoryAt("snapshots", COMMIT))).toEqual(["tiny.nemo"]);
  });

  test("a caller who waited does the work when the first one fails", async () => {
    serve();
    hub.faults.push({ stallAfterBytes: 100_000 });
    const abort = new AbortController();
    let firstBytes = 0;
    const first = pull({
      signal: abort.signal,
      onProgress: ({ doneBytes }) => {
        firstBytes = doneBytes;
      },
    });
    await vi.waitFor(() => expect(firstBytes).toBe(100_000));
    const second = pull();
    const probes = () => hub.requests.filter(({ line }) => line.includes("/resolve/") && line.startsWith("hub"));
    await vi.waitFor(() => expect(probes()).toHaveLength(3)); // The first caller's two, and now the second's one.
    abort.abort(new Error("enough"));
    await expect(first).rejects.toThrow("enough");
    expect(sha256(await readFile((await second).path))).toBe(SUM);
    expect(rangesAtStorage()).toEqual(["bytes=0-", "bytes=100000-"]);
  });

  test("starts anew where the server does not know ranges", async () => {
    serve();
    await leavePartial(`${SUM}.incomplete`, BYTES.subarray(0, 1000));
    hub.faults.push({ ignoresRange: true });
    const { path } = await pull();
    expect(sha256(await readFile(path))).toBe(SUM);
    expect(rangesAtStorage()).toEqual(["bytes=1000-"]);
  });

  test("gives up on a server that begins anew each time and never comes to the end", async () => {
    serve();
    for (let i = 0; i < 20; i++) hub.faults.push({ cutAfterBytes: 200_000, ignoresRange: true });
    await expect(pull()).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    expect(rangesAtStorage().length).toBeGreaterThan(3);
    expect(rangesAtStorage().length).toBeLessThan(15);
  });

  test("gives up on a server that refuses every range", async () => {
    serve();
    for (let i = 0; i < 20; i++) hub.faults.push({ status: 416 });
    await expect(pull()).rejects.toThrow(
      /expected the 300000 bytes of nvidia\/tiny, got status 416 without them\. Pull again to go on from there\.$/,
    );
    expect(rangesAtStorage()).toEqual(Array(6).fill("bytes=0-"));
  });

  test("starts anew when what was left turns out to be wrong or too long", async () => {
    serve();
    await leavePartial(`${SUM}.incomplete`, bytesOf(1000, 9));
    expect(sha256(await readFile((await pull()).path))).toBe(SUM);
    expect(rangesAtStorage()).toEqual(["bytes=1000-", "bytes=0-"]);
    await rm(repositoryAt(), { recursive: true });
    await leavePartial(`${SUM}.incomplete`, bytesOf(BYTES.byteLength + 1, 9));
    expect(sha256(await readFile((await pull()).path))).toBe(SUM);
  });

  test("deletes a file whose sum is wrong, and says so", async () => {
    serve();
    const wrong = bytesOf(BYTES.byteLength, 7);
    hub.faults.push({ bytes: wrong });
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(
      `expected SHA-256 ${SUM}, got ${sha256(wrong)}, and deleted the file. Pull nvidia/tiny again`,
    );
    expect(await blobs()).toEqual([]);
    expect(await findPulled(NAME)).toBeUndefined();
  });

  test("takes no more bytes than the file has", async () => {
    serve();
    for (let i = 0; i < 6; i++) hub.faults.push({ bytes: bytesOf(BYTES.byteLength + 1000, 7) });
    await expect(pull()).rejects.toThrow(/expected the 300000 bytes of nvidia\/tiny, got more of them/);
  });

  test("gives up a silent connection and tries another", async () => {
    serve();
    hub.faults.push({ stallAfterBytes: 100_000 });
    const { path } = await pullModel(NAME, {}, { ...timing, stallMs: 400 });
    expect(sha256(await readFile(path))).toBe(SUM);
    expect(rangesAtStorage().length).toBeGreaterThan(1);
  });

  test("tells what a connection that stays silent ends with", async () => {
    serve();
    for (let i = 0; i < 6; i++) hub.faults.push({ stallAfterBytes: 0 });
    await expect(pullModel(NAME, {}, { ...timing, stallMs: 40 })).rejects.toThrow(
      /expected an answer about nvidia\/tiny, got silence for 0\.04 s\. Check the connection and pull again/,
    );
  });

  test("pauses longer each time, and as long as the server asks", async () => {
    serve();
    hub.hubFaults.push({ status: 503 }, { status: 429, headers: { "retry-after": "7" } }, { status: 500 });
    hub.faults.push({ status: 503 });
    await pull();
    expect(pauses).toEqual([1000, 7000, 4000, 1000]);
  });

  test("does not wait for minutes", async () => {
    serve();
    hub.hubFaults.push({ status: 429, headers: { "retry-after": "300" } });
    await expect(pull()).rejects.toThrow(
      /got status 429 and the wish to be left alone for 300 s\. Wait, or set HF_TOKEN: the hub allows more/,
    );
    expect(pauses).toEqual([]);
  });

  test("an abort ends a pause and a download with its reason, and what arrived is kept", async () => {
    serve();
    hub.hubFaults.push({ status: 503 });
    const inPause = new AbortController();
    const sleep = async (ms: number, signal: AbortSignal | undefined) => {
      inPause.abort("in the pause");
      await wait(ms, undefined, { signal });
    };
    await expect(pullModel(NAME, { signal: inPause.signal }, { ...timing, sleep })).rejects.toBe("in the pause");
    const abort = new AbortController();
    hub.faults.push({ stallAfterBytes: 100_000 });
    const onProgress = ({ doneBytes }: { doneBytes: number }) => {
      if (doneBytes >= 100_000) abort.abort("stop");
    };
    await expect(pull({ signal: abort.signal, onProgress })).rejects.toBe("stop");
    expect(await blobs()).toEqual([`${SUM}.incomplete`]);
    await expect(pull({ signal: AbortSignal.abort("before") })).rejects.toBe("before");
  });
});

describe("pullModel as whom", () => {
  test("shows the token to the hub and not to the storage behind it", async () => {
    serve().gatedFor = "hf_secret";
    vi.stubEnv("HF_TOKEN", "hf_secret\n");
    await pull();
    const sent = hub.requests.map(({ line, authorization }) => [line.split(" ")[0], authorization]);
    expect(sent.filter(([server]) => server === "hub").every(([, token]) => token === "Bearer hf_secret")).toBe(true);
    expect(sent.filter(([server]) => server === "storage")).toEqual([["storage", undefined]]);
  });

  test("takes the option before the environment, and that before what `hf auth login` left", async () => {
    serve().gatedFor = "any-token";
    await writeFile(join(home, "token"), "any-token");
    await pull();
    await rm(repositoryAt(), { recursive: true });
    vi.stubEnv("HF_TOKEN", "another");
    await expect(pull()).rejects.toThrow(/got status 403: the model is gated/);
    await pull({ token: "any-token" });
  });

  test("says where to accept the licence of a gated model", async () => {
    serve().gatedFor = "hf_secret";
    const without = pull();
    await expect(without).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(without).rejects.toThrow(
      `${hub.endpoint}/nvidia/tiny: expected access, got status 401: the model is gated. Accept its licence on that page, and set HF_TOKEN to a token of that account.`,
    );
    await expect(pull({ token: "hf_other" })).rejects.toThrow(
      "Accept its licence on that page, with the account of your token.",
    );
    expect(pauses).toEqual([]);
  });

  test.each([
    [401, "hf_old", "NETWORK_FAILED", "got status 401. The token is not accepted: renew it, or unset HF_TOKEN"],
    [403, "hf_old", "NETWORK_FAILED", "got status 403. The token may not read this model, or the hub is blocked here"],
    [404, "hf_old", "NOT_FOUND", "expected a model of that name, got status 404. Check the name"],
    [401, "", "NOT_FOUND", "got status 401. Check the name; `nemo-stt models` lists NVIDIA's. If it is private"],
    [418, "", "NETWORK_FAILED", "expected an answer of the hub, got status 418. Check HF_ENDPOINT."],
  ])("tells what status %i with token %j means", async (status, token, code, text) => {
    serve();
    hub.hubFaults.push({ status });
    const failed = pull({ token });
    await expect(failed).rejects.toMatchObject({ code });
    await expect(failed).rejects.toThrow(text);
  });

  test("does not show a broken token", async () => {
    await expect(pull({ token: "hf_se cret" })).rejects.toThrow(
      /^HF_TOKEN: expected a token of letters and digits, got other characters in it\. Copy it again\.$/,
    );
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
    Object.assign(hub.entryOverrides, override);
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(`expected the hub's answer about nvidia/tiny, got ${text}`);
    expect(await readdir(home)).toEqual([]);
  });

  test("refuses answers that are not the hub's, or too long", async () => {
    serve();
    hub.hubFaults.push({ bytes: Buffer.from("<html>log in") });
    await expect(pull()).rejects.toThrow(/got .*JSON.* Check HF_ENDPOINT; a proxy or a login page may have answered/);
    hub.hubFaults.push({ bytes: new Uint8Array(17 << 20) });
    await expect(pull()).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
  });

  test("tells at once that nobody is there", async () => {
    const failed = pull({ endpoint: "http://127.0.0.1:9" });
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:9: expected an answer about nvidia\/tiny, got .+\. Check the connection and pull again/,
    );
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
    hub.requests.length = 0;
    vi.stubEnv("HF_HUB_OFFLINE", "TRUE");
    expect(await pull()).toEqual(pulled);
    await expect(pull({ revision: "v9" })).rejects.toThrow("HF_HUB_OFFLINE");
    expect(hub.requests).toEqual([]);
  });

  test("tells of a disk without room before it downloads", async () => {
    serve();
    hub.entryOverrides.lfs = { oid: SUM, size: 2 ** 52 };
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "WRITE_FAILED" });
    await expect(failed).rejects.toThrow(
      /: expected 4503599628 MB free for the download, got \d+ MB\. Free space, or set/,
    );
    expect(rangesAtStorage()).toEqual([]);
  });

  test("tells of a folder that cannot be written", async () => {
    serve();
    await writeFile(join(home, "hub"), "a file where the folder should be");
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "WRITE_FAILED" });
    await expect(failed).rejects.toThrow(/expected to write the download there, got (ENOTDIR|EEXIST)/);
  });
});
