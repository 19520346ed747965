import { expect, it } from "vitest";
import { hashFinals } from "../hash-engine.ts";
import { blocks, noise, sessionApp, start } from "./harness.ts";

// Fifty calls of two parties, each an application of its own, while connections are cut at random.

const NUM_CALLS = 50;

/** Numbers in [0, 1), the same for the same seed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

it("carries fifty calls whose connections are cut at random, losing and doubling no final", async () => {
  const started = await start();
  const pick = random(7);
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const parties = Array.from({ length: 2 * NUM_CALLS }, (_, i) => {
    const options = `call=call${i >> 1}&channel=${i % 2}&role=${i % 2 ? "agent" : "caller"}&parties=2`;
    return {
      sounds: [noise(0.4 + pick() / 2, 2 * i + 1), noise(0.3 + pick() / 2, 2 * i + 2)],
      one: sessionApp(started, `call${i >> 1}-${i % 2}`, options, 5),
    };
  });
  await Promise.all(
    parties.map(async ({ sounds, one: { session } }) => {
      let startMs = 0;
      for (const sound of sounds) {
        for (const { bytes, timestampMs } of blocks(sound, 3200, 16_000, startMs)) {
          await session.submit(bytes, timestampMs);
          if (pick() < 0.1) session.source.cut();
          await pause(5 * pick());
          // What the network swallows with it is wanted again, and sent again.
          if (pick() < 0.05) session.sink.cut();
        }
        startMs += sound.length / 16;
        await session.submitMark();
      }
      await session.submitFinal();
      await session.done;
    }),
  );
  for (const { sounds, one } of parties) {
    const expected = (await Promise.all(sounds.map((sound) => hashFinals(sound, 16_000)))).flatMap((w) => [...w, "#"]);
    expect(one.shape()).toBe([...expected, "$"].join(" | "));
  }
  const ended = started.events.filter((event) => event.type === "call-ended");
  expect(ended).toHaveLength(NUM_CALLS);
  expect(new Set(ended.map((event) => event.type === "call-ended" && event.callId)).size).toBe(NUM_CALLS);
  const cuts = parties.reduce(
    (sum, { one: { session } }) => sum + session.source.numConnections + session.sink.numConnections - 2,
    0,
  );
  expect(cuts).toBeGreaterThan(50);
});
