import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { memorySource } from "../src/bytes.ts";
import { blobSource, httpSource, type ResponseLike } from "../src/sources.ts";

const DATA = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);

describe("memorySource", () => {
  test("gives copies even of a Buffer, whose own slices share its memory", async () => {
    const buffer = Buffer.from(DATA);
    const range = await memorySource(buffer).read(3, 9);
    range.fill(0);
    expect(Uint8Array.from(buffer)).toEqual(DATA);
    expect(range.constructor).toBe(Uint8Array);
  });
});

describe("blobSource", () => {
  test("reads ranges of a Blob", async () => {
    const source = blobSource(new Blob([DATA]), "f.nemo");
    expect(source).toMatchObject({ name: "f.nemo", sizeBytes: 1000 });
    expect(await source.read(10, 20)).toEqual(DATA.slice(10, 20));
    expect(await source.read(5, 5)).toEqual(new Uint8Array(0));
    await expect(source.read(990, 1001)).rejects.toMatchObject({ code: "FORMAT_INVALID" });
  });

  test("tells that the file behind it has changed or gone", async () => {
    const gone = { size: 9, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadableError")) }) };
    await expect(blobSource(gone, "f").read(0, 9)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "f: bytes [0, 9) cannot be read. The file has changed or gone; choose it again.",
    });
    const short = { size: 9, slice: () => ({ arrayBuffer: async () => new ArrayBuffer(4) }) };
    await expect(blobSource(short, "f").read(0, 9)).rejects.toMatchObject({
      code: "FORMAT_INVALID",
      message: "f: expected 9 bytes, got 4. The file has changed; choose it again.",
    });
  });
});

/** Runs `use` against a server on this machine. */
async function withServer<T>(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x.nemo`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A server that answers ranges as RFC 9110 asks, `If-Range` included. */
function serveRanges(state: { etag: string }) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const isStale = request.headers["if-range"] !== undefined && request.headers["if-range"] !== state.etag;
    if (range === null || isStale) return void response.writeHead(200, { etag: state.etag }).end(DATA);
    const [start, last] = range.slice(1).map(Number);
    response
      .writeHead(206, { etag: state.etag, "content-range": `bytes ${start}-${last}/${DATA.length}` })
      .end(DATA.slice(start, last + 1));
  };
}

/** An answer without a server. */
function answer(status: number, headers: Record<string, string>, body = new Uint8Array(0)): ResponseLike {
  return new Response(status === 206 || status === 200 ? body : null, { status, headers });
}

const range = (start: number, end: number, size: number | string = 1000) => ({
  "content-range": `bytes ${start}-${end - 1}/${size}`,
});

describe("httpSource", () => {
  test("reads ranges with the platform's fetch, and sends the given headers", async () => {
    const seen = new Set<string | undefined>();
    const serve = serveRanges({ etag: '"1"' });
    const handler = (request: IncomingMessage, response: ServerResponse) => {
      seen.add(request.headers.authorization);
      serve(request, response);
    };
    await withServer(handler, async (url) => {
      const source = await httpSource(url, fetch, { headers: { authorization: "Bearer t" } });
      expect(source).toMatchObject({ name: url, sizeBytes: 1000 });
      expect(await source.read(100, 300)).toEqual(DATA.slice(100, 300));
      expect(await source.read(999, 1000)).toEqual(DATA.slice(999));
      expect(await source.read(7, 7)).toEqual(new Uint8Array(0));
      await expect(source.read(0, 1001)).rejects.toMatchObject({ code: "FORMAT_INVALID" });
    });
    expect(seen).toEqual(new Set(["Bearer t"]));
  });

  test("notices that the file has changed", async () => {
    const state = { etag: '"1"' };
    await withServer(serveRanges(state), async (url) => {
      const source = await httpSource(url, fetch);
      state.etag = '"2"';
      await expect(source.read(0, 10)).rejects.toMatchObject({
        code: "NETWORK_FAILED",
        message: `${url}: the file has changed on the server since it was opened. Open it again.`,
      });
    });
  });

  test("notices another size or date where the server ignores If-Range", async () => {
    for (const second of [
      { ...range(0, 4, 999), "last-modified": "a" },
      { ...range(0, 4), "last-modified": "b" },
    ]) {
      const answers = [
        answer(206, { ...range(0, 1), "last-modified": "a", etag: 'W/"1"' }, new Uint8Array(1)),
        answer(206, second, new Uint8Array(4)),
      ];
      const source = await httpSource("u", async () => answers.shift()!);
      await expect(source.read(0, 4)).rejects.toThrow(
        "u: the file has changed on the server since it was opened. Open it again.",
      );
    }
  });

  test("tries a failed request again, twice", async () => {
    let numRequests = 0;
    const flaky = (failures: (() => ResponseLike)[]) => async () => {
      numRequests++;
      return failures.length > 0 ? failures.shift()!() : answer(206, range(0, 1), new Uint8Array(1));
    };
    const broken = () => {
      throw new TypeError("fetch failed");
    };
    const short = () => answer(206, range(0, 1));
    expect((await httpSource("u", flaky([broken, () => answer(503, {})]))).sizeBytes).toBe(1000);
    expect((await httpSource("u", flaky([short, () => answer(429, {})]))).sizeBytes).toBe(1000);
    expect(numRequests).toBe(6);
    await expect(httpSource("u", flaky([broken, broken, broken, broken]))).rejects.toMatchObject({
      code: "NETWORK_FAILED",
      message: "u: bytes [0, 1) could not be read in 3 attempts (fetch failed). Check the connection and try again.",
    });
    await expect(httpSource("u", flaky([broken, broken, short]))).rejects.toThrow("(a body shorter than announced)");
    await expect(httpSource("u", flaky([broken, broken, () => answer(500, {})]))).rejects.toThrow("(status 500)");
  });

  const refused: [string, ResponseLike, string, string][] = [
    [
      "a server without ranges",
      answer(200, {}),
      "NETWORK_FAILED",
      "u: expected an answer to a range request, got status 200 without a range. The server does not support ranges, or hides Content-Range from this page; download the file first.",
    ],
    [
      "a range without its size",
      answer(206, range(0, 1, "*")),
      "NETWORK_FAILED",
      "u: expected an answer to a range request, got status 206 without a range.",
    ],
    ["a missing file", answer(404, {}), "NOT_FOUND", "u: the server has no such file (status 404). Check the address."],
    [
      "a forbidden file",
      answer(403, {}),
      "NETWORK_FAILED",
      "u: expected status 206, got 403. Check the address and the permission to read it.",
    ],
    [
      "another range",
      answer(206, range(5, 6)),
      "NETWORK_FAILED",
      "u: expected bytes [0, 1), got [5, 6). The server does not answer ranges as asked; download the file first.",
    ],
    [
      "more bytes than asked",
      answer(206, range(0, 1), new Uint8Array(2)),
      "NETWORK_FAILED",
      "u: expected 1 bytes, got 2. The server does not answer ranges as asked; download the file first.",
    ],
  ];
  test.each(refused)("refuses %s", async (_, response, code, message) => {
    await expect(httpSource("u", async () => response)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test("does not download a body that it cannot use, and opens an empty file", async () => {
    let isCancelled = false;
    const body = {
      cancel: async () => {
        isCancelled = true;
      },
    };
    const whole = { status: 200, headers: new Headers(), body, arrayBuffer: () => Promise.reject(new Error("read")) };
    await expect(httpSource("u", async () => whole)).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    expect(isCancelled).toBe(true);
    expect((await httpSource("u", async () => answer(416, { "content-range": "bytes */0" }))).sizeBytes).toBe(0);
  });
});
