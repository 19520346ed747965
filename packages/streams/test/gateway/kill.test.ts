import { expect, it } from "vitest";
import { hashFinals } from "../hash-engine.ts";
import {
  blocks,
  type Front,
  noise,
  openFront,
  random,
  type SessionApp,
  type Started,
  sessionApp,
  start,
  talk,
  until,
} from "./harness.ts";

// The service is killed at any moment of calls and started again without a memory; connections are cut, or stall.

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Party {
  readonly windows: readonly Float32Array[];
  readonly app: SessionApp;
}

async function play({ windows, app }: Party, gapMs: number): Promise<void> {
  let startMs = 0;
  for (const window of windows) {
    for (const { bytes, timestampMs } of blocks(window, 3200, 16_000, startMs)) {
      await app.session.submit(bytes, timestampMs);
      await pause(gapMs);
    }
    startMs += window.length / 16;
    await app.session.submitMark();
  }
  await app.session.submitFinal();
  await app.session.done;
}

async function expectExact({ windows, app }: Party): Promise<void> {
  const expected = (await Promise.all(windows.map((window) => hashFinals(window, 16_000)))).flatMap((w) => [...w, "#"]);
  expect(app.shape()).toBe([...expected, "$"].join(" | "));
}

/** Two hold the whole window, two what is not settled. */
const party = (front: Front, n: number): Party => ({
  windows: [talk(2 * n + 1, 3), talk(2 * n + 2, 3)],
  app: sessionApp(front, `call-${n}@1.${n}`, `call=call&channel=${n}&parties=4`, 20, n < 2 ? undefined : 10_000),
});

/** Runs calls while something happens to the service behind the front. */
async function during(trouble: (started: Started, front: Front, pick: () => number) => Promise<Started>, seed: number) {
  const front = await openFront();
  let started = await start();
  front.open(started);
  const parties = Array.from({ length: 4 }, (_, n) => party(front, n));
  const played = Promise.all(parties.map((one) => play(one, 10)));
  const pick = random(seed);
  for (let n = 0; n < 4; n++) {
    await pause(100 + 400 * pick());
    started = await trouble(started, front, pick);
  }
  await played;
  front.close();
  for (const one of parties) await expectExact(one);
  return { parties, started };
}

it.each([1, 2])("loses and repeats nothing when the service is killed again and again (%i)", async (seed) => {
  const { parties } = await during(async (started, front, pick) => {
    front.kill();
    void started.gateway.close();
    await pause(100 * pick());
    const next = await start();
    front.open(next);
    return next;
  }, seed);
  expect(
    parties.flatMap(({ app }) => app.problems).filter((code) => code === "SERVICE_RESTARTED").length,
  ).toBeGreaterThan(8);
  expect(parties.some(({ app }) => app.problems.includes("RESULTS_MISSED"))).toBe(false);
});

it("leaves sessions to the service that follows when it is told to stop", async () => {
  await during(async (started, front) => {
    const drained = started.gateway.drain();
    await drained;
    front.kill();
    const next = await start();
    front.open(next);
    return next;
  }, 3);
});

it("sends again what a cut connection swallowed, when it is asked", async () => {
  const { parties, started } = await during(async (started, front, pick) => {
    front.kill();
    await pause(50 * pick());
    front.open(started);
    return started;
  }, 4);
  expect(parties.flatMap(({ app }) => app.problems)).toEqual([]);
  expect(started.log.filter((line) => line.includes("never came"))).toEqual([]);
});

it("leaves nothing out for an application whose reader is far behind", async () => {
  const front = await openFront();
  const started = await start();
  const { session, items, problems } = sessionApp({ audio: started.audio, text: front.text }, "late");
  const sound = noise(24, 5);
  for (const { bytes, timestampMs } of blocks(sound, 3200)) await session.submit(bytes, timestampMs);
  await until(() => [...started.gateway.table.sessions.values()].some(({ heardSec }) => heardSec > 23.9));
  // More than one batch of what a reader is sent at once, and more than a hundred records behind it.
  front.open(started);
  await session.submitFinal();
  await session.done;
  expect(items.filter((item) => item.kind === "tuple" && !item.tuple.isFinal).length).toBe(240);
  expect(problems).toEqual([]);
  front.close();
});

it("takes a session up in its middle, and tells what nobody sent again", async () => {
  const front = await openFront();
  const started = await start({ limits: { takeUpMs: 100, resendMs: 100 } });
  front.open(started);
  const { session } = sessionApp(front, "late");
  session.source.close();
  const sound = [...blocks(noise(1, 3), 3200)];
  for (const { bytes, timestampMs } of sound.slice(0, 3)) await session.submit(bytes, timestampMs);
  await pause(50);
  front.kill();
  const next = await start({ limits: { takeUpMs: 100, resendMs: 100 } });
  front.open(next);
  for (const { bytes, timestampMs } of sound.slice(3)) await session.submit(bytes, timestampMs);
  await session.submitFinal();
  await until(() => next.log.join().includes("never came"));
  expect(next.log.join()).toMatch(/late\?resume=1: [3-5] chunks before [3-5] never came \([345]00 ms\)/);
  await session.close();
  front.close();
});
