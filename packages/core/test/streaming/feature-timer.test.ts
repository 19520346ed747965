import { afterAll, expect, test } from "vitest";
import { busySec } from "../../src/streaming/batch.ts";
import { createFeatureTimer } from "../../src/streaming/feature-timer.ts";
import { openBufferedSet } from "../../src/streaming/open-speech-engine.ts";
import type { StreamSet } from "../../src/streaming/stream-set.ts";
import { bundled, testRuntime } from "../recognition/bundled.ts";
import { openTestSet, speech, testClock } from "./stream-runs.ts";

const cached = await openTestSet(2);
const windows = await openBufferedSet(await bundled("speech"), await testRuntime(), { now: testClock() });
afterAll(() => Promise.all([cached.release(), windows.release()]));
const garden = await speech("garden-slt", 0, 4);

/** The times of all batches that a recording takes in packets. */
async function timesOf(set: StreamSet): Promise<{ featuresSec: number; encodeSec: number; decodeSec: number }[]> {
  const batches = [];
  set.open(1, {}, () => {});
  for (let at = 0; at < garden.length; at += 16_000) {
    set.feed(1, garden.subarray(at, at + 16_000));
    for (let batch = await set.runBatch(); batch; batch = await set.runBatch()) batches.push(batch);
  }
  set.finish(1);
  for (let batch = await set.runBatch(); batch; batch = await set.runBatch()) batches.push(batch);
  set.close(1);
  return batches;
}

// The clock goes on by a millisecond whenever it is asked.
test("features have a time of their own, with caches: of all packets since the batch before", async () => {
  const batches = await timesOf(cached.set);
  expect(batches.reduce((sum, { featuresSec }) => sum + featuresSec, 0)).toBeCloseTo(0.005);
  expect(batches.at(0)?.featuresSec).toBeGreaterThan(0);
});

test("and in windows, where they are made in the batch and are not counted twice", async () => {
  const batches = await timesOf(windows.set);
  for (const { featuresSec, encodeSec } of batches)
    expect([featuresSec, encodeSec]).toEqual([0.001, 0.002].map((sec) => expect.closeTo(sec)));
});

test("a timer adds up, also what fails, and begins anew when it is read", () => {
  const timer = createFeatureTimer(testClock());
  expect(timer.time(() => 7)).toBe(7);
  expect(() =>
    timer.time(() => {
      throw new Error("no sound");
    }),
  ).toThrow("no sound");
  expect([timer.take(), timer.take()]).toEqual([expect.closeTo(0.002), 0]);
  const rest = { numRows: 1, numSteps: 1, latenciesSec: [], modes: [] };
  expect(busySec({ featuresSec: 1, encodeSec: 2, decodeSec: 4, ...rest })).toBe(7);
});
