import { isSpeechError, SpeechError } from "@nemo-stt/core";
import { chooseCheckpoint, isExportedModel } from "./cache.ts";
import type { RemoteFile } from "./download.ts";
import { type Attempt, type HubAccess, openAnswer, retrying, unreachable } from "./requests.ts";

/** The checkpoint of a repository at one commit. */
export interface RemoteCheckpoint extends RemoteFile {
  /** In the repository. */
  readonly path: string;
  readonly commit: string;
}

/** Repositories of models have tens of files and a page of the listing a thousand; one without end is not read to it. */
const MAX_ANSWERS = 20;
/** A page of a listing has some 300 bytes for each entry. */
const MAX_ANSWER_BYTES = 16 << 20;

/**
 * Asks the hub, through its official client, which commit a revision is, which checkpoint it holds and where that is.
 * @throws SpeechError `NOT_FOUND` where there is none, `NETWORK_FAILED`
 */
export async function findCheckpoint(access: HubAccess): Promise<RemoteCheckpoint> {
  const { fileDownloadInfo, listFiles, modelInfo } = await import("@huggingface/hub");
  // No `accessToken`: the client insists on `hf_…`, which mirrors' tokens are not; `openAnswer` adds it.
  const common = {
    hubUrl: access.endpoint,
    repo: { type: "model" as const, name: access.hubName },
    fetch: clientFetch(access),
  };
  return asking(access, async () => {
    const { sha } = await modelInfo({
      ...common,
      name: access.hubName,
      revision: access.revision,
      additionalFields: ["sha"],
    });
    const commit = matching(sha, /^[0-9a-f]{40}$/, "a commit");
    const files = [];
    for await (const entry of listFiles({ ...common, revision: commit, recursive: true })) {
      if (entry.type === "file") files.push(entry);
    }
    const file = chooseCheckpoint(access.hubName, files);
    if (!file)
      throw noCheckpoint(
        access,
        files.map((entry) => entry.path),
      );
    const path = matching(file.path, /^(?!.*(?:^|\/)\.\.?(?:\/|$))[\w.+-]+(?:\/[\w.+-]+)*$/, "a relative path");
    const info = await fileDownloadInfo({ ...common, path, revision: commit });
    if (!info) throw new Error(`no address of ${path}`);
    return { path, commit, url: info.url, ...contentOf(file) };
  });
}

/** Size and sum of a file as the listing tells them. */
function contentOf({ lfs, oid, size }: { lfs?: { oid: string; size: number }; oid?: string; size: number }) {
  const sizeBytes = lfs?.size ?? size;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new Error(`${sizeBytes} for a size`);
  const checksum = lfs
    ? { algorithm: "sha256" as const, prefix: "", hex: matching(lfs.oid, /^[0-9a-f]{64}$/, "a SHA-256") }
    : { algorithm: "sha1" as const, prefix: `blob ${sizeBytes}\0`, hex: matching(oid, /^[0-9a-f]{40}$/, "a SHA-1") };
  return { sizeBytes, checksum };
}

/** A member of an answer that becomes part of a path or is compared with one. */
function matching(value: unknown, pattern: RegExp, what: string): string {
  if (typeof value === "string" && pattern.test(value)) return value;
  throw new Error(`${JSON.stringify(value)?.slice(0, 100)} for ${what}`);
}

function noCheckpoint({ endpoint, hubName }: HubAccess, paths: readonly string[]): SpeechError {
  const where = `${endpoint}/${hubName}: expected a repository with a .nemo file, got`;
  const isExported = isExportedModel(paths);
  const advice = isExported
    ? `an exported ONNX model. Fetch it with \`hf download ${hubName}\`; \`--model ${hubName}\` finds it then.`
    : `${paths.length} files of other kinds. \`nemo-stt models\` lists models that can be pulled.`;
  return new SpeechError("NOT_FOUND", `${where} ${advice}`);
}

/** Turns what the client throws at an answer that it does not understand into our error. */
async function asking<T>(access: HubAccess, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    access.signal?.throwIfAborted();
    if (isSpeechError(error)) throw error;
    throw new SpeechError(
      "NETWORK_FAILED",
      `${access.endpoint}: expected the hub's answer about ${access.hubName}, got ${(error as Error).message}. Check HF_ENDPOINT; a proxy or a login page may have answered in its place.`,
      { cause: error },
    );
  }
}

/** `fetch` for the client: with our token, time-outs and repetitions, and with bodies of bounded size. */
function clientFetch(access: HubAccess): typeof fetch {
  let numAnswers = 0;
  return async (input, init) => {
    if (++numAnswers > MAX_ANSWERS) throw tooLong(access, `${MAX_ANSWERS} pages`);
    return retrying(access, async (): Promise<Attempt<Response>> => {
      const url = String(input);
      const opened = await openAnswer(access, url, init);
      if (!("value" in opened)) return opened;
      const { response, pieces, close } = opened.value;
      // The client asks for one byte of a file to read the headers; a server without ranges would send all of it.
      const isProbe = new Headers(init?.headers).has("range");
      try {
        const body = isProbe ? null : await wholeOf(access, pieces());
        return { value: new Response(body, { status: response.status, headers: response.headers }) };
      } catch (error) {
        if (isSpeechError(error)) throw error;
        return unreachable(access, url, error);
      } finally {
        close();
      }
    });
  };
}

function tooLong({ endpoint, hubName }: HubAccess, most: string): SpeechError {
  return new SpeechError(
    "LIMIT_EXCEEDED",
    `${endpoint}: expected at most ${most} about ${hubName}, got more. Check HF_ENDPOINT.`,
  );
}

async function wholeOf(access: HubAccess, pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let numBytes = 0;
  for await (const piece of pieces) {
    numBytes += piece.byteLength;
    if (numBytes > MAX_ANSWER_BYTES) throw tooLong(access, `${MAX_ANSWER_BYTES} bytes`);
    parts.push(piece);
  }
  return Buffer.concat(parts);
}
