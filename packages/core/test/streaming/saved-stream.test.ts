import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import {
  parseStreamState,
  savedInMode,
  savedStreamOptions,
  serializeStreamState,
} from "../../src/streaming/saved-stream.ts";
import { openTestSet, runAlone, speech, textOf } from "./stream-runs.ts";

const opened = await openTestSet(4);
afterAll(() => opened.release());
const { set, parts } = opened;
const samples = await speech("garden-slt", 0, 2);

/** A stream in the middle of things, at a rate that is not the model's. */
async function saved(): Promise<Uint8Array> {
  const options = { sampleRateHz: 16_000, attContext: [70, 1], fastAttContext: [70, 0] };
  set.open(1, options, () => {});
  set.feed(1, samples);
  while (set.hasWork) await set.runBatch();
  const blob = set.save(1);
  set.close(1);
  return blob;
}

const read = (blob: Uint8Array) => parseStreamState(blob, parts.fingerprint, parts.spec);

describe("parseStreamState", async () => {
  const blob = await saved();

  test("reads what was written, wherever the bytes lie", () => {
    const shifted = new Uint8Array(blob.length + 3);
    shifted.set(blob, 3);
    const state = read(shifted.subarray(3));
    expect(Buffer.compare(serializeStreamState(state, parts.fingerprint), blob)).toBe(0);
    expect(savedStreamOptions(shifted.subarray(3))).toEqual({
      sampleRateHz: 16_000,
      attContext: [70, 1],
      fastAttContext: [70, 0],
    });
  });

  test("keeps numbers that JSON has no word for", () => {
    const state = read(blob);
    const endpoint = { maxUtteranceSec: Number.POSITIVE_INFINITY };
    const without = serializeStreamState({ ...state, options: { ...state.options, endpoint } }, parts.fingerprint);
    expect(read(without).options.endpoint).toEqual(endpoint);
    expect(savedStreamOptions(without).endpoint).toEqual(endpoint);
  });

  test("goes on in another mode that has heard the same", async () => {
    set.open(1, { attContext: [70, 13] }, () => {});
    set.feed(1, (await speech("garden-slt", 0, 4)).subarray(0, 2 * 14 * 1280));
    while (set.hasWork) await set.runBatch();
    const whole = set.save(1);
    set.close(1);
    const moved = savedInMode(whole, [70, 0]);
    expect(savedStreamOptions(moved)).toMatchObject({ attContext: [70, 0] });
    expect(read(moved).lanes[0].cache).toEqual(read(whole).lanes[0].cache);
    set.open(1, {}, () => {}, moved);
    expect(set.hasWork).toBe(false);
    set.feed(1, samples.subarray(0, 1280));
    expect((await set.runBatch())?.modes).toMatchObject([{ attContext: [70, 0] }]);
    expect(set.hasWork).toBe(false);
    set.close(1);
  });

  test("refuses every blob that was cut off or changed", () => {
    const damage = fc.tuple(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean());
    fc.assert(
      fc.property(damage, ([place, change, isCut]) => {
        const damaged = isCut ? blob.slice(0, place) : blob.slice();
        if (!isCut) damaged[place] ^= change;
        expect(() => read(damaged)).toThrow(expect.objectContaining({ code: "STATE_INVALID" }));
      }),
      { seed: 7, numRuns: 60 },
    );
  });

  test("says whose stream it is, and when parts are missing", () => {
    const sixteen = parts.fingerprint.slice(0, 16);
    for (const [fingerprint, shown] of [
      [`${"f".repeat(64)}-int8`, "ffffffffffffffff-int8"],
      [parts.fingerprint.replace("float32", "int8"), `${sixteen}-int8`],
    ]) {
      expect(() => parseStreamState(blob, fingerprint, parts.spec)).toThrow(
        `stream: expected a stream of model ${shown}, got one of ${sixteen}-float32. Open it with the model it was saved with.`,
      );
    }
    const state = read(blob);
    for (const part of [{ lanes: state.lanes.slice(1) }, { intake: undefined }, { utterances: undefined }]) {
      const broken = serializeStreamState({ ...state, ...part } as typeof state, parts.fingerprint);
      expect(() => read(broken)).toThrow("stream: expected every part of a stream, got one with parts missing");
    }
    expect(() => savedStreamOptions(Uint8Array.of(1, 2, 3))).toThrow(
      "stream: expected a saved stream, got bytes that are none. It is damaged; begin a new stream.",
    );
  });

  test("keeps a resampler's memory: text at 8 kHz is the same when saved in the middle", async () => {
    const telephone = samples.filter((_, i) => i % 2 === 0);
    const options = { sampleRateHz: 8000, attContext: [70, 1] };
    const whole = await runAlone(opened, telephone, options);
    const events: typeof whole = [];
    set.open(1, options, (event) => events.push(event));
    set.feed(1, telephone.slice(0, 7777));
    const middle = set.save(1);
    set.close(1);
    set.open(2, {}, (event) => events.push(event), middle);
    set.feed(2, telephone.slice(7777));
    set.finish(2);
    while (set.hasWork) await set.runBatch();
    set.close(2);
    expect(textOf(events)).toBe(textOf(whole));
    expect(events.at(-1)).toEqual(whole.at(-1));
  });
});
