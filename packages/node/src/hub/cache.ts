import { readdir, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { MANIFEST_NAME } from "@nemo-stt/core";

/** A model of the hub that is on this machine. */
export interface PulledModel {
  /** On the hub: `nvidia/parakeet-tdt_ctc-110m`. */
  readonly name: string;
  /** The `.nemo`, or the folder of an exported model. */
  readonly path: string;
  readonly sizeBytes: number;
  /** The commit that it is from. */
  readonly revision: string;
}

/**
 * The folder that the hub's clients (Python's `huggingface_hub`, JavaScript's, ours) keep downloads in: `HF_HUB_CACHE`,
 * `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` or `~/.cache/huggingface/hub`.
 *
 * Kept here because loading the client for it would cost every command 50 ms; a test compares the two.
 */
export function hubCacheFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE } = environment;
  return expandHome(HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(hubHome(environment), "hub"));
}

/** `HF_HOME`, where the hub's clients keep everything: the cache and the token of `hf auth login`. */
export function hubHome(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const { HF_HOME, XDG_CACHE_HOME } = environment;
  return expandHome(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"));
}

const expandHome = (path: string) => path.replace(/^~(?=$|[\\/])/, () => homedir());

/** Owner and name as the hub allows them: no leading dots or dashes, and `--` is kept for the cache's folders. */
const HUB_NAME = /^[A-Za-z0-9_][\w.-]*\/[A-Za-z0-9_][\w.-]*$/;

/** The hub's name of a model: `nvidia/` is put before NeMo's bare names. Undefined for what cannot be a name there. */
export function hubNameOf(name: string): string | undefined {
  const full = name.includes("/") ? name : `nvidia/${name}`;
  return HUB_NAME.test(full) && !/--|\.\./.test(full) && full.length <= 96 ? full : undefined;
}

/** The folder of one repository in the cache. */
export const repositoryFolder = (hubName: string): string =>
  join(hubCacheFolder(), `models--${hubName.replace("/", "--")}`);

/**
 * Finds a model that was pulled, by us or by another of the hub's clients: the path of its `.nemo`, or of the snapshot's
 * folder when that is an exported model. Undefined when there is none.
 * @param name `nvidia/NAME`, or NeMo's bare `NAME`
 */
export async function findPulled(name: string): Promise<string | undefined> {
  const hubName = hubNameOf(name);
  return hubName && (await findInRepository(hubName))?.path;
}

/** Every model on this machine that came from the hub and can be given to `--model`, by name. */
export async function listPulled(): Promise<PulledModel[]> {
  const found: PulledModel[] = [];
  for (const folder of (await namesIn(hubCacheFolder())).sort()) {
    const [kind, ...parts] = folder.split("--");
    const hubName = hubNameOf(parts.join("/"));
    const model = kind === "models" && hubName ? await findInRepository(hubName) : undefined;
    if (model) found.push(model);
  }
  return found;
}

/** The model of a repository: of the branch or tag if that was pulled; for `main` else of the newest snapshot with one. */
export async function findInRepository(hubName: string, revision = "main"): Promise<PulledModel | undefined> {
  const repository = repositoryFolder(hubName);
  const commit = (await readFile(join(repository, "refs", revision), "utf8").catch(() => "")).trim();
  const pulled = commit ? await findInSnapshot(hubName, commit) : undefined;
  if (pulled || revision !== "main") return pulled;
  const snapshots = await Promise.all(
    (await namesIn(join(repository, "snapshots"))).map(async (name) => {
      const found = await stat(join(repository, "snapshots", name)).catch(() => undefined);
      return { name, madeMs: found?.mtimeMs ?? 0 };
    }),
  );
  for (const { name } of snapshots.sort((a, b) => b.madeMs - a.madeMs)) {
    const model = await findInSnapshot(hubName, name);
    if (model) return model;
  }
  return undefined;
}

/** The model of one commit, if it is here whole. */
export async function findInSnapshot(hubName: string, revision: string): Promise<PulledModel | undefined> {
  const snapshot = join(repositoryFolder(hubName), "snapshots", revision);
  const names = await readdir(snapshot, { recursive: true }).catch(() => []);
  const files = (await Promise.all(names.map((name) => fileIn(snapshot, name)))).filter((file) => file !== undefined);
  const checkpoint = chooseCheckpoint(hubName, files);
  if (checkpoint) {
    return { name: hubName, path: join(snapshot, checkpoint.path), sizeBytes: checkpoint.size, revision };
  }
  const top = files.filter((file) => !/[\\/]/.test(file.path));
  if (!isExportedModel(top.map((file) => file.path))) return undefined;
  return { name: hubName, path: snapshot, sizeBytes: files.reduce((sum, file) => sum + file.size, 0), revision };
}

/** The checkpoint among a repository's files: the one that carries its name, else the largest. */
export function chooseCheckpoint<T extends { path: string; size: number }>(
  hubName: string,
  files: readonly T[],
): T | undefined {
  const checkpoints = files.filter((file) => file.path.endsWith(".nemo"));
  const own = checkpoints.find((file) => file.path === `${basename(hubName)}.nemo`);
  return own ?? checkpoints.sort((a, b) => b.size - a.size)[0];
}

/** Whether the names in a folder are those of an exported model: ours, or a graph and its tokens beside it. */
export function isExportedModel(names: readonly string[]): boolean {
  if (names.includes(MANIFEST_NAME)) return true;
  return (
    names.some((name) => name.endsWith(".onnx")) && names.some((name) => /(^|[.-])(tokens|vocab)\.txt$/.test(name))
  );
}

/** Follows the links of a snapshot; undefined for folders and for links to what was deleted. */
async function fileIn(snapshot: string, path: string): Promise<{ path: string; size: number } | undefined> {
  const found = await stat(join(snapshot, path)).catch(() => undefined);
  return found?.isFile() ? { path, size: found.size } : undefined;
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
