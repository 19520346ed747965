import { type ByteSource, checkRange } from "./bytes.ts";
import { SpeechError } from "./errors.ts";

/** The part of the Web's `Blob` that is used (a `File` is one). */
export interface BlobLike {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** The part of the Web's `fetch` that is used. */
export type FetchLike = (
  url: string,
  init: { method: string; headers: Record<string, string> },
) => Promise<ResponseLike>;

/** The part of the Web's `Response` that is used. */
export interface ResponseLike {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { cancel(): Promise<void> } | null;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** Options of `httpSource`. */
export interface HttpSourceOptions {
  /** Sent with every request, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Requests for one range: a connection that breaks twice in a row is down. */
const MAX_ATTEMPTS = 3;

/** A `ByteSource` over a Blob or File. */
export function blobSource(blob: BlobLike, name = "blob"): ByteSource {
  const self = {
    name,
    sizeBytes: blob.size,
    async read(start: number, end: number): Promise<Uint8Array> {
      checkRange(self, start, end);
      let bytes: Uint8Array;
      try {
        bytes = new Uint8Array(await blob.slice(start, end).arrayBuffer());
      } catch (cause) {
        throw new SpeechError(
          "NOT_FOUND",
          `${name}: bytes [${start}, ${end}) cannot be read. The file has changed or gone; choose it again.`,
          { cause },
        );
      }
      if (bytes.length === end - start) return bytes;
      throw new SpeechError(
        "FORMAT_INVALID",
        `${name}: expected ${end - start} bytes, got ${bytes.length}. The file has changed; choose it again.`,
      );
    },
  };
  return self;
}

/**
 * A `ByteSource` over HTTP range requests (RFC 9110, 14). Every answer is checked against the first one's validator, so
 * that a file replaced on the server is noticed. A request that fails, or a server error, is tried again twice.
 * @throws SpeechError `NOT_FOUND` (404, 410), `NETWORK_FAILED` (anything else, and servers without ranges), here and from
 * `read`.
 */
export async function httpSource(url: string, fetch: FetchLike, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const request = (range: Range, validator?: string) =>
    requestRange(url, fetch, { ...options.headers }, range, validator);
  const first = await request({ start: 0, end: 1 });
  const { sizeBytes, validator } = first;
  const self = {
    name: url,
    sizeBytes,
    async read(start: number, end: number): Promise<Uint8Array> {
      checkRange(self, start, end);
      if (start === end) return new Uint8Array(0);
      const answer = await request({ start, end }, validator);
      if (answer.sizeBytes !== sizeBytes || answer.validator !== validator) throw changed(url);
      return answer.bytes;
    },
  };
  return self;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

interface Answer {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  /** A strong ETag, else the date of the last change. */
  readonly validator: string | undefined;
}

async function requestRange(
  url: string,
  fetch: FetchLike,
  extraHeaders: Record<string, string>,
  range: Range,
  validator: string | undefined,
): Promise<Answer> {
  const headers: Record<string, string> = { ...extraHeaders, range: `bytes=${range.start}-${range.end - 1}` };
  if (validator !== undefined) headers["if-range"] = validator;
  let failure: unknown;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    try {
      const response = await fetch(url, { method: "GET", headers });
      if (response.status >= 500 || response.status === 429) {
        failure = `status ${response.status}`;
        await response.body?.cancel();
        continue;
      }
      const answer = await readAnswer(url, response, range, validator);
      if (answer !== undefined) return answer;
      failure = "a body shorter than announced";
    } catch (error) {
      if (error instanceof SpeechError) throw error;
      failure = error;
    }
  }
  throw new SpeechError(
    "NETWORK_FAILED",
    `${url}: bytes [${range.start}, ${range.end}) could not be read in ${MAX_ATTEMPTS} attempts (${failure instanceof Error ? failure.message : failure}). Check the connection and try again.`,
    { cause: failure },
  );
}

/** Undefined where the body is cut short. */
async function readAnswer(
  url: string,
  response: ResponseLike,
  range: Range,
  validator: string | undefined,
): Promise<Answer | undefined> {
  const { status, headers } = response;
  const contentRange = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  const isEmptyFile = status === 416 && /^bytes \*\/0$/.test(headers.get("content-range") ?? "");
  if (status !== 206 || contentRange === null) {
    await response.body?.cancel(); // Else a whole model would be downloaded.
    if (isEmptyFile) return { bytes: new Uint8Array(0), sizeBytes: 0, validator: validatorOf(headers) };
    throw refused(url, status, validator);
  }
  const [start, last, sizeBytes] = contentRange.slice(1).map(Number);
  if (start !== range.start || last !== range.end - 1 || !Number.isSafeInteger(sizeBytes)) {
    await response.body?.cancel();
    throw new SpeechError(
      "NETWORK_FAILED",
      `${url}: expected bytes [${range.start}, ${range.end}), got [${start}, ${last + 1}). The server does not answer ranges as asked; download the file first.`,
    );
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > range.end - range.start) {
    throw new SpeechError(
      "NETWORK_FAILED",
      `${url}: expected ${range.end - range.start} bytes, got ${bytes.length}. The server does not answer ranges as asked; download the file first.`,
    );
  }
  return bytes.length < range.end - range.start ? undefined : { bytes, sizeBytes, validator: validatorOf(headers) };
}

function refused(url: string, status: number, validator: string | undefined): SpeechError {
  if (status === 404 || status === 410)
    return new SpeechError("NOT_FOUND", `${url}: the server has no such file (status ${status}). Check the address.`);
  if (status === 412 || status === 416 || (status === 200 && validator !== undefined)) return changed(url);
  if (status === 200 || status === 206) {
    return new SpeechError(
      "NETWORK_FAILED",
      `${url}: expected an answer to a range request, got status ${status} without a range. The server does not support ranges, or hides Content-Range from this page; download the file first.`,
    );
  }
  return new SpeechError(
    "NETWORK_FAILED",
    `${url}: expected status 206, got ${status}. Check the address and the permission to read it.`,
  );
}

function changed(url: string): SpeechError {
  return new SpeechError(
    "NETWORK_FAILED",
    `${url}: the file has changed on the server since it was opened. Open it again.`,
  );
}

function validatorOf(headers: ResponseLike["headers"]): string | undefined {
  const etag = headers.get("etag");
  return (etag === null || etag.startsWith("W/") ? headers.get("last-modified") : etag) ?? undefined;
}
