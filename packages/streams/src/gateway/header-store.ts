import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import type { WavHeader } from "../voice/wav-header.ts";
import type { GatewayLog } from "./log.ts";

/** What a WAV header said of a session's window: enough to read the window from a later chunk on. */
export interface KeptHeader extends WavHeader {
  /** The chunk in which the header ended. */
  readonly seq: bigint;
  /** Its time: that of the first sample. */
  readonly timestampMs: number;
  /** The number of the mark that ended the window; undefined while it goes on. */
  readonly endSeq?: bigint;
}

/** Headers of live sessions, on a disk: they are there for the gateway that follows one that was killed. */
export interface HeaderStore {
  /**
   * Makes the folder, and reads what another gateway has left.
   * @throws SpeechError `WRITE_FAILED` where it cannot be made
   */
  prepare(): Promise<void>;
  /** In the order of their windows. */
  of(sessionId: string): readonly KeptHeader[];
  /** Resolves when they are on the disk, or the log says that they could not be. Without headers the session is forgotten. */
  keep(sessionId: string, headers: readonly KeptHeader[]): Promise<void>;
}

/** Files are as old as the header of their session's latest window, and no window is as long. */
const MAX_AGE_MS = 7 * 86_400_000;

/** Opens a folder of headers, a file for each session. */
export function openHeaderStore(folder: string, log: GatewayLog, epochMs: () => number): HeaderStore {
  return new Store(folder, log, epochMs);
}

class Store implements HeaderStore {
  readonly #folder: string;
  readonly #log: GatewayLog;
  readonly #epochMs: () => number;
  readonly #headers = new Map<string, readonly KeptHeader[]>();

  constructor(folder: string, log: GatewayLog, epochMs: () => number) {
    this.#folder = folder;
    this.#log = log;
    this.#epochMs = epochMs;
  }

  async prepare(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const sinceMs = this.#epochMs() - MAX_AGE_MS;
      for (const name of await readdir(this.#folder)) await this.#load(join(this.#folder, name), sinceMs);
    } catch (cause) {
      const text = `${this.#folder}: expected a folder for headers, got ${textOf(cause)}. Choose another state file.`;
      throw new SpeechError("WRITE_FAILED", text, { cause });
    }
  }

  /** Reads a file; one that is too old, or was cut while it was written, goes. */
  async #load(path: string, sinceMs: number): Promise<void> {
    const { mtimeMs } = await stat(path);
    const kept = mtimeMs < sinceMs ? undefined : parse(await readFile(path, "utf8"));
    if (kept === undefined || path !== this.#path(kept.sessionId)) await rm(path, { force: true });
    else this.#headers.set(kept.sessionId, kept.headers);
  }

  of(sessionId: string): readonly KeptHeader[] {
    return this.#headers.get(sessionId) ?? [];
  }

  async keep(sessionId: string, headers: readonly KeptHeader[]): Promise<void> {
    if (headers.length > 0) this.#headers.set(sessionId, headers);
    else this.#headers.delete(sessionId);
    try {
      await this.#write(this.#path(sessionId), sessionId, headers);
    } catch (error) {
      this.#log.error(`${sessionId}: its header could not be kept: ${textOf(error)}`, { sessionId });
    }
  }

  async #write(path: string, sessionId: string, headers: readonly KeptHeader[]): Promise<void> {
    if (headers.length === 0) {
      await rm(path, { force: true });
      return;
    }
    // A name tells who calls: for nobody but the service.
    await writeFile(`${path}.part`, stringify({ sessionId, headers }), { mode: 0o600 });
    await rename(`${path}.part`, path);
  }

  /** Ids are of any length and letters; names of files are not. */
  #path(sessionId: string): string {
    return join(this.#folder, `${createHash("sha256").update(sessionId).digest("hex")}.json`);
  }
}

interface KeptSession {
  readonly sessionId: string;
  readonly headers: readonly KeptHeader[];
}

const stringify = (kept: KeptSession): string =>
  JSON.stringify(kept, (_key, value) => (typeof value === "bigint" ? `${value}` : value));

function parse(text: string): KeptSession | undefined {
  try {
    const { sessionId, headers } = JSON.parse(text);
    return {
      sessionId: String(sessionId),
      headers: headers.map((header: KeptHeader) => ({
        ...header,
        seq: BigInt(header.seq),
        endSeq: header.endSeq === undefined ? undefined : BigInt(header.endSeq),
      })),
    };
  } catch {
    return undefined;
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
