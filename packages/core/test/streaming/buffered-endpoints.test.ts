import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openBufferedSet } from "../../src/streaming/open-speech-engine.ts";
import type { EndpointRules, StreamEvent } from "../../src/streaming/stream.ts";
import { bundled, testRuntime } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";
import { finalsOf, rounded, speech, textOf } from "./stream-runs.ts";

const RATE_HZ = 16_000;
const opened = await openBufferedSet(await bundled("speech"), await testRuntime(), {
  now: () => 0,
  buffered: { leftSec: 4, chunkSec: 2, rightSec: 2 },
  vad: await bundled("vad"),
});
afterAll(() => opened.release());

/** Speech with pauses of 1.2 s, all of which lie inside of windows, and 6 s of silence behind. */
const pause = new Float32Array(1.2 * RATE_HZ);
const parts = [
  await speech("garden-slt", 0, 1.3),
  pause,
  await speech("garden-slt", 1.3, 2.6),
  pause,
  await speech("morning-rms", 1, 1.3),
  new Float32Array(6 * RATE_HZ),
];
const waveform = Float32Array.from(parts.flatMap((part) => [...part]));
const speechEndSec = (waveform.length - 6 * RATE_HZ) / RATE_HZ;

/** Every event of a stream, and how much had been fed when it came. */
async function run(endpoint: EndpointRules, packetSizes: readonly number[], savesAt = -1) {
  const { set } = opened;
  const events: (StreamEvent & { fedSec: number })[] = [];
  let fed = 0;
  const receive = (event: StreamEvent) => events.push({ ...event, fedSec: fed / RATE_HZ });
  set.open(1, { attContext: [70, 0], endpoint }, receive);
  for (let packet = 0; fed < waveform.length; packet++) {
    const size = packetSizes[packet % packetSizes.length];
    const samples = waveform.subarray(fed, fed + size);
    fed += samples.length;
    set.feed(1, samples);
    if (packet % 2 === 0) while (set.hasWork) await set.runBatch();
    if (packet !== savesAt) continue;
    while (set.hasWork) await set.runBatch();
    const blob = set.save(1);
    set.close(1);
    set.open(1, {}, receive, blob);
  }
  set.finish(1);
  while (set.hasWork) await set.runBatch();
  expect(set.hasEnded(1)).toBe(true);
  set.close(1);
  return events;
}

const withoutFed = (events: readonly (StreamEvent & { fedSec: number })[]) =>
  rounded(events.map(({ fedSec: _, ...event }) => event));

describe("utterances of streams in windows", () => {
  test.each(["vad", "energy", "decoder"] as const)("end in pauses that lie inside of windows: %s", async (silence) => {
    const whole = await run({ silence: "none" }, [8000]);
    const events = await run({ silence, minSilenceSec: 0.6 }, [8000]);
    expect(textOf(events)).toBe(textOf(whole));
    const silent = finalsOf(events).filter(({ reason }) => reason === "silence");
    expect(silent.length).toBeGreaterThanOrEqual(3);
  });

  test.each(["vad", "energy"] as const)(
    "end when the detector has heard the silence, not a window later: %s",
    async (silence) => {
      const events = await run({ silence, minSilenceSec: 3 }, [1600]);
      const last = events.findLast((event) => event.type === "final");
      expect(last?.type === "final" && last.reason).toBe("silence");
      // Windows are complete a packet behind 4 s, 6 s and so on: the final awaits none of them.
      const fedSec = last?.fedSec ?? 0;
      expect(fedSec).toBeGreaterThan(speechEndSec + 2.9);
      expect(fedSec % 2).toBeGreaterThan(0.15);
    },
  );

  test.each(["vad", "energy"] as const)(
    "are the same for any packets, saved and opened again anywhere: %s",
    async (silence) => {
      const endpoint = { silence, minSilenceSec: 0.6 };
      const expected = withoutFed(await run(endpoint, [waveform.length]));
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 200, max: 40_000 }), { minLength: 1, maxLength: 4 }),
          fc.nat({ max: 20 }),
          async (sizes, savesAt) => {
            expect(withoutFed(await run(endpoint, sizes, savesAt))).toEqual(expected);
          },
        ),
        propertyRuns(3),
      );
    },
  );
});
