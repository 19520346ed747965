import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { isAlive } from "../process-alive.ts";

/**
 * A download under way is `<blob>.<host>-<process>.incomplete`; one that was given up is `<blob>.incomplete`, as the
 * hub's other clients name theirs. Renaming is atomic, so that one process alone gets what another left.
 */
export type ClaimedPartial =
  /** Ours to go on with. */
  | { readonly path: string }
  /** Another process is at it and has come so far. */
  | { readonly busyBytes: number };

const HOST = hostname().replace(/[^\w-]/g, "_");

/** No living download is silent for longer: time-outs, pauses and the check of the sum end before. */
const MAX_SILENCE_MS = 10 * 60 * 1000;

/** Takes over what is there of a blob, or starts with nothing. */
export async function claimPartial(blob: string): Promise<ClaimedPartial> {
  const own = `${blob}.${HOST}-${process.pid}.incomplete`;
  const others = [];
  for (const name of await readdir(dirname(blob))) {
    const owner = ownerOf(name, basename(blob));
    const path = join(dirname(blob), name);
    const found = owner && (await stat(path).catch(() => undefined));
    if (!found || path === own) continue;
    if (isAtWork(owner, found.mtimeMs)) return { busyBytes: found.size };
    others.push({ path, size: found.size });
  }
  const isOwnThere = await stat(own).then(
    () => true,
    () => false,
  );
  for (const { path } of others.sort((a, b) => b.size - a.size)) {
    if (isOwnThere) await rm(path, { force: true });
    else if (
      await rename(path, own).then(
        () => true,
        () => false,
      )
    )
      return { path: own };
  }
  await (await open(own, "a")).close();
  return { path: own };
}

/** Leaves a download that was not finished to whoever comes next. */
export async function releasePartial(blob: string, path: string): Promise<void> {
  await rename(path, `${blob}.incomplete`).catch(() => undefined); // It was finished, or removed.
}

interface Owner {
  readonly host?: string;
  readonly processId?: number;
}

/** Who writes a file of this name; undefined when it is no partial download of the blob that we could go on with. */
function ownerOf(name: string, blobName: string): Owner | undefined {
  if (name === `${blobName}.incomplete`) return {};
  const match = name.startsWith(`${blobName}.`) && /^\.([\w-]+)-(\d+)\.incomplete$/.exec(name.slice(blobName.length));
  return match ? { host: match[1], processId: Number(match[2]) } : undefined;
}

function isAtWork({ host, processId }: Owner, mtimeMs: number): boolean {
  if (processId === undefined || Date.now() - mtimeMs > MAX_SILENCE_MS) return false;
  return host !== HOST || isAlive(processId);
}
