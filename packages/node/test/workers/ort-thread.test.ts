import { describe, expect, test } from "vitest";
import { OrtThread } from "../../src/workers/ort-thread.ts";

const entry = new URL("./crashing-worker.mjs", import.meta.url);

describe("OrtThread", () => {
  test("rejects what was under way when the thread crashes, and starts another", async () => {
    const thread = new OrtThread(entry);
    expect(await thread.load(1, { model: "", sessionOptions: {} })).toEqual({ kind: "load", graph: 1 });
    expect(thread.hasGraph(1)).toBe(true);
    const crashing = thread.run(13, {}, [], []);
    const behind = thread.run(2, {}, [], []);
    expect(thread.numPending).toBe(2);
    await expect(crashing).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: "worker: expected an answer, got the end of the thread (thirteen). Run it again: a new thread starts.",
    });
    await expect(behind).rejects.toMatchObject({ code: "RUNTIME_FAILED" });
    expect(thread.numPending).toBe(0);
    expect(thread.hasGraph(1)).toBe(false);
    expect(await thread.run(2, {}, [], [])).toEqual({ kind: "run", graph: 2 });
    await thread.close();
  });

  test("rejects what was under way when the thread exits", async () => {
    const thread = new OrtThread(entry);
    await expect(thread.run(14, {}, [], [])).rejects.toThrow("got the end of the thread (exit code 3)");
    await thread.close();
  });

  test("forgets a graph that could not be loaded", async () => {
    const thread = new OrtThread(entry);
    await expect(thread.load(13, { model: "", sessionOptions: {} })).rejects.toThrow("thirteen");
    expect(thread.hasGraph(13)).toBe(false);
    await thread.close();
  });

  test("close waits for what is under way; requests after it are refused", async () => {
    const thread = new OrtThread(entry);
    const running = thread.run(5, {}, [], []);
    await thread.close();
    expect(await running).toEqual({ kind: "run", graph: 5 });
    await expect(thread.run(5, {}, [], [])).rejects.toMatchObject({
      code: "CLOSED",
      message: "worker: expected an open runtime, got one after `close()`. Make another runtime.",
    });
  });
});
