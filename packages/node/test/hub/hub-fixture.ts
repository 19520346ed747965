import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, vi } from "vitest";
import { type HubTiming, type PullOptions, pullModel } from "../../src/hub.ts";
import { sha256, startTestHub, type TestHub, type TestRepository } from "./hub-server.ts";

export const NAME = "nvidia/tiny";
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef";

/** Bytes that no two seeds share. */
export function bytesOf(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** The checkpoint that the repository holds unless told. */
export const BYTES = bytesOf(300_000, 1);
export const SUM = sha256(BYTES);

const VARIABLES = [
  "HF_HUB_CACHE",
  "HUGGINGFACE_HUB_CACHE",
  "XDG_CACHE_HOME",
  "HF_TOKEN",
  "HUGGING_FACE_HUB_TOKEN",
  "HF_TOKEN_PATH",
  "HF_HUB_OFFLINE",
];

/** Gives every test of the file a folder for `HF_HOME`, a hub, and a clock that makes nobody wait. */
export function hubFixture() {
  const fixture = { home: "", hub: undefined as unknown as TestHub };
  /** Every pause that was asked for, in ms; none is made. */
  const pauses: number[] = [];
  const timing: HubTiming = { sleep: async (ms) => pauses.push(ms), stallMs: 20_000 };
  beforeEach(async () => {
    fixture.home = await mkdtemp(join(tmpdir(), "nemo-stt-hub-"));
    fixture.hub = await startTestHub();
    pauses.length = 0;
    for (const name of VARIABLES) vi.stubEnv(name, undefined);
    vi.stubEnv("HF_HOME", fixture.home);
    vi.stubEnv("HF_ENDPOINT", `${fixture.hub.endpoint}/`);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await fixture.hub[Symbol.asyncDispose]();
    await rm(fixture.home, { recursive: true, force: true });
  });

  /** Puts a repository on the hub. */
  function serve(files: TestRepository["files"] = [{ path: "tiny.nemo", bytes: BYTES }]): TestRepository {
    const repository: TestRepository = { commit: COMMIT, branches: ["main"], files };
    fixture.hub.repositories.set(NAME, repository);
    return repository;
  }

  const pull = (options: PullOptions = {}, name = NAME) => pullModel(name, options, timing);

  /** A path in the cache's folder of the repository. */
  const repositoryAt = (...parts: string[]) => join(fixture.home, "hub", "models--nvidia--tiny", ...parts);

  const blobs = () => readdir(repositoryAt("blobs"));

  const rangesAtStorage = () =>
    fixture.hub.requests.filter(({ line }) => line.startsWith("storage")).map(({ range }) => range);

  /** Puts a download there that was not finished. */
  async function leavePartial(name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(repositoryAt("blobs"), { recursive: true });
    await writeFile(repositoryAt("blobs", name), bytes);
  }

  return { fixture, pauses, timing, serve, pull, repositoryAt, blobs, rangesAtStorage, leavePartial };
}
