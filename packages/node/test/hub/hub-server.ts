import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the next request meets instead of the file's bytes. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** Other bytes than the file's. */
  readonly bytes?: Uint8Array;
  readonly ignoresRange?: true;
  /** The connection breaks after so many bytes. */
  readonly cutAfterBytes?: number;
  /** Nothing comes after so many bytes, and the connection stays. */
  readonly stallAfterBytes?: number;
}

/** A repository of the test hub at one commit. */
export interface TestRepository {
  commit: string;
  readonly branches: string[];
  readonly files: { readonly path: string; readonly bytes: Uint8Array; readonly isInGit?: boolean }[];
  /** Only this token may read the files. */
  gatedFor?: string;
}

/** A hub on 127.0.0.1 with its storage on a second port, as the real one redirects to another host. */
export interface TestHub extends AsyncDisposable {
  readonly endpoint: string;
  readonly repositories: Map<string, TestRepository>;
  /** Met one after another by requests for files' bytes at the storage. */
  readonly faults: Fault[];
  /** Met one after another by requests to the hub itself. */
  readonly hubFaults: Fault[];
  /** What was asked: `hub GET /path`, `storage GET /path`, with range and authorization. */
  readonly requests: { readonly line: string; readonly range?: string; readonly authorization?: string }[];
  /** Members put over those of each entry of a listing. */
  readonly entryOverrides: Record<string, unknown>;
}

/** Starts the hub: `api/models/…/revision`, `…/tree` by pages of two, `resolve` with redirects, ranges. */
export async function startTestHub(): Promise<TestHub> {
  const hub = createServer((request, response) => answerHub(state, request, response));
  const storage = createServer((request, response) => answerStorage(state, request, response));
  const state: TestHub = {
    endpoint: await listen(hub),
    repositories: new Map(),
    faults: [],
    hubFaults: [],
    requests: [],
    entryOverrides: {},
    async [Symbol.asyncDispose]() {
      for (const server of [hub, storage]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
  storageAddresses.set(state, await listen(storage));
  return state;
}

const storageAddresses = new WeakMap<TestHub, string>();

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function note(state: TestHub, server: string, { method, url, headers }: IncomingMessage): void {
  const { range, authorization } = headers;
  state.requests.push({ line: `${server} ${method} ${url?.split("?")[0]}`, range, authorization });
}

function answerHub(state: TestHub, request: IncomingMessage, response: ServerResponse): void {
  note(state, "hub", request);
  const { bytes, status, headers } = state.hubFaults.shift() ?? {};
  if (bytes || status) {
    response.writeHead(status ?? 200, headers).end(bytes);
    return;
  }
  const url = new URL(request.url ?? "", state.endpoint);
  const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
  const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
  const [, name, ...rest] = api ?? resolve ?? [];
  const repository = state.repositories.get(name);
  const revision = decodeURIComponent((api ? rest[1] : rest[0]) ?? "");
  if (!repository) {
    refuse(response, request.headers.authorization ? 404 : 401, "RepoNotFound");
  } else if (![repository.commit, ...repository.branches].includes(revision)) {
    refuse(response, 404, "RevisionNotFound");
  } else if (!api) {
    sendFile(state, repository, rest[1], request, response);
  } else if (rest[0] === "tree") {
    sendListing(state, repository, url, response);
  } else {
    sendJson(response, { _id: "1", id: name, sha: repository.commit });
  }
}

function sendListing(state: TestHub, repository: TestRepository, url: URL, response: ServerResponse): void {
  const start = Number(url.searchParams.get("cursor") ?? 0);
  url.searchParams.set("cursor", String(start + 2));
  if (start + 2 < repository.files.length) response.setHeader("link", `<${url.href}>; rel="next"`);
  const entries = repository.files.slice(start, start + 2).map(({ path, bytes, isInGit }) => ({
    type: "file",
    path,
    size: bytes.byteLength,
    oid: gitSum(bytes),
    ...(isInGit ? {} : { lfs: { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 134 } }),
    ...state.entryOverrides,
  }));
  sendJson(response, entries);
}

function sendFile(
  state: TestHub,
  { gatedFor, files, commit }: TestRepository,
  path: string,
  { headers }: IncomingMessage,
  response: ServerResponse,
): void {
  const file = files.find((candidate) => candidate.path === path);
  if (gatedFor !== undefined && headers.authorization !== `Bearer ${gatedFor}`) {
    refuse(response, headers.authorization ? 403 : 401, "GatedRepo");
  } else if (!file) {
    refuse(response, 404, "EntryNotFound");
  } else if (headers.accept?.includes("xet-fileinfo")) {
    // The client's question for what it is: answered here, as for files of the hub's newer storage.
    sendXetInfo(file.bytes, response);
  } else {
    response.writeHead(302, { location: `${storageAddresses.get(state)}/${commit}/${path}?signature=1` }).end();
  }
}

function sendXetInfo(bytes: Uint8Array, response: ServerResponse): void {
  response.writeHead(200, {
    "x-linked-etag": `"${sha256(bytes)}"`,
    "content-type": "application/vnd.xet-fileinfo+json",
    "x-linked-size": bytes.byteLength,
    "x-xet-hash": "0".repeat(64),
    link: '<https://xet.invalid/auth>; rel="xet-auth", <https://xet.invalid/info>; rel="xet-reconstruction-info"',
  });
  response.end("{}");
}

function answerStorage(state: TestHub, request: IncomingMessage, response: ServerResponse): void {
  note(state, "storage", request);
  const path = request.url?.split("?")[0].split("/").slice(2).join("/");
  const files = [...state.repositories.values()].flatMap((repository) => repository.files);
  const whole = files.find((file) => file.path === path)?.bytes ?? new Uint8Array();
  const { bytes = whole, status, headers, ignoresRange, cutAfterBytes, stallAfterBytes } = state.faults.shift() ?? {};
  const range = ignoresRange ? undefined : /^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1];
  const start = Number(range ?? 0);
  const isBeyond = start > 0 && start >= bytes.byteLength;
  if (status || isBeyond) {
    response.writeHead(status ?? 416, headers).end();
    return;
  }
  const body = bytes.subarray(start);
  const contentRange = `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}`;
  response.writeHead(range ? 206 : 200, {
    "content-length": body.byteLength,
    ...(range && { "content-range": contentRange }),
  });
  if (cutAfterBytes !== undefined) {
    response.write(body.subarray(0, cutAfterBytes), () => setImmediate(() => response.destroy()));
  } else if (stallAfterBytes !== undefined) {
    response.write(body.subarray(0, stallAfterBytes));
  } else {
    response.end(body);
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "x-error-code": code }).end("no");
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
}

/** The name of a file in Git LFS. */
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The name of a file in Git. */
export const gitSum = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.byteLength}\0`).update(bytes).digest("hex");
