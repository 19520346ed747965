import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat, statfs, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import { claimPartial, releasePartial } from "./partial.ts";
import { type Attempt, type HubAccess, openAnswer, pauseFor, retrying, type Setback, unreachable } from "./requests.ts";

/** A file of the hub and what it must be. */
export interface RemoteFile {
  readonly url: string;
  readonly sizeBytes: number;
  readonly checksum: Checksum;
}

/** A sum over `prefix` and a file: SHA-256 of what Git LFS keeps, SHA-1 in Git's way of what is in the repository. */
export interface Checksum {
  readonly algorithm: "sha256" | "sha1";
  readonly prefix: string;
  readonly hex: string;
}

/** How far a download is. */
export interface PullProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Downloads of this process by their blob: a second one waits for the first. */
const underWay = new Map<string, Promise<void>>();

/**
 * Downloads into `blob`, which appears whole and checked or not at all. Goes on with what an earlier download left, and
 * leaves what it has when it fails.
 * @throws SpeechError `NETWORK_FAILED`; the error of the disk as it is
 */
export async function downloadBlob(
  access: HubAccess,
  file: RemoteFile,
  blob: string,
  onProgress: (progress: PullProgress) => void,
): Promise<void> {
  while (underWay.has(blob)) await underWay.get(blob)?.catch(() => undefined);
  const work = claimAndFill(access, file, blob, (doneBytes) => onProgress({ doneBytes, totalBytes: file.sizeBytes }));
  underWay.set(blob, work);
  return work.finally(() => underWay.delete(blob));
}

type Report = (doneBytes: number) => void;

async function claimAndFill(access: HubAccess, file: RemoteFile, blob: string, report: Report): Promise<void> {
  const partial = await waitForPartial(access, file, blob, report);
  if (!partial) return report(file.sizeBytes);
  try {
    const { size: resumedBytes } = await stat(partial);
    await checkSpace(partial, file.sizeBytes - resumedBytes);
    let sum = await fillAndSum(access, file, partial, report);
    if (sum !== file.checksum.hex && resumedBytes > 0) {
      // What an earlier download left may be to blame: once more, all of it.
      await truncate(partial, 0);
      sum = await fillAndSum(access, file, partial, report);
    }
    if (sum !== file.checksum.hex) {
      await rm(partial);
      throw wrongSum(access, file, sum);
    }
    await rename(partial, blob);
  } finally {
    await releasePartial(blob, partial);
  }
}

/** The file to write to; undefined when another process, after we waited for it, has done the work. */
async function waitForPartial(
  access: HubAccess,
  file: RemoteFile,
  blob: string,
  report: Report,
): Promise<string | undefined> {
  for (;;) {
    const found = await stat(blob).catch(() => undefined);
    if (found?.size === file.sizeBytes) return undefined;
    const claimed = await claimPartial(blob);
    if ("path" in claimed) return claimed.path;
    report(claimed.busyBytes);
    await pauseFor(access, 1000);
  }
}

/** Fills a file from where it ends, over as many connections as it takes, and gives the sum of what is on the disk. */
async function fillAndSum(access: HubAccess, remote: RemoteFile, path: string, report: Report): Promise<string> {
  const file = await open(path, "r+");
  try {
    const { size } = await file.stat();
    const doneBytes = size > remote.sizeBytes ? 0 : size;
    const filling: Filling = { remote, file, report, doneBytes, mostBytes: doneBytes };
    report(doneBytes);
    await retrying(access, () => receive(access, filling));
    await file.truncate(remote.sizeBytes);
    await file.sync();
  } finally {
    await file.close();
  }
  return sumOf(path, remote.checksum, access.signal);
}

/** A file being filled: up to where, and up to where it once was before a server began anew. */
interface Filling {
  readonly remote: RemoteFile;
  readonly file: FileHandle;
  readonly report: Report;
  doneBytes: number;
  mostBytes: number;
}

/** Appends what one connection gives. */
async function receive(access: HubAccess, filling: Filling): Promise<Attempt<undefined>> {
  const { url, sizeBytes } = filling.remote;
  if (filling.doneBytes === sizeBytes) return { value: undefined };
  const opened = await openAnswer(access, url, { headers: { range: `bytes=${filling.doneBytes}-` } });
  if (!("value" in opened)) return opened;
  const { response, pieces, close } = opened.value;
  try {
    if (!isContinuation(response, filling.doneBytes)) {
      filling.doneBytes = 0;
      // A server that knows no ranges gives everything again; any other answer is not used.
      if (response.status !== 200) return cutShort(access, filling, `status ${response.status} without them`);
    }
    for await (const piece of pieces()) {
      if (filling.doneBytes + piece.byteLength > sizeBytes) return cutShort(access, filling, "more of them");
      await writeAt(filling.file, piece, filling.doneBytes);
      filling.doneBytes += piece.byteLength;
      filling.report(filling.doneBytes);
    }
    if (filling.doneBytes === sizeBytes) return { value: undefined };
    return cutShort(access, filling, `${filling.doneBytes} of them`);
  } catch (error) {
    if (isSystemError(error)) throw error;
    return { ...unreachable(access, url, error), isProgress: takeProgress(filling) };
  } finally {
    close();
  }
}

function isContinuation({ status, headers }: Response, position: number): boolean {
  return status === 206 && headers.get("content-range")?.startsWith(`bytes ${position}-`) === true;
}

function cutShort(access: HubAccess, filling: Filling, got: string): Setback {
  const failure = new SpeechError(
    "NETWORK_FAILED",
    `${filling.remote.url}: expected the ${filling.remote.sizeBytes} bytes of ${access.hubName}, got ${got}. Pull again to go on from there.`,
  );
  return { failure, isProgress: takeProgress(filling) };
}

/** A server that gives less than this on each connection is not asked without end. */
const MIN_PROGRESS_BYTES = 64 * 1024;

/** Whether a connection brought the file further than it had ever been. */
function takeProgress(filling: Filling): boolean {
  const isProgress = filling.doneBytes - filling.mostBytes >= MIN_PROGRESS_BYTES;
  filling.mostBytes = Math.max(filling.mostBytes, filling.doneBytes);
  return isProgress;
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

async function sumOf(path: string, { algorithm, prefix }: Checksum, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash(algorithm).update(prefix);
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    hash.update(piece);
  }
  return hash.digest("hex");
}

function wrongSum(access: HubAccess, { url, checksum }: RemoteFile, sum: string): SpeechError {
  const name = checksum.algorithm === "sha256" ? "SHA-256" : "Git's SHA-1";
  return new SpeechError(
    "NETWORK_FAILED",
    `${url}: expected ${name} ${checksum.hex}, got ${sum}, and deleted the file. Pull ${access.hubName} again; if that does not help, a proxy or mirror alters what passes through it: check HF_ENDPOINT.`,
  );
}

/** Fails before a long download rather than at its end; file systems that do not tell are taken as large enough. */
async function checkSpace(path: string, neededBytes: number): Promise<void> {
  const found = await statfs(dirname(path)).catch(() => undefined);
  const freeBytes = found ? found.bavail * found.bsize : Number.POSITIVE_INFINITY;
  if (freeBytes >= neededBytes) return;
  throw new SpeechError(
    "WRITE_FAILED",
    `${dirname(path)}: expected ${megabytes(neededBytes)} free for the download, got ${megabytes(freeBytes)}. Free space, or set HF_HOME to a folder on another disk.`,
  );
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;

/** An error of the disk, which no other connection mends. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "errno" in error;
}
