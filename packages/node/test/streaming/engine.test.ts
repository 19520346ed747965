import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import type { StreamEvent, StreamOptions } from "@nemo-stt/core";
import fc from "fast-check";
import { afterAll, describe, expect, test, vi } from "vitest";
import type { EngineStream } from "../../src/index.ts";
import type { ThreadReport } from "../../src/streaming/thread-messages.ts";
import { manualClock, openReference, openTestEngine, rounded, speech } from "./engine-fixture.ts";

const waveforms = { garden: await speech("garden-slt", 0, 4.1), morning: await speech("morning-rms", 0.9, 5) };
type Recording = keyof typeof waveforms;

const reference = await openReference();
const engine = await openTestEngine({ numWorkers: 2, maxStreams: 64, snapshotSec: 1 });
afterAll(async () => {
  await engine.close();
  await reference.close();
});

const OPTIONS: readonly StreamOptions[] = [
  { attContext: [70, 1] },
  { attContext: [70, 13], fastAttContext: [70, 0], endpoint: { minSilenceSec: 0.3 } },
  { attContext: [70, 6], head: "ctc", endpoint: { maxUtteranceSec: 1.5 } },
];

interface Plan {
  readonly recording: Recording;
  readonly options: StreamOptions;
  readonly packetSec: number;
}

const plan: fc.Arbitrary<Plan> = fc.record({
  recording: fc.constantFrom("garden" as const, "morning" as const),
  options: fc.constantFrom(...OPTIONS),
  packetSec: fc.constantFrom(0.02, 0.1, 0.37, 10),
});

/** Feeds one stream to its end. `onPacket` is called before every packet. */
async function play({ recording, options, packetSec }: Plan, onPacket?: (stream: EngineStream, i: number) => unknown) {
  const events: StreamEvent[] = [];
  const stream = await engine.open(options, (event) => events.push(event));
  const samples = waveforms[recording];
  const size = Math.round(packetSec * 16_000);
  for (let start = 0, i = 0; start < samples.length; start += size, i++) {
    await onPacket?.(stream, i);
    await stream.feed(samples.slice(start, start + size));
  }
  await stream.finish();
  await stream.ended;
  return events;
}

const expected = async ({ recording, options }: Plan) =>
  rounded(await reference.events(recording, waveforms[recording], options));

/** Has a thread end by an error of its own, wherever it is: this is no message of the engine's. */
const kill = (worker: Worker) => worker.postMessage(13);

/** Delays of the calling thread's event loop while something is done; the timer alone takes 1 ms. */
async function loopDelay(action: () => Promise<unknown>): Promise<string> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = performance.eventLoopUtilization();
  delay.enable();
  await action();
  delay.disable();
  const { utilization } = performance.eventLoopUtilization(before);
  const ms = (ns: number) => `${(ns / 1e6).toFixed(1)} ms`;
  const [p50, p99] = [50, 99].map((share) => ms(delay.percentile(share)));
  return `p50 ${p50}, p99 ${p99}, max ${ms(delay.max)}, busy ${Math.round(100 * utilization)} %`;
}

describe("openEngine", () => {
  test("gives the events of a stream that is alone, in any company and any packets", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { minLength: 2, maxLength: 6 }), async (plans) => {
        const all = await Promise.all(plans.map((plan) => play(plan)));
        for (const [i, plan] of plans.entries()) expect(rounded(all[i])).toEqual(await expected(plan));
      }),
      { seed: 61, numRuns: Number(process.env.STREAM_RUNS ?? 3) },
    );
    expect(engine.numStreams).toBe(0);
  });

  test("loses and doubles nothing when threads die at any time", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(plan, { minLength: 1, maxLength: 4 }),
        fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 2 }),
        async (plans, deaths) => {
          const all = await Promise.all(
            plans.map((plan, which) =>
              play(plan, async (stream, i) => {
                if (which > 0 || !deaths.includes(i)) return;
                if (i % 2 === 1) await stream.save(); // Death right behind a snapshot.
                kill(engine.workers[engine.workers.length - 1]);
              }),
            ),
          );
          for (const [i, plan] of plans.entries()) expect(rounded(all[i])).toEqual(await expected(plan));
        },
      ),
      { seed: 62, numRuns: Number(process.env.STREAM_RUNS ?? 3) },
    );
    expect(engine.statistics().threads.some(({ numRestarts }) => numRestarts > 0)).toBe(true);
  });

  test("goes on when a thread dies between the end of a stream and the word of it", async () => {
    let isLost = false;
    const fragile = await openTestEngine({
      numWorkers: 1,
      snapshotSec: 1,
      createWorker(entry, options) {
        const worker = new Worker(entry, options);
        const emit = worker.emit.bind(worker);
        worker.emit = (name: string, ...values: unknown[]) => {
          const reports = name === "message" ? (values[0] as ThreadReport[]) : [];
          if (isLost || !reports.some(({ kind }) => kind === "done")) return emit(name, ...values);
          // Whatever it does at the end it has done by then.
          setTimeout(kill, 200, worker);
          isLost = true;
          return true;
        };
        return worker;
      },
    });
    const events: StreamEvent[] = [];
    const stream = await fragile.open(OPTIONS[0], (event) => events.push(event));
    await stream.feed(waveforms.garden.slice(0, 40_000));
    await stream.save();
    await stream.feed(waveforms.garden.slice(40_000));
    await stream.finish();
    expect(isLost).toBe(true);
    const plan: Plan = { recording: "garden", options: OPTIONS[0], packetSec: 10 };
    expect(rounded(events)).toEqual(await expected(plan));
    await fragile.close();
  });

  test("cuts where it is asked, also when a thread dies behind the cut", async () => {
    const cutAt = 20;
    const plan: Plan = { recording: "garden", options: { attContext: [70, 0] }, packetSec: 0.1 };
    const run = (dies: boolean) =>
      play(plan, async (stream, i) => {
        if (i === cutAt) await stream.endUtterance();
        if (dies && i === cutAt + 2) engine.workers.forEach(kill);
      });
    const events = await run(false);
    const cut = events.find((event) => event.type === "final");
    expect(cut?.reason).toBe("asked");
    expect(cut?.heardSec).toBeLessThan(cutAt * 0.1);
    expect(rounded(await run(true))).toEqual(rounded(events));
  });

  test("keeps little more than the caches of a stream that rests, which goes on all the same when its thread dies", async () => {
    const clock = manualClock();
    const resting = await openTestEngine({ numWorkers: 1, maxStreams: 2, clock });
    const samples = waveforms.garden;
    const events: StreamEvent[] = [];
    const remembered = () => {
      const { snapshotBytes, replayBytes } = resting.statistics().memory;
      return { snapshotBytes, replayBytes };
    };
    const stream = await resting.open(OPTIONS[1], (event) => events.push(event));
    await stream.feed(samples.slice(0, 30_000));
    await stream.save();
    await stream.feed(samples.slice(30_000, 40_000));
    // The snapshot goes to the disk at once, the sound behind it is kept until the stream rests.
    expect(resting.statistics().memory.replayBytes).toBeGreaterThan(10_000 * 4);
    for (let turn = 0; turn < 500 && Object.values(remembered()).some((bytes) => bytes > 0); turn++) {
      clock.pass(6);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(remembered()).toEqual({ snapshotBytes: 0, replayBytes: 0 });
    for (const last of [50_000, samples.length]) {
      kill(resting.workers[resting.workers.length - 1]);
      await stream.feed(samples.slice(last === 50_000 ? 40_000 : 50_000, last));
    }
    await stream.finish();
    await resting.close();
    expect(rounded(events)).toEqual(await expected({ recording: "garden", options: OPTIONS[1], packetSec: 1 }));
  });

  test("goes on in another process where a stream was saved in the middle of a word", async () => {
    const folder = await mkdtemp(join(tmpdir(), "nemo-stt-test-"));
    const samples = waveforms.morning;
    const options = OPTIONS[1];
    const middle = 2.03 * 16_000;
    const events: StreamEvent[] = [];
    const stream = await engine.open(options, (event) => events.push(event));
    await stream.feed(samples.slice(0, middle));
    await writeFile(join(folder, "state"), await stream.save());
    await stream.close();
    await writeFile(join(folder, "rest"), samples.slice(middle));
    const script = new URL("./go-on.mjs", import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [script, folder], { maxBuffer: 2 ** 24 });
    await rm(folder, { recursive: true });
    const whole = await expected({ recording: "morning", options, packetSec: 1 });
    expect(rounded([...events, ...JSON.parse(stdout)])).toEqual(whole);
  }, 120_000);

  test("goes on when its listeners throw, and the process hears of it", async () => {
    const script = new URL("./throwing-listeners.mjs", import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 60_000 });
    expect(stdout).toBe("2 threads, thrown: true\n");
  });

  test("keeps no files of threads that died", async () => {
    const folders = async () => (await readdir(tmpdir())).filter((name) => name.includes(`-${process.pid}-`));
    const before = await folders();
    const short = await openTestEngine({ numWorkers: 1, maxStreams: 2, snapshotSec: 0.3 });
    const [own] = (await folders()).filter((name) => !before.includes(name));
    const files = () => readdir(join(tmpdir(), own));
    const stream = await short.open(OPTIONS[0], () => {});
    const abandoned = await short.open(OPTIONS[0], () => {});
    let numSeen = 0;
    for (let i = 0, part = 6400; i < 10; i++) {
      for (const each of [stream, abandoned]) await each.feed(waveforms.garden.slice(i * part, (i + 1) * part));
      // Behind a snapshot that is a file, one that is none.
      if (i % 2 === 0) await stream.save();
      numSeen = Math.max(numSeen, (await files()).length);
      if (i % 3 === 2) kill(short.workers[short.workers.length - 1]);
    }
    await abandoned.close();
    await stream.finish();
    expect(short.workers.length).toBeGreaterThan(1);
    expect(numSeen).toBeGreaterThan(0);
    await vi.waitFor(async () => expect(await files()).toEqual([]), 10_000);
    await short.close();
  });

  test("refuses what is no sound, takes nothing of it, and harms nobody", async () => {
    const garbage = Float32Array.from({ length: 1600 }, (_, i) => 10 ** ((i % 12) - 6));
    const playing = play({ recording: "garden", options: OPTIONS[0], packetSec: 0.1 }, async (stream) => {
      await expect(stream.feed(Float32Array.of(0, Number.NaN))).rejects.toMatchObject({
        code: "AUDIO_INVALID",
        message: "stream: expected samples in [-1, 1], got NaN at place 1 of a packet. Check how the sound is decoded.",
      });
      await expect(stream.feed(Float32Array.of(-3e30))).rejects.toMatchObject({ code: "AUDIO_INVALID" });
    });
    const loud = await engine.open({ attContext: [70, 1] }, () => {});
    for (let i = 0; i < 20; i++) await loud.feed(garbage);
    await loud.finish();
    expect(rounded(await playing)).toEqual(await expected({ recording: "garden", options: OPTIONS[0], packetSec: 1 }));
  });

  test("carries on with those that stay when others are abandoned in the middle", async () => {
    const staying = play({ recording: "morning", options: OPTIONS[1], packetSec: 0.1 });
    for (let wave = 0; wave < 4; wave++) {
      const streams = await Promise.all(
        Array.from({ length: 12 }, () => engine.open({ attContext: [70, 0] }, () => {})),
      );
      const feeding = streams.map((stream) => stream.feed(waveforms.garden));
      await Promise.all(streams.map((stream) => stream.close()));
      await Promise.all(feeding);
      await expect(streams[0].feed(new Float32Array(1))).rejects.toMatchObject({ code: "CLOSED" });
    }
    expect(rounded(await staying)).toEqual(await expected({ recording: "morning", options: OPTIONS[1], packetSec: 1 }));
    expect(engine.numStreams).toBe(0);
  });

  test("ends only the stream whose receiver throws; a slow one delays nobody's text", async () => {
    const thrown = new Error("receiver");
    const bad = await engine.open({ attContext: [70, 0] }, () => {
      throw thrown;
    });
    const slow: StreamEvent[] = [];
    const slowStream = await engine.open(OPTIONS[0], (event) => {
      const until = performance.now() + 2;
      while (performance.now() < until);
      slow.push(event);
    });
    const playing = play({ recording: "garden", options: OPTIONS[2], packetSec: 0.1 });
    await Promise.all([bad.feed(waveforms.garden).catch(() => {}), slowStream.feed(waveforms.garden)]);
    await expect(bad.finish()).rejects.toBe(thrown);
    await expect(bad.ended).rejects.toBe(thrown);
    await slowStream.finish();
    expect(rounded(slow)).toEqual(await expected({ recording: "garden", options: OPTIONS[0], packetSec: 1 }));
    expect(rounded(await playing)).toEqual(await expected({ recording: "garden", options: OPTIONS[2], packetSec: 1 }));
  });

  test("leaves the calling thread free, and tells of its batches", async () => {
    const idle = await loopDelay(() => new Promise((resolve) => setTimeout(resolve, 300)));
    const samples = waveforms.garden.subarray(0, 16_000);
    const streams = await Promise.all(
      Array.from({ length: 48 }, (_, i) => engine.open({ attContext: [70, i % 2] }, () => {})),
    );
    const packets = Array.from({ length: 10 }, (_, i) => samples.slice(i * 1600, (i + 1) * 1600));
    const loaded = await loopDelay(async () => {
      await Promise.all(
        streams.map(async (stream) => {
          for (const packet of packets) await stream.feed(packet);
          await stream.finish();
        }),
      );
    });
    const { modes, maxRows, realTimeFactor, memory } = engine.statistics();
    // What other programs on the machine take shows in both.
    console.log(`event loop: without streams ${idle}; with 48 streams at once ${loaded}`);
    expect(modes.map(({ attContext }) => attContext)).toContainEqual([70, 0]);
    for (const { latencySec } of modes) {
      expect(latencySec.p50).toBeLessThanOrEqual(latencySec.p95);
      expect(latencySec.p95).toBeLessThanOrEqual(latencySec.p99);
    }
    expect(maxRows).toBeGreaterThan(4);
    expect(realTimeFactor).toBeGreaterThan(0);
    expect(memory.cacheBytesPerLane).toBe(1_284_096);
  });
});
