import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeSamples, mixChannels } from "@nemo-stt/core";
import { afterAll, describe, expect, it } from "vitest";
import { type KeptHeader, openHeaderStore } from "../../src/gateway/header-store.ts";
import { hashFinals } from "../hash-engine.ts";
import { app, blocks, openFront, random, sessionApp, start, talk, until } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "nemo-stt-headers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const RATE = 16_000;

/** A header of PCM, and what follows the samples: a chunk that is no sound. */
function wavParts(bits: number, numChannels: number, dataBytes: number, trailingBytes: number) {
  const frameBytes = (bits / 8) * numChannels;
  const header = Buffer.alloc(44);
  const trailer = Buffer.alloc(trailingBytes && 8 + trailingBytes, 0x55);
  header.write("RIFF");
  header.writeUInt32LE(36 + dataBytes + trailer.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(numChannels, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(RATE * frameBytes, 28);
  header.writeUInt16LE(frameBytes, 32);
  header.writeUInt16LE(bits, 34);
  header.write("data", 36);
  header.writeUInt32LE(dataBytes, 40);
  if (trailingBytes > 0) {
    trailer.write("LIST");
    trailer.writeUInt32LE(trailingBytes, 4);
  }
  return { header, trailer };
}

interface Window {
  /** What is recognised. */
  readonly sound: Float32Array;
  readonly blocks: readonly { readonly bytes: Uint8Array; readonly timestampMs: number }[];
}

/** A WAV file in blocks of its own samples; the header in a block of its own, or before the first samples. */
function wavWindow(seed: number, bits: 16 | 24, blockBytes: number, isHeaderApart: boolean, trailingBytes = 0): Window {
  const left = talk(seed, 3);
  const right = talk(seed + 50, 3);
  const length = Math.min(left.length, right.length);
  const channels = [left.subarray(0, length), right.subarray(0, length)];
  const data = Buffer.from(encodeSamples(channels, bits === 16 ? "s16le" : "s24le"));
  const { header, trailer } = wavParts(bits, 2, data.length, trailingBytes);
  const file = Buffer.concat([data, trailer]);
  const cut: { bytes: Uint8Array; timestampMs: number }[] = isHeaderApart ? [{ bytes: header, timestampMs: 0 }] : [];
  for (let at = 0; at < file.length; at += blockBytes) {
    const part = file.subarray(at, at + blockBytes);
    const timestampMs = Math.floor((at * 1000) / (RATE * (bits / 8) * 2));
    cut.push({ bytes: cut.length === 0 ? Buffer.concat([header, part]) : part, timestampMs });
  }
  return { sound: mixChannels(channels), blocks: cut };
}

const rawWindow = (seed: number): Window => {
  const sound = talk(seed, 2);
  return { sound, blocks: [...blocks(sound, 3200)] };
};

/** Kills a gateway and starts another, which finds what was on the disk at this moment. */
function restarter(front: Awaited<ReturnType<typeof openFront>>, seed: number) {
  let numStarts = 0;
  const stateFile = () => join(folder, `killed-${seed}-${numStarts}`, "state.json");
  const headers = () => `${stateFile()}.headers`;
  let started = start({ stateFile: stateFile() });
  return {
    headers,
    open: async () => front.open(await started),
    kill: async () => {
      front.kill();
      const left = headers();
      numStarts++;
      cpSync(left, headers(), { recursive: true });
      void (await started).gateway.close();
      started = start({ stateFile: stateFile() });
      front.open(await started);
    },
  };
}

describe("a window that begins with a WAV header", () => {
  it.each([1, 2, 3])(
    "is taken up behind it by a service that follows one that was killed (%i)",
    async (seed) => {
      const windows = [
        // Blocks end inside of samples; what follows the samples is no sound.
        wavWindow(seed, 24, 3200, true, 5000),
        wavWindow(seed + 10, 16, 6400, false),
        rawWindow(seed + 20),
        wavWindow(seed + 30, 16, 6400, true),
      ];
      const front = await openFront();
      const service = restarter(front, seed);
      await service.open();
      // Less is held than a window has, so that its header is not sent again.
      const one = sessionApp(front, `call@${seed}`, "", 20, 10_000);
      const playing = (async () => {
        for (const window of windows) {
          for (const { bytes, timestampMs } of window.blocks) {
            await one.session.submit(bytes, timestampMs);
            await pause(8);
          }
          await one.session.submitMark();
        }
        await one.session.submitFinal();
        await one.session.done;
      })();
      let isPlaying = true;
      void playing.then(() => {
        isPlaying = false;
      });
      const pick = random(seed);
      for (let n = 0; n < 8 && isPlaying; n++) {
        await pause(150 + 300 * pick());
        if (isPlaying) await service.kill();
      }
      await playing;
      front.close();
      const expected = await Promise.all(windows.map(({ sound }) => hashFinals(sound, RATE)));
      expect(one.shape()).toBe([...expected.flatMap((finals) => [...finals, "#"]), "$"].join(" | "));
      expect(one.problems.filter((code) => code === "SERVICE_RESTARTED").length).toBeGreaterThan(4);
      expect(one.problems).not.toContain("RESULTS_MISSED");
      await expect.poll(() => readdirSync(service.headers())).toEqual([]);
    },
    30_000,
  );

  it("goes on, and so does what is kept of it, over a service that was told to stop", async () => {
    const front = await openFront();
    const stateFile = join(folder, "told", "state.json");
    const window = wavWindow(7, 16, 6400, false);
    let started = await start({ stateFile });
    front.open(started);
    const one = sessionApp(front, "call@7", "", 20, 10_000);
    const half = window.blocks.length >> 1;
    for (const { bytes, timestampMs } of window.blocks.slice(0, half)) await one.session.submit(bytes, timestampMs);
    await expect
      .poll(() => started.gateway.table.sessions.get(one.session.sessionId)?.heardSec ?? 0)
      .toBeGreaterThan(2);
    await started.gateway.drain();
    front.kill();
    expect(readdirSync(`${stateFile}.headers`)).toHaveLength(1);
    expect(statSync(`${stateFile}.headers`).mode & 0o777).toBe(0o700);
    expect(statSync(join(`${stateFile}.headers`, readdirSync(`${stateFile}.headers`)[0])).mode & 0o777).toBe(0o600);
    started = await start({ stateFile });
    front.open(started);
    for (const { bytes, timestampMs } of window.blocks.slice(half)) await one.session.submit(bytes, timestampMs);
    await one.session.submitFinal();
    await one.session.done;
    front.close();
    expect(one.shape()).toBe([...(await hashFinals(window.sound, RATE)), "$"].join(" | "));
    await expect.poll(() => readdirSync(`${stateFile}.headers`)).toEqual([]);
  });

  it("is heard where its header cannot be kept, and the log says so", async () => {
    const stateFile = join(folder, "full", "state.json");
    const started = await start({ stateFile });
    rmSync(`${stateFile}.headers`, { recursive: true });
    const one = sessionApp(started, "call@9");
    const window = wavWindow(9, 16, 6400, false);
    for (const { bytes, timestampMs } of window.blocks) await one.session.submit(bytes, timestampMs);
    await one.session.submitFinal();
    await one.session.done;
    expect(one.shape()).toBe([...(await hashFinals(window.sound, RATE)), "$"].join(" | "));
    expect(started.log.join()).toMatch(/call@9\?resume=1: its header could not be kept: ENOENT/);
  });

  it("is kept of sessions that resume only", async () => {
    const stateFile = join(folder, "plain", "state.json");
    const started = await start({ stateFile });
    const one = app(started, "call");
    const window = wavWindow(8, 16, 6400, false);
    for (const { bytes, timestampMs } of window.blocks) await one.composite.submit(bytes, timestampMs);
    await until(() => one.finals().length > 0);
    expect(readdirSync(`${stateFile}.headers`)).toEqual([]);
    await one.composite.submitFinal();
    await one.composite.done;
  });
});

describe("openHeaderStore", () => {
  const header: KeptHeader = {
    seq: 3n,
    timestampMs: 40,
    format: { encoding: "s24le", sampleRateHz: 48_000, numChannels: 2 },
    dataBytes: undefined,
  };
  const log = { info: () => {}, warn: () => {}, error: () => {} };

  it("gives what another one has kept, throws away what is broken or old, and forgets", async () => {
    const place = join(folder, "store");
    const first = openHeaderStore(place, log, Date.now);
    await first.prepare();
    const headers = [
      { ...header, endSeq: 2n ** 60n },
      { ...header, dataBytes: 12 },
    ];
    await first.keep("a/../b\n", headers);
    await first.keep("old", [header]);
    await first.keep("gone", [header]);
    await first.keep("gone", []);
    const old = `${createHash("sha256").update("old").digest("hex")}.json`;
    utimesSync(join(place, old), 1, 1);
    writeFileSync(join(place, "x.json"), "{");
    writeFileSync(join(place, "y.json"), '{"sessionId":"y","headers":[]}');
    writeFileSync(join(place, "z.json.part"), '{"sess');
    const second = openHeaderStore(place, log, Date.now);
    await second.prepare();
    expect([second.of("a/../b\n"), second.of("old"), second.of("gone")]).toEqual([headers, [], []]);
    expect(readdirSync(place)).toHaveLength(1);
  });

  it("says where it cannot be", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    await expect(openHeaderStore(join(file, "x"), log, Date.now).prepare()).rejects.toMatchObject({
      code: "WRITE_FAILED",
      message: expect.stringMatching(/x: expected a folder for headers, got ENOTDIR.*Choose another state file\.$/),
    });
  });
});
