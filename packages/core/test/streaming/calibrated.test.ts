import { describe, expect, test } from "vitest";
import { type OpenStreamSet, openStreamSet } from "../../src/streaming/open-engine.ts";
import { openBufferedSet } from "../../src/streaming/open-speech-engine.ts";
import type { FinalEvent, StreamOptions } from "../../src/streaming/stream.ts";
import { CALIBRATION_SCHEMA, type Calibration, calibrate } from "../../src/transcript/calibration.ts";
import { bundled, recording, testRuntime } from "../recognition/bundled.ts";

const model = await bundled("speech");
const runtime = await testRuntime();
const waveform = (await recording("morning-rms")).subarray(0, 60_000);
const maps = { word: { a: 0.5, b: 2, c: 0.3 }, token: { a: 0.2, b: 1, c: -0.1 } };
const calibration: Calibration = {
  schema: CALIBRATION_SCHEMA,
  confidence: model.spec.decoding.confidence,
  heads: { transducer: maps },
};

async function finalOf({ set }: Pick<OpenStreamSet, "set">, options: StreamOptions = {}): Promise<FinalEvent> {
  const finals: FinalEvent[] = [];
  set.open(0, { ...options, endpoint: { silence: "none" } }, (event) => {
    if (event.type === "final") finals.push(event);
  });
  set.feed(0, waveform);
  set.finish(0);
  while (await set.runBatch());
  set.close(0);
  return finals[0];
}

describe.each([
  { name: "with caches", open: openStreamSet },
  { name: "in windows", open: openBufferedSet },
])("streams $name", ({ open }) => {
  test("tell probabilities where the model has a calibration of its head and method", async () => {
    const now = () => 0;
    const plain = await open(model, runtime, { now });
    const mapped = await open({ ...model, calibration }, runtime, { now });
    const [raw, own] = [await finalOf(plain), await finalOf(mapped)];
    expect(own.text).toBe(raw.text);
    expect(own.words.length).toBeGreaterThan(3);
    own.words.forEach(({ confidence }, i) => {
      expect(confidence).toBeCloseTo(calibrate(maps.word, raw.words[i].confidence as number), 4);
    });
    own.tokens.forEach(({ confidence }, i) => {
      expect(confidence).toBeCloseTo(calibrate(maps.token, raw.tokens[i].confidence as number), 4);
    });
    const sum = own.words.reduce((total, { confidence = 0 }) => total + confidence, 0);
    expect(own.confidence).toBeCloseTo(sum / own.words.length, 6);
    for (const options of [{ head: "ctc" }, { confidence: { alpha: 0.5 } }] as const) {
      expect(await finalOf(mapped, options)).toEqual(await finalOf(plain, options));
    }
    await Promise.all([plain.release(), mapped.release()]);
  });
});
