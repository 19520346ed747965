import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openRecognizer } from "../../src/recognition/recognizer.ts";
import type { StreamEvent, StreamOptions } from "../../src/streaming/stream.ts";
import { bundled, testRuntime } from "../recognition/bundled.ts";
import { finalsOf, openTestSet, rounded, runAlone, speech, textOf, timesOf, tokensOf } from "./stream-runs.ts";

const MODES = [
  [70, 13],
  [70, 6],
  [70, 1],
  [70, 0],
] as const;

const waveforms = [await speech("garden-slt", 0, 2.5), await speech("morning-rms", 1.1, 3.6)];
const opened = await openTestSet(16);
const recognizer = await openRecognizer(await bundled("speech"), await testRuntime());
afterAll(async () => {
  await opened.release();
  await recognizer.close();
});

/** One stream of a run: what it hears, how, in which packets, and where it is saved and goes on from what was saved. */
interface Plan {
  readonly recording: number;
  readonly options: StreamOptions;
  /** Seconds of each packet, over and over. */
  readonly packetsSec: readonly number[];
  /** Packets behind which it is saved, closed and opened again. */
  readonly savesAt: readonly number[];
  /** Batches between two packets. */
  readonly patience: number;
}

const mode = fc.constantFrom(...MODES);
const options: fc.Arbitrary<StreamOptions> = fc
  .record(
    {
      head: fc.constantFrom("ctc" as const, "transducer" as const),
      attContext: mode,
      fastAttContext: fc.constantFrom([70, 0] as const, [70, 1] as const),
      endpoint: fc.record({
        minSilenceSec: fc.constantFrom(0.3, 0.8),
        maxUtteranceSec: fc.constantFrom(1, 30),
        silence: fc.constantFrom("decoder" as const, "none" as const),
      }),
    },
    { requiredKeys: ["head", "attContext"] },
  )
  .map(({ fastAttContext, ...rest }) =>
    // A second mode is a faster one.
    fastAttContext && fastAttContext[1] < rest.attContext[1] ? { ...rest, fastAttContext } : rest,
  );

const plan: fc.Arbitrary<Plan> = fc.record({
  recording: fc.nat(waveforms.length - 1),
  options,
  packetsSec: fc.array(
    fc.oneof(fc.constantFrom(1 / 16_000, 0.01, 0.02, 10), fc.double({ min: 0.005, max: 1.5, noNaN: true })),
    {
      minLength: 1,
      maxLength: 6,
    },
  ),
  savesAt: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 2 }),
  patience: fc.nat(2),
});

const alone = new Map<string, Promise<StreamEvent[]>>();

/** What a stream gives that is alone and fed at once; each is computed once. */
function expected({ recording, options }: Pick<Plan, "recording" | "options">): Promise<StreamEvent[]> {
  const key = JSON.stringify([recording, options]);
  const known = alone.get(key) ?? runAlone(opened, waveforms[recording], options);
  alone.set(key, known);
  return known;
}

/** Streams side by side, each in its own packets, saved and opened again. */
async function runTogether(plans: readonly Plan[]): Promise<StreamEvent[][]> {
  const { set } = opened;
  const events = plans.map((): StreamEvent[] => []);
  const places = plans.map(() => 0);
  let nextId = 100;
  const ids = plans.map(({ options }, i) => {
    set.open(nextId, options, (event) => events[i].push(event));
    return nextId++;
  });
  for (let round = 1; places.some((place) => place >= 0); round++) {
    for (const [i, { recording, packetsSec, savesAt, patience }] of plans.entries()) {
      if (places[i] < 0) continue;
      const samples = waveforms[recording];
      const end = places[i] + Math.max(1, Math.round(16_000 * packetsSec[round % packetsSec.length]));
      // Packets of a few samples go on as such for a while only, or a run would take minutes.
      const stop = round > 60 ? samples.length : Math.min(end, samples.length);
      set.feed(ids[i], samples.slice(places[i], stop));
      places[i] = stop === samples.length ? -1 : stop;
      if (places[i] < 0) set.finish(ids[i]);
      if (savesAt.includes(round)) {
        const blob = set.save(ids[i]);
        set.close(ids[i]);
        ids[i] = nextId++;
        set.open(ids[i], {}, (event) => events[i].push(event), blob);
      }
      for (let batch = 0; batch < patience; batch++) await set.runBatch();
    }
  }
  while (set.hasWork) await set.runBatch();
  for (const id of ids) {
    expect(set.hasEnded(id)).toBe(true);
    set.close(id);
  }
  return events;
}

/** What holds for the events of any stream. */
function checkOrder(events: readonly StreamEvent[]): void {
  let stable = "";
  let utterance = 0;
  let finalEndStep = 0;
  let heardSec = 0;
  for (const event of events) {
    expect(event.utterance).toBe(utterance);
    expect(event.text.startsWith(stable)).toBe(true);
    expect(event.heardSec).toBeGreaterThanOrEqual(heardSec);
    for (const { startStep } of event.words) expect(startStep).toBeGreaterThanOrEqual(finalEndStep - 1);
    heardSec = event.heardSec;
    if (event.type === "interim") {
      expect(event.stableText.startsWith(stable)).toBe(true);
      expect(event.text.startsWith(event.stableText)).toBe(true);
      stable = event.stableText;
    } else {
      utterance++;
      stable = "";
      finalEndStep = event.words.at(-1)?.endStep ?? finalEndStep;
    }
  }
}

describe("streams", () => {
  test("give the same events for any packets, batch mates and modes, saved and opened again at any place", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 4 }), async (plans) => {
        const events = await runTogether(plans);
        for (const [i, plan] of plans.entries()) {
          checkOrder(events[i]);
          expect(rounded(events[i])).toEqual(rounded(await expected(plan)));
        }
      }),
      { seed: 6, numRuns: Number(process.env.STREAM_RUNS ?? 6) },
    );
  });

  test.each(["ctc", "transducer"] as const)(
    "give of a few samples what `transcribe` gives, which is nothing below a frame: %s",
    async (head) => {
      for (const numSamples of [0, 1, 2, 80, 159, 160, 161, 319, 320, 1279, 1280, 1281]) {
        // Loud enough for a token, were there a step.
        const samples = waveforms[0].subarray(8000, 8000 + numSamples);
        for (const attContext of MODES) {
          const [{ text, tokens }] = await recognizer.transcribe([samples], { head, attContext });
          const events = await runAlone(opened, samples, { head, attContext });
          expect(textOf(events)).toBe(text);
          expect(tokensOf(events)).toEqual(timesOf(tokens));
          if (numSamples < 160) expect([events, tokens]).toEqual([[], []]);
        }
      }
    },
  );

  test.each(["ctc", "transducer"] as const)(
    "give the tokens, times and text of the whole recording: %s",
    async (head) => {
      for (const attContext of MODES) {
        const offline = await recognizer.transcribe(waveforms, { head, attContext });
        for (const [recording, { text, tokens }] of offline.entries()) {
          const cuts = { minSilenceSec: 0.2, maxUtteranceSec: 1 };
          for (const endpoint of [{ silence: "none" as const }, cuts]) {
            const events = await expected({ recording, options: { head, attContext, endpoint } });
            expect(textOf(events)).toBe(text);
            expect(tokensOf(events)).toEqual(timesOf(tokens));
            if (endpoint === cuts) expect(finalsOf(events).length).toBeGreaterThan(1);
          }
        }
      }
    },
  );
});
