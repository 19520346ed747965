import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeWav, type OpenStreamSet } from "@nemo-stt/core";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { describe, expect, test } from "vitest";
import { capacityText } from "../src/actions/capacity-report.ts";
import { findCapacity, spreadOf } from "../src/actions/capacity-search.ts";
import { createTrialClock, runTrial, type Trial, type TrialClock } from "../src/actions/capacity-trial.ts";
import { isBuilt, lines, morning, run, runBuilt, scratch } from "./harness.ts";

const trial = (numStreams: number, isCarried: boolean, load = 0.5): Trial => ({
  numStreams,
  isCarried,
  p50Sec: 0.01,
  p99Sec: 0.02,
  load,
});

/** A machine on which so many streams are carried. */
function machine(truth: number, isBusy = false) {
  const tried: number[] = [];
  return {
    tried,
    async tryOnce(n: number) {
      // A hiccup of the machine, once each, does not count.
      const isHiccup = isBusy && !tried.includes(n);
      tried.push(n);
      return trial(n, n <= truth && !isHiccup);
    },
  };
}

describe("findCapacity", () => {
  test.each([
    // What is expected is not far from the truth, or a guess.
    [100, 100, 3],
    [100, 95, 5],
    [100, 110, 6],
    [100, 60, 10],
    [100, 200, 10],
    [700, 2, 17],
    [10, 2, 10],
    [3, 2, 4],
    [2, 3, 3],
    [1, 2, 2],
  ])("finds that %d are carried where %d are expected, in %d trials", async (truth, first, numTrials) => {
    for (const isBusy of [false, true]) {
      const { tried, tryOnce } = machine(truth, isBusy);
      const found = await findCapacity(tryOnce, { first, limit: 1000, carried: trial(1, true) });
      expect(found.most?.numStreams).toBeLessThanOrEqual(truth);
      expect(found.most?.numStreams).toBeGreaterThanOrEqual(Math.floor(truth * 0.95));
      expect(found.isLowerBound).toBe(false);
      expect(Math.max(...tried.map((n) => tried.filter((each) => each === n).length))).toBeLessThanOrEqual(2);
      if (!isBusy) expect(tried.length).toBe(numTrials);
    }
  });

  test.each([
    [50, 50, 1],
    [48, 50, 4],
    [40, 50, 7],
    [1, 50, 10],
    [1, 1, 1],
    [0, 9, 7],
    [0, 1, 2],
  ])("finds that %d are carried where it is not more than %d, in %d trials", async (truth, limit, numTrials) => {
    const { tried, tryOnce } = machine(truth);
    const { most, isLowerBound } = await findCapacity(tryOnce, { first: limit, limit });
    expect(most?.numStreams ?? 0).toBeLessThanOrEqual(truth);
    expect(most?.numStreams ?? 0).toBeGreaterThanOrEqual(Math.floor(truth * 0.95));
    expect([isLowerBound, tried.length]).toEqual([false, numTrials]);
  });

  test("what was carried until there was no more time, and the first in any case", async () => {
    const { tried, tryOnce } = machine(1000);
    const range = { first: 10, limit: 1000, carried: trial(1, true) };
    const { most, isLowerBound } = await findCapacity(tryOnce, range, () => tried.length < 4);
    expect([most?.numStreams, isLowerBound]).toEqual([16, true]);
    expect((await findCapacity(tryOnce, range, () => false)).most?.numStreams).toBe(10);
    expect(await findCapacity(machine(3).tryOnce, { first: 9, limit: 9 }, () => false)).toEqual({
      most: undefined,
      isLowerBound: true,
    });
  });
});

test("spreadOf is by how much fewer streams were not carried another time", () => {
  expect([spreadOf([]), spreadOf([trial(3, false)]), spreadOf([trial(1, true)])]).toEqual([0, 0, 0]);
  expect(spreadOf([trial(40, true), trial(41, false), trial(20, true)])).toBe(0);
  expect(spreadOf([trial(40, true), trial(31, false), trial(35, false)])).toBeCloseTo(0.25);
  expect(spreadOf([trial(40, true), trial(40, false)])).toBeCloseTo(0.025);
});

describe("runTrial", () => {
  /** Streams whose every chunk is so much work, on a clock that knows it. */
  function streams(workSec: number, maxRows = Number.POSITIVE_INFINITY) {
    let fixed: number | undefined;
    const clock: TrialClock = {
      time: 0,
      now: () => fixed ?? clock.time,
      spend: async (work) => await work(),
      at(time, act) {
        fixed = time;
        const result = act();
        fixed = undefined;
        return result;
      },
    };
    let waiting: number[] = [];
    let numResults = 0;
    const set = {
      open: () => {},
      close: () => {},
      get hasWork() {
        return waiting.length > 0;
      },
      feed: () => waiting.push(clock.now()),
      async runBatch() {
        const batch = waiting.slice(0, maxRows);
        waiting = waiting.slice(batch.length);
        clock.time += workSec * batch.length;
        numResults += batch.length;
        return { latenciesSec: batch.map((at) => clock.time - at) };
      },
    };
    const mode = { attContext: [70, 13], chunkSec: 1.12 };
    const opened = { set } as unknown as OpenStreamSet;
    const parts = { opened, clock, mode, options: {}, waveform: new Float32Array(99), sampleRateHz: 100 };
    const tryOnce = async (numStreams: number) => {
      numResults = 0;
      const before = clock.time;
      const result = await runTrial(parts, numStreams, 2, new Uint8Array(0));
      return { ...result, numResults, tookSec: clock.time - before };
    };
    return tryOnce;
  }

  test("has a hundred results where they are quickly made", async () => {
    const tryOnce = streams(0.001);
    expect(await tryOnce(1)).toMatchObject({ isCarried: true, numResults: 100 });
    expect((await tryOnce(50)).numResults).toBeGreaterThan(100);
  });

  test("ends when it has worked as long as it is to hear, with some results of each stream", async () => {
    const tryOnce = streams(0.35);
    for (const numStreams of [1, 2, 3]) {
      const { isCarried, numResults, tookSec } = await tryOnce(numStreams);
      expect(isCarried).toBe(true);
      expect(numResults).toBeGreaterThanOrEqual(10);
      expect(numResults).toBeLessThanOrEqual(14);
      expect(tookSec).toBeLessThan(11 * 1.12);
    }
    const { isCarried, tookSec } = await tryOnce(4);
    expect(isCarried).toBe(false);
    expect(tookSec).toBeLessThan(5);
  });

  test("finds what piles up before it is late, and takes nothing for it that does not", async () => {
    // 224 fill all time.
    const tryOnce = streams(0.005, 4);
    expect(await tryOnce(215)).toMatchObject({ isCarried: true });
    const tooMany = await tryOnce(240);
    expect(tooMany.isCarried).toBe(false);
    expect(tooMany.p99Sec).toBeLessThan(1.12);
  });
});

test("a trial's clock stands still but for work", async () => {
  const clock = createTrialClock();
  expect(clock.now()).toBe(0);
  await clock.spend(() => new Promise((resolve) => setTimeout(resolve, 20)));
  const after = clock.time;
  expect(after).toBeGreaterThan(0.015);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(clock.now()).toBe(after);
  expect(clock.at(7, clock.now)).toBe(7);
});

test("the report says by how much trials differed, and what that means where it is much", () => {
  const latency = { p50Sec: 0.1, p99Sec: 0.2, load: 0.9 };
  const mode = {
    attContext: [70, 13],
    chunkSec: 1.12,
    single: latency,
    perCore: { ...latency, streams: 3 },
    inAll: { cores: 2, streams: 5 },
  };
  const report = { model: "m", cpu: "c", sound: "s", streamBytes: 1, processBytes: 1, wanted: 10 };
  const [, , steady, , ...rest] = capacityText({ ...report, modes: [{ ...mode, spread: 0.031 }] }).split("\n");
  expect(steady).toBe(
    "[70,13] 1120 ms  100 ms / 200 ms        3               100 ms / 200 ms  5                   3 %",
  );
  expect(rest.join("\n")).not.toContain("contradict");
  const busy = capacityText({ ...report, modes: [{ ...mode, spread: 0.4 }] });
  expect(busy).toContain("40 %\n");
  expect(busy).toContain(
    "\nTrials contradict each other: the machine has other things to do, or --seconds are few. Measure again.\n",
  );
});

describe("capacity", () => {
  const quick = ["--seconds", "0.1", "--att-context", "70,6", "--limit", "3"];

  test("a table, and the arithmetic for a number of streams", async () => {
    const { status, out, err } = await run(
      "capacity",
      ...quick,
      "--cores",
      "1",
      "--streams",
      "250",
      "--audio",
      morning,
    );
    const ms = String.raw`\d+(\.\d+)? ms`;
    // A busy machine is said to be one.
    expect(lines(out).filter((line) => !line.startsWith("Trials contradict each other"))).toEqual(
      [
        /^nemo-stt-en-tiny\.nemo on .+, hearing .*morning-rms\.wav$/,
        /^mode +one stream, p50 \/ p99 +streams a core +p50 \/ p99 there +streams on 1 core +trials differ by$/,
        new RegExp(String.raw`^\[70,6\] 560 ms +${ms} / ${ms} +\d+ +${ms} / ${ms} +\d+( or more)? +\d+ %$`),
        /^$/,
        /^250 streams:$/,
        /^ {2}\[70,6\] 560 ms: 250 \/ \(\d+ \/ 1 core\) = \d+\.\d\d, so \d+ cores?$/,
        /^ {2}and \d+ MiB for what they remember \(\d+\.\d\d MiB each\)\.$/,
      ].map((line) => expect.stringMatching(line)),
    );
    expect(status).toBe(0);
    // Without a terminal there is no bar: a line a mode says that it goes on.
    expect(err).toMatch(/^\[70,6\] 560 ms: \d+ on one core\n$/);
  });

  test("a context that the model does not have, or a number that is none", async () => {
    const { status, err } = await run("capacity", "--att-context", "70,2", "--cores", "1");
    expect(err).toMatch(/attention context: expected one of \[70,13\] .*, got \[70,2\]\. .*\(MODEL_UNSUPPORTED\)/);
    expect(status).toBe(69);
    expect((await run("capacity", "--cores", "none")).status).toBe(64);
    const cores = await run("capacity", "--cores", "9999");
    expect([cores.status, cores.err]).toEqual([
      64,
      expect.stringMatching(/--cores: expected 1 to \d+, which this machine has, got 9999/),
    ]);
    const classifier = await run("capacity", "-m", BUNDLED_MODELS.vad);
    expect([classifier.status, classifier.err]).toEqual([
      69,
      expect.stringContaining("expected a model that writes text, got EncDecFrameClassificationModel, a classifier."),
    ]);
    const silent = join(scratch, "empty.wav");
    await writeFile(silent, encodeWav([new Float32Array(0)], { sampleRateHz: 16_000, encoding: "s16le" }));
    const empty = await run("capacity", "--audio", silent);
    expect([empty.status, empty.err]).toEqual([65, expect.stringContaining("expected sound, got none")]);
  });

  test.skipIf(!isBuilt)("--json, on two cores at once", async () => {
    const { status, out, err } = await runBuilt(["capacity", ...quick, "--cores", "2", "--json"]);
    expect(err).toMatch(/^\[70,6\] 560 ms: \d+ on one core\nmeasuring 2 cores at once\n$/);
    const { modes, streamBytes, wanted } = JSON.parse(out);
    expect(modes).toHaveLength(1);
    expect(modes[0]).toMatchObject({ attContext: [70, 6], chunkSec: 0.56, inAll: { cores: 2 } });
    expect(modes[0].single.p50Sec).toBeGreaterThan(0);
    expect(modes[0].perCore.streams).toBeGreaterThan(0);
    expect(modes[0].perCore.p99Sec).toBeLessThanOrEqual(0.56);
    expect(modes[0].inAll.streams).toBeGreaterThan(0);
    expect(modes[0].spread).toBeGreaterThanOrEqual(0);
    expect([wanted, status]).toEqual([100, 0]);
    expect(streamBytes).toBeGreaterThan(1e6);
  });
});
