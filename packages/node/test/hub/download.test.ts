import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { describe, expect, test, vi } from "vitest";
import { findPulled, pullModel } from "../../src/hub.ts";
import { BYTES, bytesOf, COMMIT, hubFixture, NAME, SUM } from "./hub-fixture.ts";
import { sha256 } from "./hub-server.ts";

const { fixture, pauses, timing, serve, pull, repositoryAt, blobs, rangesAtStorage, leavePartial } = hubFixture();

describe("downloadBlob", () => {
  test("goes on over cut connections, from where each ended", async () => {
    serve();
    fixture.hub.faults.push({ cutAfterBytes: 100_000 }, { status: 503 }, { cutAfterBytes: 70_000 });
    const { path } = await pull();
    expect(sha256(await readFile(path))).toBe(SUM);
    const starts = rangesAtStorage().map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    // What the kernel had taken when the connection broke may be less than what was sent.
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[2]).toBe(starts[1]);
    expect(starts[3]).toBeGreaterThan(starts[2]);
    expect(starts).toHaveLength(4);
  });

  test("goes on after a failed pull, and after a process that died", async () => {
    serve();
    fixture.hub.faults.push({ cutAfterBytes: 150_000 }, ...Array.from({ length: 6 }, () => ({ status: 502 })));
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:\d+: expected an answer about nvidia\/tiny, got status 502\. Try again later\.$/,
    );
    expect(await blobs()).toEqual([`${SUM}.incomplete`]);
    const kept = (await readFile(repositoryAt("blobs", `${SUM}.incomplete`))).byteLength;
    expect(kept).toBeGreaterThan(0);
    fixture.hub.faults.length = 0;

    const dead = spawn(process.execPath, ["-e", ""]);
    await once(dead, "exit");
    const host = hostname().replace(/[^\w-]/g, "_");
    await rename(
      repositoryAt("blobs", `${SUM}.incomplete`),
      repositoryAt("blobs", `${SUM}.${host}-${dead.pid}.incomplete`),
    );
    await pull();
    expect(rangesAtStorage().at(-1)).toBe(`bytes=${kept}-`);
    expect(await blobs()).toEqual([SUM]);
  });

  test("goes on with what another client of the hub left, and leaves alone what one may be writing", async () => {
    serve();
    await leavePartial(`${SUM}.incomplete`, BYTES.subarray(0, 1000));
    await leavePartial(`${SUM}.0a1b2c3d.incomplete`, BYTES.subarray(0, 2000));
    await pull();
    expect(rangesAtStorage()).toEqual(["bytes=1000-"]);
    expect((await blobs()).sort()).toEqual([SUM, `${SUM}.0a1b2c3d.incomplete`].sort());
  });

  test("waits for another process that is at it", async () => {
    serve();
    const other = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"]);
    try {
      await once(other, "spawn");
      const partial = `${SUM}.${hostname().replace(/[^\w-]/g, "_")}-${other.pid}.incomplete`;
      await leavePartial(partial, BYTES.subarray(0, 5000));
      const seen: number[] = [];
      const sleep = async (ms: number) => {
        pauses.push(ms);
        if (pauses.length < 3) return;
        await writeFile(repositoryAt("blobs", partial), BYTES);
        await rename(repositoryAt("blobs", partial), repositoryAt("blobs", SUM));
      };
      const { path } = await pullModel(NAME, { onProgress: (p) => seen.push(p.doneBytes) }, { ...timing, sleep });
      expect(sha256(await readFile(path))).toBe(SUM);
      expect(pauses).toEqual([1000, 1000, 1000]);
      expect(seen).toEqual([5000, 5000, 5000, BYTES.byteLength]);
      expect(rangesAtStorage()).toEqual([]);
    } finally {
      other.kill();
    }
  });

  test("downloads once for callers at the same time", async () => {
    serve();
    const pulled = await Promise.all(Array.from({ length: 5 }, () => pull()));
    expect(new Set(pulled.map(({ path }) => path)).size).toBe(1);
    expect(rangesAtStorage()).toEqual(["bytes=0-"]);
    expect(await readdir(repositoryAt("snapshots", COMMIT))).toEqual(["tiny.nemo"]);
  });

  test("a caller who waited does the work when the first one fails", async () => {
    serve();
    fixture.hub.faults.push({ stallAfterBytes: 100_000 });
    const abort = new AbortController();
    let firstBytes = 0;
    const first = pull({
      signal: abort.signal,
      onProgress: ({ doneBytes }) => {
        firstBytes = doneBytes;
      },
    });
    await vi.waitFor(() => expect(firstBytes).toBe(100_000));
    const second = pull();
    const probes = () =>
      fixture.hub.requests.filter(({ line }) => line.includes("/resolve/") && line.startsWith("hub"));
    await vi.waitFor(() => expect(probes()).toHaveLength(3)); // The first caller's two, and now the second's one.
    abort.abort(new Error("enough"));
    await expect(first).rejects.toThrow("enough");
    expect(sha256(await readFile((await second).path))).toBe(SUM);
    expect(rangesAtStorage()).toEqual(["bytes=0-", "bytes=100000-"]);
  });

  test("starts anew where the server does not know ranges", async () => {
    serve();
    await leavePartial(`${SUM}.incomplete`, BYTES.subarray(0, 1000));
    fixture.hub.faults.push({ ignoresRange: true });
    const { path } = await pull();
    expect(sha256(await readFile(path))).toBe(SUM);
    expect(rangesAtStorage()).toEqual(["bytes=1000-"]);
  });

  test("gives up on a server that begins anew each time and never comes to the end", async () => {
    serve();
    for (let i = 0; i < 20; i++) fixture.hub.faults.push({ cutAfterBytes: 200_000, ignoresRange: true });
    await expect(pull()).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    expect(rangesAtStorage().length).toBeGreaterThan(3);
    expect(rangesAtStorage().length).toBeLessThan(15);
  });

  test("gives up on a server that refuses every range", async () => {
    serve();
    for (let i = 0; i < 20; i++) fixture.hub.faults.push({ status: 416 });
    await expect(pull()).rejects.toThrow(
      /expected the 300000 bytes of nvidia\/tiny, got status 416 without them\. Pull again to go on from there\.$/,
    );
    expect(rangesAtStorage()).toEqual(Array(6).fill("bytes=0-"));
  });

  test("starts anew when what was left turns out to be wrong or too long", async () => {
    serve();
    await leavePartial(`${SUM}.incomplete`, bytesOf(1000, 9));
    expect(sha256(await readFile((await pull()).path))).toBe(SUM);
    expect(rangesAtStorage()).toEqual(["bytes=1000-", "bytes=0-"]);
    await rm(repositoryAt(), { recursive: true });
    await leavePartial(`${SUM}.incomplete`, bytesOf(BYTES.byteLength + 1, 9));
    expect(sha256(await readFile((await pull()).path))).toBe(SUM);
  });

  test("deletes a file whose sum is wrong, and says so", async () => {
    serve();
    const wrong = bytesOf(BYTES.byteLength, 7);
    fixture.hub.faults.push({ bytes: wrong });
    const failed = pull();
    await expect(failed).rejects.toMatchObject({ code: "NETWORK_FAILED" });
    await expect(failed).rejects.toThrow(
      `expected SHA-256 ${SUM}, got ${sha256(wrong)}, and deleted the file. Pull nvidia/tiny again`,
    );
    expect(await blobs()).toEqual([]);
    expect(await findPulled(NAME)).toBeUndefined();
  });

  test("takes no more bytes than the file has", async () => {
    serve();
    for (let i = 0; i < 6; i++) fixture.hub.faults.push({ bytes: bytesOf(BYTES.byteLength + 1000, 7) });
    await expect(pull()).rejects.toThrow(/expected the 300000 bytes of nvidia\/tiny, got more of them/);
  });

  test("gives up a silent connection and tries another", async () => {
    serve();
    fixture.hub.faults.push({ stallAfterBytes: 100_000 });
    const { path } = await pullModel(NAME, {}, { ...timing, stallMs: 400 });
    expect(sha256(await readFile(path))).toBe(SUM);
    expect(rangesAtStorage().length).toBeGreaterThan(1);
  });

  test("tells what a connection that stays silent ends with", async () => {
    serve();
    for (let i = 0; i < 6; i++) fixture.hub.faults.push({ stallAfterBytes: 0 });
    await expect(pullModel(NAME, {}, { ...timing, stallMs: 40 })).rejects.toThrow(
      /expected an answer about nvidia\/tiny, got silence for 0\.04 s\. Check the connection and pull again/,
    );
  });
});
