import { encodeSamples } from "@nemo-stt/core";
import { expect, it } from "vitest";
import { callSpl } from "../../../spl/test/evaluate.ts";
import {
  type ChannelTranscription,
  createAudioChannelSplitter,
  FINAL_MARK,
  transcribeCall,
  tupleItem,
} from "../../src/index.ts";
import { CLOCK_TOLERANCE_MS, SenderClock } from "../../src/voice/sender-clock.ts";
import { TimeLine } from "../../src/voice/time-line.ts";
import { noise } from "../gateway/harness.ts";
import { hashEngine } from "../hash-engine.ts";
import { collect, streamOf, tuples } from "./collect.ts";

const BLOCK_MS = 100;
const silent = { warn: () => {} };
const block = encodeSamples([noise(0.1, 1, 8000), noise(0.1, 2, 8000)], "s16le");

/** The times of the left channel's blocks. */
async function splitTimes(timestampsMs: readonly number[], parameters = {}): Promise<number[]> {
  const splitter = createAudioChannelSplitter(parameters, silent);
  const items = timestampsMs.map((ms) => tupleItem({ audioData: block, audioTimestamp: BigInt(ms) }));
  const [, left] = await Promise.all([
    streamOf([...items, FINAL_MARK]).pipeTo(splitter.writable),
    collect(splitter.left),
    collect(splitter.right),
  ]);
  return tuples(left).map(({ audioTimestamp }) => Number(audioTimestamp));
}

/** What a time line makes of the same. */
function lineTimes(timestampsMs: readonly number[]): number[] {
  const line = new TimeLine(8000);
  timestampsMs.forEach((ms) => {
    line.add((8000 * BLOCK_MS) / 1000, ms, 0);
  });
  return timestampsMs.map((_, i) => line.timeMs(800 * i));
}

const CASES: readonly [what: string, given: number[], believed: number[]][] = [
  ["jitter of either sign is counted over", [0, 130, 90, 480, 200], [0, 100, 200, 300, 400]],
  ["a jump forward begins a new count", [0, 100, 401, 501, 601], [0, 100, 401, 501, 601]],
  ["a jump back begins a new count", [5000, 5100, 1000, 1100], [5000, 5100, 1000, 1100]],
  ["200 ms are jitter, more is a jump", [1000, 1300, 999, 1300], [1000, 1100, 999, 1300]],
  ["a sender without a clock is counted", [0, 0, 0, 0, 0, 0], [0, 100, 200, 300, 400, 500]],
];

it.each(CASES)("splitter and time line: %s", async (_, given, believed) => {
  expect(await splitTimes(given)).toEqual(believed);
  expect(lineTimes(given)).toEqual(believed);
});

it("the resampler's rest comes out at its own time, and what follows a jump back at its", async () => {
  const times = await splitTimes([5000, 5100, 1000, 1100], { targetSampleRate: 16_000 });
  expect(times.filter((ms) => ms >= 5000).length).toBeGreaterThan(2);
  expect(times.filter((ms) => ms < 5000)[0]).toBe(1000);
});

it("a saved time line goes on with what it was told, at another rate too", () => {
  const line = new TimeLine(8000);
  for (let i = 0; i < 5; i++) line.add(800, 0, 0);
  const restored = TimeLine.restore(JSON.parse(JSON.stringify(line.save())));
  restored.add(800, 0, 0);
  expect(restored.endMs).toBe(600);
  const [near, back] = [new TimeLine(16_000, restored), new TimeLine(16_000, restored)];
  near.add(1600, 550, 0);
  back.add(1600, 100, 0);
  expect([near.timeMs(0), back.timeMs(0)]).toEqual([600, 100]);
});

it("nothing ends before it begins where the clock goes back in the middle of it", async () => {
  const pieces = [0, 100, 5000, 5100, 1000, 1100].map((ms) => ({
    audioData: encodeSamples([noise(0.1, ms, 8000)], "s16le"),
    audioTimestamp: BigInt(ms),
    channelInfo: {
      channelNumber: 0,
      channelRole: "caller",
      phoneNumber: "",
      speakerId: "",
      additionalMetadata: new Map(),
    },
    sampleRate: 8000,
    bitsPerSample: 16,
  }));
  const out = await collect(
    transcribeCall([streamOf([...pieces.slice(2).map(tupleItem), FINAL_MARK])], { engine: hashEngine() }),
  );
  for (const { startTime, endTime } of tuples(out) as ChannelTranscription[])
    expect(endTime).toBeGreaterThanOrEqual(startTime);
});

it("the SPL toolkit has the same rule", () => {
  expect(callSpl("clockToleranceMs")).toBe(CLOCK_TOLERANCE_MS);
  for (const [given, counted] of [
    [1200, 1000],
    [1201, 1000],
    [800, 1000],
    [799, 1000],
    [1000, 1000],
  ])
    expect([given, callSpl("clockDiffers", given, counted)]).toEqual([given, new SenderClock().jumps(given, counted)]);
});
