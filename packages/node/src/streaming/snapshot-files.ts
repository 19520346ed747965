import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A snapshot on the disk. */
export interface SnapshotFile {
  read(): Promise<Uint8Array>;
  remove(): Promise<void>;
}

/**
 * Snapshots of streams that rest, in a folder of their own that only this user can read: a stream that nothing is asked
 * of should need little more memory than its caches.
 */
export class SnapshotFiles {
  readonly #parent: string;
  #folder: Promise<string> | undefined;
  #numFiles = 0;

  constructor(parent = tmpdir()) {
    this.#parent = parent;
  }

  async write(blob: Uint8Array): Promise<SnapshotFile> {
    this.#folder ??= mkdtemp(join(this.#parent, "nemo-stt-streams-"));
    const path = join(await this.#folder, String(this.#numFiles++));
    await writeFile(path, blob, { mode: 0o600, flag: "wx" });
    return { read: () => readFile(path), remove: () => rm(path, { force: true }) };
  }

  /** Removes them all. */
  async close(): Promise<void> {
    if (this.#folder) await rm(await this.#folder, { recursive: true, force: true });
  }
}
