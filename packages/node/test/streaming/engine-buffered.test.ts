import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportModel, openBufferedSet, openStreamSet, type StreamEvent, type StreamOptions } from "@nemo-stt/core";
import { afterAll, describe, expect, test } from "vitest";
import {
  BUNDLED_MODELS,
  type Engine,
  folderSink,
  nodeRuntime,
  type OpenEngineOptions,
  openAnyModel,
  openModel,
  withCheckpoint,
} from "../../src/index.ts";
import { openTestEngine, rounded, speech } from "./engine-fixture.ts";

const garden = await speech("garden-slt", 0, 4.5);
const morning = await speech("morning-rms", 0.9, 5);
const buffered = { leftSec: 2, chunkSec: 1, rightSec: 0.8 };
const folder = await mkdtemp(join(tmpdir(), "nemo-stt-buffered-"));
afterAll(() => rm(folder, { recursive: true }));

type OpenSet = (options: StreamOptions, samples: Float32Array) => Promise<StreamEvent[]>;

/** The events of a stream that is alone in a set on the calling thread and fed at once. */
async function alone(
  open: () => ReturnType<typeof openBufferedSet | typeof openStreamSet>,
): Promise<{ run: OpenSet; release(): Promise<void> }> {
  const { set, release } = await open();
  return {
    release,
    async run(options, samples) {
      const events: StreamEvent[] = [];
      set.open(1, options, (event) => events.push(event));
      set.feed(1, samples);
      set.finish(1);
      while (set.hasWork) await set.runBatch();
      set.close(1);
      return events;
    },
  };
}

async function play(engine: Engine, options: StreamOptions, samples: Float32Array, onPacket?: (i: number) => unknown) {
  const events: StreamEvent[] = [];
  const stream = await engine.open(options, (event) => events.push(event));
  for (let at = 0, i = 0; at < samples.length; at += 5000, i++) {
    await onPacket?.(i);
    await stream.feed(samples.slice(at, at + 5000));
  }
  await stream.finish();
  return events;
}

/** Streams of a model in threads have the events of streams that are alone in a set here, also when a thread dies. */
async function expectSame(model: string, options: OpenEngineOptions, streams: readonly StreamOptions[]): Promise<void> {
  const opened = await openAnyModel(model, options);
  const vad = await openModel(BUNDLED_MODELS.vad);
  const reference = await alone(() => openBufferedSet(opened, nodeRuntime(), { now: () => 0, buffered, vad }));
  const engine = await openTestEngine({ numWorkers: 1, maxStreams: 8, snapshotSec: 1, buffered, model, ...options });
  try {
    const waveforms = streams.map((_, i) => (i % 2 === 0 ? garden : morning));
    const found = await Promise.all(
      streams.map((own, i) =>
        play(engine, own, waveforms[i], (packet) => i === 0 && packet === 12 && engine.workers[0].postMessage(13)),
      ),
    );
    for (const [i, own] of streams.entries())
      expect(rounded(found[i])).toEqual(rounded(await reference.run(own, waveforms[i])));
    expect(found.flat().some(({ type }) => type === "final")).toBe(true);
    expect(engine.statistics().threads[0].numRestarts).toBe(1);
  } finally {
    await engine.close();
    await reference.release();
  }
}

describe("an engine in threads", () => {
  test("streams in windows where it is told to, in any company, and when its thread dies", async () => {
    await expectSame(BUNDLED_MODELS.speech, { method: "buffered" }, [
      { attContext: [70, 1] },
      { attContext: [70, 1], head: "ctc", endpoint: { silence: "vad", minSilenceSec: 0.3 } },
      { attContext: [70, 13], endpoint: { silence: "energy", minSilenceSec: 0.3 } },
    ]);
  });

  test("streams graphs of another tool's layout", async () => {
    const place = join(folder, "nemo");
    await withCheckpoint(BUNDLED_MODELS.speech, async (source) => {
      await exportModel(source, await folderSink(place), { layout: "nemo" });
    });
    await expectSame(place, {}, [{ endpoint: { minSilenceSec: 0.3 } }, {}]);
  });

  test("tells of windows, measures what they cost, and refuses what they cannot do", async () => {
    const engine = await openTestEngine({ numWorkers: 1, method: "buffered", buffered });
    expect(engine.model.name).toBe("nemo-stt-en-tiny.nemo");
    expect(engine.modes[1]).toMatchObject({ attContext: [70, 6], chunkSec: 1.12, method: "windows" });
    await play(engine, { attContext: [70, 0] }, garden);
    const { threads, memory, soundSec } = engine.statistics();
    expect(threads[0].load).toBe(0);
    const stream = await engine.open({}, () => {});
    expect(engine.statistics().threads[0].load).toBeGreaterThan(0);
    await stream.close();
    expect(soundSec).toBeGreaterThan(3.5);
    expect(soundSec).toBeLessThan(4.6);
    expect(memory.cacheBytesPerLane).toBeLessThan(2e6);
    await expect(engine.open({ fastAttContext: [70, 0] }, () => {})).rejects.toThrow("windows have one latency");
    await engine.close();
    await expect(openTestEngine({ model: BUNDLED_MODELS.vad })).rejects.toThrow("a classifier. Use it with `vad`.");
  });

  test("ends utterances by the voice activity model, as a stream that is alone does", async () => {
    const model = await openModel(BUNDLED_MODELS.speech);
    const vad = await openModel(BUNDLED_MODELS.vad);
    const reference = await alone(() => openStreamSet(model, nodeRuntime(), { now: () => 0, vad, maxStreams: 1 }));
    const engine = await openTestEngine({ numWorkers: 1, maxStreams: 4 });
    const own: StreamOptions = { attContext: [70, 1], endpoint: { silence: "vad", minSilenceSec: 0.2 } };
    const found = await Promise.all([play(engine, own, garden), play(engine, own, morning)]);
    const expected = [await reference.run(own, garden), await reference.run(own, morning)];
    expect(found.map(rounded)).toEqual(expected.map(rounded));
    expect(found[0].filter((event) => event.type === "final" && event.reason === "silence").length).toBeGreaterThan(0);
    await engine.close();
    const without = await openTestEngine({ numWorkers: 1, maxStreams: 4, vad: false });
    await expect(without.open(own, () => {})).rejects.toThrow(/vad|voice activity/);
    await without.close();
    await reference.release();
  });
});

const goldens = new URL("../../../../../shared/golden/", import.meta.url);

describe.runIf(existsSync(goldens))("an engine in threads with NeMo's own checkpoints", () => {
  test.each(["parakeet-tdt", "conformer-ctc-wpe"])("streams %s", async (name) => {
    await expectSame(new URL(`${name}/model.nemo`, goldens).pathname, {}, [{ endpoint: { minSilenceSec: 0.3 } }, {}]);
  });
});
