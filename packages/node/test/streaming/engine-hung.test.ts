import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { SpeechError, StreamEvent } from "@nemo-stt/core";
import { afterAll, describe, expect, test } from "vitest";
import { openEngine } from "../../src/index.ts";
import { Watchdog } from "../../src/streaming/watchdog.ts";
import { manualClock, openReference, rounded, speech } from "./engine-fixture.ts";

const samples = await speech("garden-slt", 0, 3);
const reference = await openReference();
afterAll(() => reference.close());

const turn = () => new Promise((resolve) => setTimeout(resolve, 15));

describe("an engine whose thread hangs", () => {
  test.each([["script"], ["run"]] as const)(
    "has its streams go on in another after a minute without an answer: %s",
    async (hang) => {
      const clock = manualClock();
      const workers: Worker[] = [];
      const crashes: SpeechError[] = [];
      const engine = await openEngine(undefined, {
        numWorkers: 1,
        maxStreams: 4,
        snapshotSec: 1,
        clock,
        onCrash: (error) => crashes.push(error),
        createWorker(_entry, options) {
          const worker = new Worker(new URL("./hanging-engine-worker.mjs", import.meta.url), options);
          workers.push(worker);
          return worker;
        },
      });
      const options = { attContext: [70, 6] };
      const all = await Promise.all(
        [0, 1].map(async () => {
          const events: StreamEvent[] = [];
          const stream = await engine.open(options, (event) => events.push(event));
          await stream.feed(samples.slice(0, 30_000));
          return { events, stream };
        }),
      );
      // A thread that works is left alone, however long it takes.
      for (let i = 0; i < 40; i++) {
        clock.pass(2);
        await turn();
      }
      expect(crashes).toEqual([]);

      const exited = once(workers[0], "exit");
      workers[0].postMessage({ hang, ms: 3000 });
      const ended = Promise.all(
        all.map(async ({ stream }) => {
          await stream.feed(samples.slice(30_000));
          await stream.finish();
        }),
      );
      for (let i = 0; i < 100 && crashes.length === 0; i++) {
        clock.pass(1);
        await turn();
      }
      expect(crashes[0]).toMatchObject({
        code: "RUNTIME_FAILED",
        message:
          "engine: expected a thread that lives, got the end of one (no answer for 60 s). Its 2 streams go on in others.",
      });
      await ended;
      const expected = rounded(await reference.events("garden", samples, options));
      for (const { events } of all) expect(rounded(events)).toEqual(expected);
      expect(crashes.length).toBe(1);
      await exited;
      await engine.close();
    },
    180_000,
  );
});

describe.skipIf(process.platform === "win32")("an engine whose thread hangs inside of a run for ever", () => {
  test("closes within 10 s, and its process ends", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nemo-stt-hung-"));
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const script = new URL("./hang-and-leave.mjs", import.meta.url).pathname;
    const child = execFile(process.execPath, [script, pipe], { timeout: 40_000 });
    const texts = { out: "", err: "" };
    child.stdout?.on("data", (text) => (texts.out += text));
    child.stderr?.on("data", (text) => (texts.err += text));
    const [, signal] = await once(child, "close");
    rmSync(folder, { recursive: true });
    expect(texts).toEqual({
      out: "closed after 10 s\nexit 3\n",
      err: "nemo-stt: expected threads that end, got 1 that hang inside of ONNX Runtime. The process is killed; its exit code would have been 3.\n",
    });
    expect([signal, child.killed]).toEqual(["SIGKILL", false]);
  }, 60_000);
});

describe("Watchdog", () => {
  test("counts the time for which an answer is owed, and nothing else", () => {
    const watchdog = new Watchdog();
    let asked = 0;
    let now = 0;
    const look = (sec: number, state: Parameters<Watchdog["look"]>[1] = "working") => {
      now += sec;
      return watchdog.look(now, state, () => asked++);
    };
    for (let i = 0; i < 100; i++) expect(look(1, "resting")).toBeUndefined();
    expect(asked).toBe(0);
    for (let i = 0; i < 60; i++) expect(look(1)).toBeUndefined();
    expect(asked).toBe(1);
    watchdog.heard();
    // A machine that slept for a day has not waited that long.
    for (let i = 0; i < 30; i++) expect(look(86_400)).toBeUndefined();
    expect(asked).toBe(2);
    expect(look(86_400)).toBe(60);
  });

  test("lets a thread start for ten minutes", () => {
    const watchdog = new Watchdog();
    const ask = () => expect.unreachable();
    for (let now = 0; now < 600; now++) expect(watchdog.look(now, "starting", ask)).toBeUndefined();
    expect(watchdog.look(600, "starting", ask)).toBe(600);
  });
});
