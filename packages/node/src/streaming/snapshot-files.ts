import { readFileSync, readlinkSync, rmSync, type Stats } from "node:fs";
import { lstat, mkdtemp, readdir, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { giveBack } from "../give-back.ts";
import { isAlive } from "../process-alive.ts";
import type { SnapshotPlace } from "./thread-messages.ts";

const PREFIX = "nemo-stt-streams";
/** When a process began, where the system does not tell: it may be the one that is asked for. */
const UNKNOWN = "0";
const OWNER = new RegExp(`^${PREFIX}-(\\d+)-(\\d+)-(\\d+)-`);

/** Folders of other containers, whose processes cannot be asked for, are removed when nothing has changed in them for so long. */
const ABANDONED_MS = 24 * 3600 * 1000;

/**
 * Whose folder it is: what numbers of processes are unique in (containers that share a folder for temporary files have one
 * each), the process, and when that began, because numbers come again.
 */
function ownerName(processId: number): string {
  return `${processSpace()}-${processId}-${startOf(processId)}`;
}

function processSpace(): string {
  return readOr("0", () => /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]);
}

/** When a process began, in the system's ticks (proc(5), field 22 of `stat`); 0 where the system does not tell. */
function startOf(processId: number): string {
  return readOr(UNKNOWN, () => {
    const stat = readFileSync(`/proc/${processId}/stat`, "utf8");
    // The second field, the program's name, may hold anything.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  });
}

function readOr(otherwise: string, read: () => string | undefined): string {
  try {
    return read() ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Removes the folders of processes that are no more: one that was killed leaves its streams' sound and state behind. */
async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const ownSpace = processSpace();
  for (const name of names) {
    const [, space, processId, start] = OWNER.exec(name) ?? [];
    if (space === undefined) continue;
    const path = join(folder, name);
    const found = await lstat(path).catch(() => undefined);
    if (!found || !isOwn(found)) continue;
    const isAbandoned =
      space === ownSpace
        ? !isAlive(Number(processId)) || ![start, UNKNOWN].includes(startOf(Number(processId)))
        : Date.now() - found.mtimeMs > ABANDONED_MS;
    if (isAbandoned) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/** A folder that this user made and nobody else can write to: in anybody else's a link might lead out of it. */
function isOwn(found: Stats): boolean {
  if (!found.isDirectory()) return false;
  // Where users have no numbers (Windows) each has a folder for temporary files of their own.
  if (process.getuid === undefined) return true;
  return found.uid === process.getuid() && (found.mode & 0o077) === 0;
}

/** The folder of an engine's snapshots, which only this user can read: in memory they would be as large as all caches. */
export class SnapshotFolder {
  #path: string | undefined;
  #numFiles = 0;

  /** Makes it, and removes what killed processes left; where there is no room, snapshots stay in memory. */
  async open(): Promise<void> {
    await removeAbandoned(tmpdir());
    this.#path = await mkdtemp(join(tmpdir(), `${PREFIX}-${ownerName(process.pid)}-`)).catch(() => undefined);
  }

  /** A name that no file has had yet. */
  nextFile(): string | undefined {
    return this.#path && join(this.#path, String(this.#numFiles++));
  }

  /** Removes files that a thread that dies may leave. */
  discard(files: readonly string[]): void {
    for (const file of files) void unlink(file).catch(() => {});
  }

  /** Removes it, with whatever threads that died have left in it. */
  async close(): Promise<void> {
    if (this.#path !== undefined) await rm(this.#path, { recursive: true, force: true, maxRetries: 3 });
  }

  /** As `close`, at the end of the process, which waits for no promise. */
  closeNow(): void {
    try {
      if (this.#path !== undefined) rmSync(this.#path, { recursive: true, force: true });
    } catch {
      // A thread may still be writing.
    }
  }
}

/**
 * The snapshots of one stream, written by the thread that has it: each call for a file takes a lock of the process that a
 * busy thread may hold, for which the main thread must not wait.
 */
export class StreamSnapshots {
  /** Oldest first. */
  #files: string[];
  #turn: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** @param saved where the stream goes on */
  constructor(saved: SnapshotPlace | undefined) {
    this.#files = typeof saved === "string" ? [saved] : [];
  }

  /** Writes a snapshot behind those before it; it stays in memory where there is no file, or no room for one. */
  put(blob: Uint8Array, file: string | undefined): Promise<SnapshotPlace> {
    const placed = this.#turn.then(() => (file === undefined ? blob : this.#write(blob, file)));
    this.#turn = placed;
    return placed;
  }

  /** Removes the snapshots before one. */
  keep(file: string): void {
    this.#remove(this.#files.indexOf(file));
  }

  /** Removes them all, and what is still to be written. */
  close(): void {
    this.#isClosed = true;
    this.#remove(this.#files.length);
  }

  async #write(blob: Uint8Array, file: string): Promise<SnapshotPlace> {
    try {
      await writeFile(file, blob, { mode: 0o600 });
    } catch {
      await unlink(file).catch(() => {});
      return blob;
    }
    giveBack(blob.buffer);
    this.#files.push(file);
    if (this.#isClosed) this.close();
    return file;
  }

  #remove(count: number): void {
    for (const file of this.#files.splice(0, Math.max(0, count))) void unlink(file).catch(() => {});
  }
}
