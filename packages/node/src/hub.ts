import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSpeechError, SpeechError } from "@nemo-stt/core";
import { hubAccess, isOffline } from "./hub/access.ts";
import { findInRepository, findInSnapshot, hubNameOf, type PulledModel, repositoryFolder } from "./hub/cache.ts";
import { downloadBlob, isSystemError, type PullProgress } from "./hub/download.ts";
import { findCheckpoint } from "./hub/repository.ts";
import { type HubAccess, type HubTiming, REAL_TIME } from "./hub/requests.ts";
import { linkIntoSnapshot, writeRef } from "./hub/snapshot.ts";

export { findPulled, hubCacheFolder, listPulled, type PulledModel } from "./hub/cache.ts";
export type { PullProgress } from "./hub/download.ts";
export type { HubTiming } from "./hub/requests.ts";

/** What to pull, and from where. */
export interface PullOptions {
  /** A branch, tag or commit; `main` unless told. */
  readonly revision?: string;
  /** The hub's address; `HF_ENDPOINT` or https://huggingface.co unless told. */
  readonly endpoint?: string;
  /** `HF_TOKEN`, or what `hf auth login` left, unless told. */
  readonly token?: string;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Downloads the `.nemo` of a model on the hub into the cache of the hub's clients, unless it is there. An interrupted
 * download goes on where it ended; the file appears after its sum was checked. Several processes may pull at a time.
 * `HF_HUB_OFFLINE=1` asks nobody and gives what is there.
 * @param name `nvidia/NAME`, or NeMo's bare `NAME`
 * @param timing pauses and time-outs
 * @throws SpeechError `NOT_FOUND`, `NETWORK_FAILED`, `WRITE_FAILED`; the reason of `signal`
 */
export async function pullModel(
  name: string,
  options: PullOptions = {},
  timing: HubTiming = REAL_TIME,
): Promise<PulledModel> {
  const hubName = hubNameOf(name);
  if (!hubName) {
    throw new SpeechError(
      "NOT_FOUND",
      `${name}: expected a model's name on the hub, such as nvidia/parakeet-tdt_ctc-110m. \`nemo-stt models\` lists NVIDIA's.`,
    );
  }
  const access = await hubAccess(hubName, options, timing);
  const isCommit = COMMIT.test(access.revision);
  const local = isCommit ? await findInSnapshot(hubName, access.revision) : undefined;
  if (local) return local;
  if (isOffline()) return findOffline(access);
  try {
    return await pullFrom(access, options.onProgress ?? (() => {}));
  } catch (error) {
    if (isSpeechError(error) || !isSystemError(error)) throw error;
    throw new SpeechError(
      "WRITE_FAILED",
      `${repositoryFolder(hubName)}: expected to write the download there, got ${error.message}. Free space, or set HF_HOME to another folder.`,
      { cause: error },
    );
  }
}

const COMMIT = /^[0-9a-f]{40}$/;

async function findOffline({ hubName, revision }: HubAccess): Promise<PulledModel> {
  const found = await findInRepository(hubName, revision);
  if (found) return found;
  throw new SpeechError(
    "NETWORK_FAILED",
    `${hubName}: expected it in ${repositoryFolder(hubName)}, as HF_HUB_OFFLINE is set, got nothing. Unset it to pull the model.`,
  );
}

async function pullFrom(access: HubAccess, onProgress: (progress: PullProgress) => void): Promise<PulledModel> {
  const { hubName, revision } = access;
  const file = await findCheckpoint(access);
  const repository = repositoryFolder(hubName);
  const blob = join(repository, "blobs", file.checksum.hex);
  const path = join(repository, "snapshots", file.commit, file.path);
  await mkdir(dirname(blob), { recursive: true });
  await downloadBlob(access, file, blob, onProgress);
  await linkIntoSnapshot(blob, path);
  if (revision !== file.commit) await writeRef(repository, revision, file.commit);
  return { name: hubName, path, sizeBytes: file.sizeBytes, revision: file.commit };
}
