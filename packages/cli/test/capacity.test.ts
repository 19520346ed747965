import { describe, expect, test } from "vitest";
import { createTrialClock, findCapacity, type Trial } from "../src/actions/capacity-trial.ts";
import { isBuilt, lines, morning, run, runBuilt } from "./harness.ts";

const trial = (numStreams: number, isCarried: boolean): Trial => ({
  numStreams,
  isCarried,
  p50Sec: 0.01,
  p99Sec: 0.02,
  load: 0.5,
});

describe("findCapacity", () => {
  test.each([1, 2, 7, 37, 64, 100])("finds the most that is carried, here %d", async (truth) => {
    const tried: number[] = [];
    const failedOnce = new Set<number>();
    const { single, most } = await findCapacity(async (n) => {
      tried.push(n);
      // A hiccup of the machine, once each, does not count.
      const isHiccup = !failedOnce.has(n);
      failedOnce.add(n);
      return trial(n, n <= truth && !isHiccup);
    }, 1000);
    expect(single.numStreams).toBe(1);
    expect(most.numStreams).toBeLessThanOrEqual(truth);
    expect(most.numStreams).toBeGreaterThanOrEqual(Math.floor(truth * 0.93));
    expect(2 * new Set(tried).size).toBe(tried.length);
  });

  test("what was carried until there was no more time", async () => {
    let numTrials = 0;
    const tryOnce = async (n: number) => {
      numTrials++;
      return trial(n, true);
    };
    const { most, isLowerBound } = await findCapacity(tryOnce, 1000, () => numTrials < 4);
    expect([most.numStreams, isLowerBound]).toEqual([8, true]);
    expect((await findCapacity(async (n) => trial(n, n < 20), 1000)).isLowerBound).toBe(false);
    expect((await findCapacity(async (n) => trial(n, true), 10)).isLowerBound).toBe(false);
  });

  test("nothing where one stream is too much; the limit where all are carried", async () => {
    expect((await findCapacity(async (n) => trial(n, false), 10)).most.numStreams).toBe(0);
    expect((await findCapacity(async (n) => trial(n, true), 10)).most.numStreams).toBe(10);
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
    expect(lines(out)).toEqual(
      [
        /^nemo-stt-en-tiny\.nemo on .+, hearing .*morning-rms\.wav$/,
        /^mode +one stream, p50 \/ p99 +streams a core +p50 \/ p99 there +streams on 1 core$/,
        new RegExp(String.raw`^\[70,6\] 560 ms +${ms} / ${ms} +\d+ +${ms} / ${ms} +\d+( or more)?$`),
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
    expect([wanted, status]).toEqual([100, 0]);
    expect(streamBytes).toBeGreaterThan(1e6);
  });
});
