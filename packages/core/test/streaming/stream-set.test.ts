import { afterAll, describe, expect, test } from "vitest";
import { openAcousticModel } from "../../src/recognition/acoustic.ts";
import type { CacheSlot } from "../../src/streaming/cache-pool.ts";
import { createLocalEngine } from "../../src/streaming/local-engine.ts";
import { parseStreamState } from "../../src/streaming/saved-stream.ts";
import type { StreamEvent } from "../../src/streaming/stream.ts";
import { createStreamSet, type StreamParts } from "../../src/streaming/stream-set.ts";
import { bundled, testRuntime } from "../recognition/bundled.ts";
import { openTestSet, rounded, runAlone, speech, textOf } from "./stream-runs.ts";

const opened = await openTestSet(8);
const acoustic = await openAcousticModel(await bundled("speech"), await testRuntime());
afterAll(() => Promise.all([opened.release(), acoustic.close()]));
const garden = await speech("garden-slt", 0, 2);
const morning = await speech("morning-rms", 1.1, 3.3);
const MODES = [
  [70, 13],
  [70, 6],
  [70, 1],
  [70, 0],
] as const;

/** The largest difference between the steps of a stream and those of the whole recording. */
async function largestDifference(attContext: readonly number[]): Promise<number> {
  const { data, numMels, numFrames, validFrames } = opened.parts.extractor.extract(garden);
  const offline = await acoustic.encode({ data, numMels, numFrames, lengths: [validFrames] }, attContext);
  const modelSize = offline.encoded.length / offline.numSteps;
  let step = 0;
  let largest = 0;
  const { set } = opened;
  set.open(
    1,
    { attContext },
    () => {},
    undefined,
    (encoded, row) => {
      for (let s = 0; s < encoded.lengths[row]; s++, step++) {
        for (let d = 0; d < modelSize; d++) {
          const value = encoded.encoded[(row * modelSize + d) * encoded.numSteps + s];
          largest = Math.max(largest, Math.abs(value - offline.encoded[d * offline.numSteps + step]));
        }
      }
    },
  );
  for (let at = 0; at < garden.length; at += 3000) {
    set.feed(1, garden.slice(at, at + 3000));
    await set.runBatch();
  }
  set.finish(1);
  while (set.hasWork) await set.runBatch();
  set.close(1);
  expect(step).toBe(offline.lengths[0]);
  return largest;
}

/** Where steps are the same bits in any batch (see `bits.test.ts`), confidences are too. */
const isBitExact = process.arch === "x64" && process.env.GRAPH_RUNTIME !== "wasm";

describe("createStreamSet", () => {
  test.each(MODES)("gives every step of the whole recording to 1e-4: [%d,%d]", async (...attContext) => {
    expect(await largestDifference(attContext)).toBeLessThan(1e-4);
  });

  test("gives the same with weights of 8 bits, whoever is in the batch and however the sound is cut", async () => {
    const int8 = await openTestSet(8, bundled("speech", "int8"));
    const digits = isBitExact ? 14 : -1;
    const { set } = int8;
    const options = [{ attContext: [70, 0] }, { attContext: [70, 6], fastAttContext: [70, 1] }] as const;
    const all = [garden, morning].flatMap((samples) => options.map((choice) => ({ samples, choice })));
    const events = all.map((): StreamEvent[] => []);
    for (const [i, { choice }] of all.entries()) set.open(i, choice, (event) => events[i].push(event));
    for (let at = 0, size = 700; at < 36_000; at += size, size = 700 + ((size * 7) % 2111)) {
      for (const [i, { samples }] of all.entries()) if (at < samples.length) set.feed(i, samples.slice(at, at + size));
      await set.runBatch();
    }
    for (const i of all.keys()) set.finish(i);
    while (set.hasWork) await set.runBatch();
    for (const [i, { samples, choice }] of all.entries()) {
      set.close(i);
      expect(rounded(events[i], digits)).toEqual(rounded(await runAlone(int8, samples, choice), digits));
      expect(textOf(events[i])).not.toBe("");
    }
    await int8.release();
  });

  test("ends a stream whose sound gives no numbers, and its batch mates go on", async () => {
    const { encoder } = opened.parts;
    let badSlot: CacheSlot | undefined;
    const parts: StreamParts = {
      ...opened.parts,
      encoder: {
        pool: encoder.pool,
        async encode(chunks) {
          const encoded = await encoder.encode(chunks);
          const row = chunks.findIndex(({ slot }) => slot === badSlot);
          const size = (encoded.projected as Float32Array).length / chunks.length;
          if (row >= 0) encoded.projected?.fill(Number.NaN, row * size, (row + 1) * size);
          return encoded;
        },
      },
    };
    const set = createStreamSet(parts);
    const good: StreamEvent[] = [];
    const options = { attContext: [70, 1] };
    set.open(
      1,
      options,
      () => {},
      undefined,
      (_encoded, _row, { slot }) => {
        badSlot = slot;
      },
    );
    set.open(2, options, (event) => good.push(event));
    for (let at = 0; at < garden.length; at += 8000) {
      if (!set.failure(1)) set.feed(1, garden.slice(at, at + 8000));
      set.feed(2, garden.slice(at, at + 8000));
      while (set.hasWork) await set.runBatch();
    }
    set.finish(2);
    while (set.hasWork) await set.runBatch();
    expect(set.failure(1)).toMatchObject({
      code: "AUDIO_INVALID",
      message: expect.stringMatching(
        /^stream 1: expected numbers from the encoder, got none at step \d+\. Its sound is damaged: check how it is decoded, and open another stream\.$/,
      ),
    });
    expect(() => set.feed(1, garden)).toThrow("expected numbers from the encoder");
    set.close(1);
    set.close(2);
    expect(rounded(good)).toEqual(rounded(await runAlone(opened, garden, options)));
  });

  test("remembers of a long two-speed stream no more than of a short one", async () => {
    const { set, parts } = opened;
    const numTokens: number[] = [];
    set.open(1, { attContext: [70, 1], fastAttContext: [70, 0] }, () => {});
    for (let turn = 0; turn < 4; turn++) {
      set.feed(1, garden);
      set.feed(1, new Float32Array(16_000));
      while (set.hasWork) await set.runBatch();
      const { lanes } = parseStreamState(set.save(1), parts.fingerprint, parts.spec);
      numTokens.push(Math.max(...lanes.map(({ state }) => state.hypothesis.tokens.length)));
    }
    set.close(1);
    expect(Math.max(...numTokens.slice(1))).toBeLessThan(numTokens[0] + 4);
  });
});

describe("createLocalEngine", () => {
  const openEngine = (failing = false) => {
    const encode = () => Promise.reject(new Error("no more memory"));
    const parts = failing ? { ...opened.parts, encoder: { ...opened.parts.encoder, encode } } : opened.parts;
    return createLocalEngine(parts, createStreamSet(parts), { release: async () => {} });
  };

  test("does what it is asked in order, also when its caller does not wait", async () => {
    const run = async (waits: boolean) => {
      const engine = openEngine();
      const events: StreamEvent[] = [];
      const stream = await engine.open({ attContext: [70, 0] }, (event) => events.push(event));
      const asked: Promise<unknown>[] = [];
      const ask = async (action: () => Promise<unknown>) => {
        const done = action();
        asked.push(done);
        if (waits) await done;
      };
      const part = garden.slice(0, 16_000);
      await ask(() => stream.feed(part));
      await ask(() => stream.endUtterance());
      await ask(() => stream.feed(part));
      await ask(() => stream.save());
      await ask(() => stream.feed(garden.slice(16_000)));
      part.fill(9); // What was fed is the stream's own.
      await ask(() => stream.finish());
      await Promise.all(asked);
      await engine.close();
      return rounded(events);
    };
    // The second feed would see 9 where the caller waits: it is given before.
    expect(await run(false)).toEqual(await run(true));
  });

  test("tells everyone who waits when a batch fails, and when the engine is closed", async () => {
    const failing = openEngine(true);
    const stream = await failing.open({}, () => {});
    await expect(stream.feed(garden).then(() => stream.finish())).rejects.toThrow("no more memory");
    await expect(failing.open({}, () => {})).rejects.toThrow("no more memory");
    await stream.close();
    await failing.drain();
    const engine = openEngine();
    const open = await engine.open({}, () => {});
    const finishing = open.feed(garden).then(() => open.finish());
    await engine.close();
    await expect(finishing).rejects.toMatchObject({ code: "CLOSED" });
    await open.close();
    await expect(open.feed(garden)).rejects.toMatchObject({
      code: "CLOSED",
      message: `stream ${open.id}: expected an open stream, got one that has ended. Open another.`,
    });
  });

  test("ends only the stream whose receiver throws", async () => {
    const engine = openEngine();
    const events: StreamEvent[] = [];
    const bad = await engine.open({ attContext: [70, 0] }, () => {
      throw new Error("receiver");
    });
    const good = await engine.open({ attContext: [70, 0] }, (event) => events.push(event));
    await Promise.allSettled([bad.feed(garden), good.feed(garden)]);
    await expect(bad.finish()).rejects.toThrow("receiver");
    await bad.close();
    await good.finish();
    expect(rounded(events)).toEqual(rounded(await runAlone(opened, garden, { attContext: [70, 0] })));
    await engine.drain();
  });
});
