import type { StreamOptions } from "@nemo-stt/core";
import { describe, expect, it } from "vitest";
import { FINAL_MARK, STT_UP, TcpSink } from "../../src/index.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";
import { app, blocks, chunks, noise, start, until } from "./harness.ts";

describe("sessions over the gateway", () => {
  it("gives the text of the sound, then the mark, then the end", async () => {
    const started = await start();
    const sound = noise(1.25);
    const one = app(started, "c1");
    for (const { bytes, timestampMs } of blocks(sound, 3200)) await one.composite.submit(bytes, timestampMs);
    await one.composite.submitMark();
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.shape()).toBe([...(await hashFinals(sound, 16_000)), "#", "$"].join(" | "));
    expect(one.items.filter((item) => item.kind === "tuple" && !item.tuple.isFinal).length).toBeGreaterThan(10);
  });

  it("has sessions heard as it is told, in the context that their id asks for", async () => {
    const heard: StreamOptions[] = [];
    const engine = hashEngine();
    const open: typeof engine.open = (options, ...rest) => {
      heard.push(options);
      return engine.open(options, ...rest);
    };
    const endpoint = { silence: "vad", onset: 0.7 } as const;
    const started = await start({
      engine: Object.assign(Object.create(engine), { open }),
      endpoint,
      attContext: [70, 1],
    });
    for (const id of ["c1", "c2?attContext=70,13"]) {
      const one = app(started, id);
      await one.composite.submit(new Uint8Array(3200), 0);
      await one.composite.submitFinal();
      await one.composite.done;
    }
    expect(heard).toEqual([
      // At the start, to see whether the model has it.
      { attContext: [70, 1] },
      { sampleRateHz: 16_000, endpoint, attContext: [70, 1] },
      { sampleRateHz: 16_000, endpoint, attContext: [70, 13] },
    ]);
  });

  it("flushes a tail without a mark before the end, and marks it", async () => {
    const started = await start();
    const sound = noise(0.33, 7);
    const one = app(started, "c1");
    for (const { bytes, timestampMs } of blocks(sound, 999)) await one.composite.submit(bytes, timestampMs);
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.shape()).toBe(`${(await hashFinals(sound, 16_000)).join(" | ")} | # | $`);
  });

  it("begins anew after every mark, whatever the blocks", async () => {
    const started = await start();
    const windows = [noise(0.5, 1), noise(0.7, 2), noise(0.2, 3)];
    const expected = (await Promise.all(windows.map((sound) => hashFinals(sound, 16_000)))).flatMap((w) => [...w, "#"]);
    for (const blockBytes of [1501, 16_000]) {
      const one = app(started, `w${blockBytes}`);
      for (const sound of windows) {
        for (const { bytes, timestampMs } of blocks(sound, blockBytes)) await one.composite.submit(bytes, timestampMs);
        await one.composite.submitMark();
      }
      await one.composite.submitFinal();
      await one.composite.done;
      expect(one.shape()).toBe([...expected, "$"].join(" | "));
    }
  });

  it("keeps sessions apart and ends each once, in one connection or in many", async () => {
    const started = await start();
    const apps = [1, 2, 3, 4, 5].map((n) => ({ sound: noise(0.6 + n / 10, n), one: app(started, `s${n}`) }));
    await Promise.all(
      apps.map(async ({ sound, one }) => {
        for (const { bytes, timestampMs } of blocks(sound, 3200)) await one.composite.submit(bytes, timestampMs);
        await one.composite.submitFinal();
        await one.composite.done;
      }),
    );
    for (const { sound, one } of apps)
      expect(one.shape()).toBe([...(await hashFinals(sound, 16_000)), "#", "$"].join(" | "));
    expect(started.events.filter((event) => event.type === "session-ended").length).toBe(5);
    expect(started.events.filter((event) => event.type === "call-ended").length).toBe(5);
  });

  it("marks a window in which nothing was said", async () => {
    const started = await start();
    const one = app(started, "quiet");
    await one.composite.submit(new Uint8Array(32_000), 0);
    await one.composite.submitMark();
    await one.composite.submitMark();
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.shape()).toBe("# | $");
  });

  it("shows a reader that comes late everything, then goes on live", async () => {
    const started = await start();
    const sound = noise(1, 5);
    const early = app(started, "c1");
    const halves = [...blocks(sound, 3200)];
    for (const { bytes, timestampMs } of halves.slice(0, 5)) await early.composite.submit(bytes, timestampMs);
    await until(() => early.items.length >= 4);
    const second = app(started, "c1");
    for (const { bytes, timestampMs } of halves.slice(5)) await early.composite.submit(bytes, timestampMs);
    await early.composite.submitFinal();
    await Promise.all([early.composite.done, second.composite.done]);
    expect(second.items).toEqual(early.items);
  });

  it("serves a reader that comes when everything is over", async () => {
    const started = await start();
    const sound = noise(0.5, 5);
    const sink = new TcpSink(STT_UP, started.audio);
    for (const chunk of chunks("c1", sound)) await sink.submit(chunk);
    await sink.submit(FINAL_MARK);
    const reader = app(started, "c1");
    await reader.composite.done;
    expect(reader.shape()).toBe([...(await hashFinals(sound, 16_000)), "#", "$"].join(" | "));
    // It has everything: the same name can be used again, and its reader sees nothing of what was.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const again = app(started, "c1");
    await new Promise((resolve) => setTimeout(resolve, 50));
    await again.composite.submit(new Uint8Array(32_000), 0);
    await again.composite.submitFinal();
    await again.composite.done;
    expect(again.shape()).toBe("# | $");
  });
});
