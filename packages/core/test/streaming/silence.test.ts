import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openRecognizer } from "../../src/recognition/recognizer.ts";
import { type OpenStreamSet, openStreamSet } from "../../src/streaming/open-engine.ts";
import type { EndpointRules, FinalEvent, StreamEvent } from "../../src/streaming/stream.ts";
import { DEFAULT_ENDPOINT, utteranceRules } from "../../src/streaming/utterances.ts";
import { bundled, recording, testRuntime } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";

const RATE = 16000;
const speech = await bundled("speech");
const runtime = await testRuntime();
const opened: OpenStreamSet = await openStreamSet(speech, runtime, { now: () => 0, vad: await bundled("vad") });
const recognizer = await openRecognizer(speech, runtime);
afterAll(() => Promise.all([opened.release(), recognizer.close()]));

/** Speech with pauses of silence or faint noise around and between. */
async function conversation(noise: number): Promise<Float32Array> {
  const morning = await recording("morning-rms");
  const garden = await recording("garden-slt");
  const pause = (seconds: number) => new Float32Array(seconds * RATE);
  const parts = [pause(1), morning, pause(2.5), garden, pause(3)];
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  let seed = 7;
  for (let i = 0; i < all.length; i++) {
    seed = (seed * 48271) % 2147483647;
    all[i] += noise * ((2 * seed) / 2147483647 - 1);
  }
  return all;
}

let nextId = 0;

/** Streams a recording in packets, saved and restored in the middle where asked for. */
async function stream(
  waveform: Float32Array,
  endpoint: EndpointRules,
  packets: readonly number[],
  restoreAt = -1,
  attContext: readonly [number, number] = [70, 6],
): Promise<FinalEvent[]> {
  const { set } = opened;
  const finals: FinalEvent[] = [];
  const onEvent = (event: StreamEvent) => {
    if (event.type === "final") finals.push(event);
  };
  let id = nextId++;
  set.open(id, { attContext, endpoint }, onEvent);
  let at = 0;
  for (let n = 0; at < waveform.length; n++) {
    const size = packets[n % packets.length];
    set.feed(id, waveform.subarray(at, at + size));
    at += size;
    while (await set.runBatch());
    if (n !== restoreAt) continue;
    const blob = set.save(id);
    set.close(id);
    id = nextId++;
    set.open(id, {}, onEvent, blob);
  }
  set.finish(id);
  while (await set.runBatch());
  set.close(id);
  return finals;
}

const textOf = (finals: readonly FinalEvent[]) =>
  finals.reduce(
    (text, final) => (text === "" ? final.text : `${text}${final.joinsPrevious ? "" : " "}${final.text}`),
    "",
  );

describe.each([
  { silence: "vad", noise: 0.002 },
  { silence: "energy", noise: 0 },
] as const)("silence heard by $silence in noise of $noise", async ({ silence, noise }) => {
  const waveform = await conversation(noise);
  const [whole] = await recognizer.transcribe([waveform], { attContext: [70, 6] });

  test("ends utterances in the pauses, and every word is the same with and without it, in any packets", async () => {
    const uncut = await stream(waveform, { silence: "none", maxUtteranceSec: 1e9 }, [8000]);
    expect(uncut.map(({ text }) => text)).toEqual([whole.text]);
    const expected = await stream(waveform, { silence }, [waveform.length]);
    expect(textOf(expected)).toBe(whole.text);
    // Cut in the pause between the two recordings at least, and before the end of the last.
    expect(expected.length).toBeGreaterThanOrEqual(2);
    expect(expected.map(({ reason }) => reason)).toEqual(expected.map(() => "silence"));
    const inPause = expected.filter(({ heardSec }) => heardSec > 8.5 && heardSec < 11.5);
    expect(inPause).toHaveLength(1);
    const packets = fc.array(fc.integer({ min: 100, max: 60_000 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(packets, fc.integer({ min: 0, max: 4 }), async (sizes, restoreAt) => {
        const finals = await stream(waveform, { silence }, sizes, restoreAt);
        expect(finals.map(({ text, startSec, endSec }) => [text, startSec, endSec])).toEqual(
          expected.map(({ text, startSec, endSec }) => [text, startSec, endSec]),
        );
      }),
      propertyRuns(2),
    );
  });
});

describe.each(["decoder", "vad", "energy"] as const)("a pause of 0.9 s by %s", (silence) => {
  test.each([
    [70, 13],
    [70, 0],
  ] as const)("ends an utterance wherever it lies against the chunks of [%i,%i]", async (...attContext) => {
    const garden = await recording("garden-slt");
    const [before, after] = [garden.subarray(0, 3.3 * RATE), garden.subarray(3.9 * RATE)];
    for (const leadSteps of [0, 3, 6, 9, 12]) {
      const lead = leadSteps * 0.08 * RATE;
      const waveform = new Float32Array(lead + before.length + 0.8 * RATE + after.length);
      waveform.set(before, lead);
      waveform.set(after, lead + before.length + 0.8 * RATE);
      const finals = await stream(waveform, { silence, minSilenceSec: 0.3 }, [RATE], -1, attContext);
      const pauseSec = lead / RATE + 3.2;
      const inPause = finals.filter(({ endSec }) => Math.abs(endSec - pauseSec) < 0.5);
      expect(inPause.map(({ reason }) => reason)).toEqual(["silence"]);
    }
  });
});

describe("rules of silence", () => {
  test("cut later where more silence is asked for, and not at all where no pause is long enough", async () => {
    const waveform = await conversation(0);
    const short = await stream(waveform, { silence: "vad", minSilenceSec: 0.5 }, [4000]);
    const long = await stream(waveform, { silence: "vad", minSilenceSec: 1.5 }, [4000]);
    const never = await stream(waveform, { silence: "vad", minSilenceSec: 5 }, [4000]);
    // The same pause, where the shorter rule cuts in others, too.
    const same = short.find(({ endSec }) => endSec === long[0].endSec);
    const later = long[0].heardSec - (same?.heardSec ?? 0);
    expect(later).toBeGreaterThan(0.4);
    expect(later).toBeLessThan(1.6);
    expect(long.map(({ reason }) => reason)).toEqual(["silence", "silence"]);
    expect(never.map(({ reason }) => reason)).toEqual(["end"]);
    expect(new Set([short, long, never].map(textOf)).size).toBe(1);
  });

  test("take what is shorter than the least speech for silence", async () => {
    const waveform = await conversation(0);
    // Nobody speaks for ten seconds on end: to the detector all is silence, and the decoder's own pauses cut.
    const finals = await stream(waveform, { silence: "energy", minSpeechSec: 60 }, [4000]);
    const usual = await stream(waveform, { silence: "energy" }, [4000]);
    expect(finals.length).toBeGreaterThan(usual.length);
    expect(textOf(finals)).toBe(textOf(usual));
  });

  test("are refused where they are no probabilities, and `vad` where the engine has no model", async () => {
    const open = (endpoint: EndpointRules) => opened.set.open(nextId++, { endpoint }, () => {});
    for (const [rules, message] of [
      [
        { minSilenceSec: -1 },
        "endpoint.minSilenceSec: expected a number of seconds from 0 up, got -1. Leave it out, or give one.",
      ],
      [
        { maxUtteranceSec: Number.NaN },
        "endpoint.maxUtteranceSec: expected a number of seconds from 0 up, got NaN. Leave it out, or give one.",
      ],
      [
        { silence: "noise" },
        "endpoint.silence: expected one of decoder, vad, energy, none, got noise. Leave it out, or give one.",
      ],
    ] as [EndpointRules, string][]) {
      expect(() => open(rules)).toThrow(message);
    }
    // What is told to be undefined is not told.
    const untold = { minSilenceSec: undefined, maxUtteranceSec: undefined, silence: undefined };
    expect(utteranceRules(untold)).toEqual(DEFAULT_ENDPOINT);
    expect(() => open({ silence: "vad", onset: 2 })).toThrow(
      "endpoint.onset: expected a number from 0 to 1, got 2. Leave it out, or give one.",
    );
    expect(() => open({ silence: "energy", minSpeechSec: -1 })).toThrow(
      "endpoint.minSpeechSec: expected a number of seconds from 0 up, got -1. Leave it out, or give one.",
    );
    const bare = await openStreamSet(speech, runtime, { now: () => 0 });
    expect(() => bare.set.open(0, { endpoint: { silence: "vad" } }, () => {})).toThrow(
      "endpoint: expected a voice activity model for silence `vad`, got an engine without one. Open the engine with one, or choose `energy` or `decoder`.",
    );
    const { detectors } = bare.parts;
    const saved = { ...detectors.open("energy", {}).save(), id: "another" };
    expect(() => detectors.open("energy", {}, saved)).toThrow(
      "stream: expected one saved with voice activity model energy, got one of another. Open it with the model it was saved with.",
    );
    await bare.release();
  });
});
