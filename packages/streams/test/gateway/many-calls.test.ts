import { expect, it } from "vitest";
import { hashFinals } from "../hash-engine.ts";
import { app, chunks, noise, start } from "./harness.ts";

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
    const id = `call${i >> 1}-${i % 2}?call=call${i >> 1}&channel=${i % 2}&role=${i % 2 ? "agent" : "caller"}&parties=2`;
    return {
      id,
      sounds: [noise(0.4 + pick() / 2, 2 * i + 1), noise(0.3 + pick() / 2, 2 * i + 2)],
      one: app(started, id, 5),
    };
  });
  await Promise.all(
    parties.map(async ({ id, sounds, one }) => {
      let seq = 0n;
      for (const sound of sounds) {
        for (const item of chunks(id, sound)) {
          if (item.kind !== "tuple") continue;
          const tuple = { ...item.tuple, seq };
          seq++;
          await one.composite.sink.submit({ ...item, tuple });
          if (pick() < 0.1) one.composite.source.cut();
          await pause(5 * pick());
          if (pick() >= 0.05) continue;
          // What the network swallowed is sent again, as an application that keeps its last chunks does.
          await pause(20);
          one.composite.sink.cut();
          await one.composite.sink.submit({ ...item, tuple });
        }
        await one.composite.submitMark();
      }
      await one.composite.submitFinal();
      await one.composite.done;
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
    (sum, { one }) => sum + one.composite.source.numConnections + one.composite.sink.numConnections - 2,
    0,
  );
  expect(cuts).toBeGreaterThan(50);
});
