import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { SpeechError } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { BUNDLED_MODELS, type EngineStream, openEngine } from "../../src/index.ts";
import { manualClock, openTestEngine } from "./engine-fixture.ts";

const STUCK = 0.25;
const DEADLY = 0.5;
const packet = (first: number, sec = 0.1) => new Float32Array(sec * 16_000).fill(first);
/** True when a promise is not settled after what waits in the event loop has had its turn. */
const isPending = (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => false), new Promise<true>((resolve) => setTimeout(() => resolve(true), 20))]);

// The threads here only pretend (fake-engine-worker.mjs): a batch of theirs costs 2 ms and 8 ms a row.
describe("openEngine", () => {
  test("refuses a stream that would take a thread beyond its time, with the numbers", async () => {
    const engine = await openTestEngine({ isFake: true, numWorkers: 2 });
    const streams: EngineStream[] = [];
    let refusal: unknown;
    while (refusal === undefined && streams.length < 100) {
      await engine
        .open({ attContext: [70, 0] }, () => {})
        .then(
          (stream) => streams.push(stream),
          (error) => {
            refusal = error;
          },
        );
    }
    // (2 + 7 · 8) ms of 80 ms are 72.5 %.
    expect(streams.length).toBe(14);
    expect(refusal).toMatchObject({
      code: "OVER_CAPACITY",
      message:
        "engine: expected at most 80 % of a thread's time to be taken, got 72.5 %, 72.5 % by 14 streams and 10 % for one more of [70,0]. Try again when another has ended, or elsewhere.",
    });
    await expect(engine.open({ attContext: [70, 1], fastAttContext: [70, 0] }, () => {})).rejects.toThrow(
      "16.3 % for one more of [70,1] with [70,0]",
    );
    await engine.open({ attContext: [70, 13] }, () => {});
    await streams[0].close();
    await engine.open({ attContext: [70, 0] }, () => {});
    expect(engine.statistics().threads.map(({ numStreams }) => numStreams)).toEqual([8, 7]);
    await engine.close();
  });

  test("refuses 500 streams over the number that is told, and no running one notices", async () => {
    const engine = await openTestEngine({ isFake: true, numWorkers: 2, maxStreams: 20 });
    const running = await Promise.all(Array.from({ length: 20 }, () => engine.open({}, () => {})));
    const feeding = running.map((stream) => stream.feed(packet(0.1)));
    const refused = await Promise.allSettled(Array.from({ length: 500 }, () => engine.open({}, () => {})));
    for (const result of refused) {
      expect(result).toMatchObject({
        status: "rejected",
        reason: {
          code: "OVER_CAPACITY",
          message:
            "engine: expected at most 20 streams at a time, got one more. Try again when another has ended, or elsewhere.",
        },
      });
    }
    await Promise.all(feeding);
    await Promise.all(running.map((stream) => stream.finish()));
    expect(engine.numStreams).toBe(0);
    await engine.close();
  });

  test("makes a caller wait whose sound is not taken in, refuses one that does not wait, and lets others go on", async () => {
    const engine = await openTestEngine({ isFake: true, numWorkers: 1 });
    const stuck = await engine.open({}, () => {});
    await stuck.feed(packet(STUCK, 1));
    await stuck.feed(packet(STUCK, 1));
    const third = stuck.feed(packet(STUCK, 1));
    expect(await isPending(third)).toBe(true);
    const waiting = Array.from({ length: 12 }, () => stuck.feed(packet(STUCK, 10)));
    await expect(stuck.feed(packet(STUCK))).rejects.toMatchObject({
      code: "OVER_CAPACITY",
      message: "stream 0: expected at most 120 s of sound to wait, got more. Await each `feed`.",
    });
    const texts: string[] = [];
    const other = await engine.open({}, (event) => texts.push(event.text));
    await other.feed(packet(0.1, 5));
    await other.finish();
    expect(texts.at(-1)).toBe("80000");
    await stuck.close();
    await Promise.all([third, ...waiting]);
    await engine.close();
  });

  test("ends idle streams, and only these", async () => {
    const clock = manualClock();
    const engine = await openTestEngine({ isFake: true, numWorkers: 1, idleTimeoutSec: 60, clock });
    const idle = await engine.open({}, () => {});
    const fed = await engine.open({}, () => {});
    clock.pass(59);
    await fed.feed(packet(0.1));
    await fed.endUtterance();
    clock.pass(1);
    const timedOut = {
      code: "TIMED_OUT",
      message: "stream 0: expected sound within 60 s, got none. Open another stream.",
    };
    await expect(idle.ended).rejects.toMatchObject(timedOut);
    await expect(idle.feed(packet(0.1))).rejects.toMatchObject(timedOut);
    await expect(idle.finish()).rejects.toMatchObject(timedOut);
    await idle.close();
    expect(engine.numStreams).toBe(1);
    await fed.feed(packet(0.1));
    await engine.close();
    await expect(fed.ended).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("gives up a stream that is the death of every thread, and no other", async () => {
    const crashes: SpeechError[] = [];
    const engine = await openTestEngine({ isFake: true, numWorkers: 2, onCrash: (error) => crashes.push(error) });
    const good = await engine.open({}, () => {});
    const bad = await engine.open({}, () => {});
    await good.feed(packet(0.1));
    await bad.feed(packet(DEADLY));
    await expect(bad.ended).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringContaining(
        "stream 1: expected a thread that lives, got the end of 4 (engine: expected a thread that lives, got the end of one (exit code 7).",
      ),
    });
    expect(crashes.length).toBe(4);
    await good.feed(packet(0.1));
    await good.finish();
    await engine.close();
  });

  test("drains: refuses new streams, waits for those that are open", async () => {
    const engine = await openTestEngine({ isFake: true, numWorkers: 1 });
    const stream = await engine.open({}, () => {});
    const drained = engine.drain();
    await expect(engine.open({}, () => {})).rejects.toMatchObject({
      code: "CLOSED",
      message: "engine: expected an open engine, got one that is ending. Use another.",
    });
    expect(await isPending(drained)).toBe(true);
    await stream.feed(packet(0.1));
    await stream.finish();
    await drained;
    await engine.drain();
    await engine.close();
  });

  test("says what is wrong before a thread is started, or with the thread's own words", async () => {
    await expect(openEngine(undefined, { numWorkers: 0 })).rejects.toThrow(
      new RangeError(
        "openEngine: options.numWorkers: expected a whole number from 1 up, got 0. Leave it out, or give one.",
      ),
    );
    await expect(openEngine(undefined, { vad: BUNDLED_MODELS.speech })).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: expect.stringMatching(
        /^nemo-stt-en-tiny\.nemo: expected a classifier that tells speech from other sound/,
      ),
    });
    await expect(openEngine("no-such-model")).rejects.toMatchObject({ code: "NOT_FOUND" });
    const engine = await openTestEngine({ numWorkers: 1, maxStreams: 2 });
    await expect(engine.open({ attContext: [70, 5] }, () => {})).rejects.toMatchObject({ code: "MODEL_UNSUPPORTED" });
    await expect(engine.open({ sampleRateHz: 12.5 }, () => {})).rejects.toMatchObject({ code: "AUDIO_UNSUPPORTED" });
    await expect(engine.open({}, () => {}, new Uint8Array(40))).rejects.toMatchObject({ code: "STATE_INVALID" });
    expect(engine.numStreams).toBe(0);
    await engine.close();
  });

  test("lets a process end while its threads are inside of runs", async () => {
    const script = new URL("./leave.mjs", import.meta.url).pathname;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script]);
    expect(stdout).toBe("leaving\n");
    expect(stderr).toBe("");
  });
});
