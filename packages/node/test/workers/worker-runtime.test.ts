import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { float32 } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { workerRuntime } from "../../src/index.ts";
import { affineGraph, slowGraph } from "../graphs.ts";

const row = (...values: number[]) => float32(Float32Array.from(values), [1, values.length]);

describe("workerRuntime", () => {
  test("runs side by side, each run with its own numbers", async () => {
    const runtime = workerRuntime({ numWorkers: 2 });
    const squares = await runtime.load({ bytes: await affineGraph(0) });
    const shifted = await runtime.load({ bytes: await affineGraph(100) });
    const inputs = Array.from({ length: 20 }, (_, i) => i);
    const results = await Promise.all(
      inputs.map((i) => (i % 2 === 0 ? squares : shifted).run({ x: row(i, i + 1, i + 2) }, ["y"])),
    );
    for (const i of inputs) {
      const bias = i % 2 === 0 ? 0 : 100;
      expect(results[i].y.data).toEqual(Float32Array.from([i, i + 1, i + 2], (x) => x * x + bias));
    }
    await runtime.close();
  });

  test("leaves the event loop free during a run", async () => {
    const runtime = workerRuntime({ numWorkers: 1 });
    const session = await runtime.load({ bytes: await slowGraph(200) });
    let numTurns = 0;
    let isDone = false;
    const turn = () => {
      numTurns++;
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    const { y } = await session.run({ x: float32(new Float32Array(64 * 512).fill(2), [64, 512]) });
    isDone = true;
    expect(y.data[0]).toBeCloseTo(2, 3);
    // A run on this thread leaves at most a turn before and a turn after it.
    expect(numTurns).toBeGreaterThan(20);
    await runtime.close();
  });

  test("takes the memory of feeds when told, and copies what is part of a larger buffer", async () => {
    const runtime = workerRuntime({ numWorkers: 1, feeds: "transfer" });
    const session = await runtime.load({ bytes: await affineGraph() });
    const whole = row(1, 2, 3);
    const part = float32(Float32Array.of(0, 1, 2, 3).subarray(1), [1, 3]);
    expect((await session.run({ x: whole })).y.data).toEqual(Float32Array.of(2, 5, 10));
    expect((await session.run({ x: part })).y.data).toEqual(Float32Array.of(2, 5, 10));
    expect(whole.data.length).toBe(0);
    expect(part.data).toEqual(Float32Array.of(1, 2, 3));
    await expect(session.run({ x: whole })).rejects.toMatchObject({ code: "RUNTIME_FAILED" });
    await runtime.close();
  });

  test("close waits for the runs under way and refuses what comes later", async () => {
    const runtime = workerRuntime({ numWorkers: 2 });
    const bytes = await affineGraph();
    const session = await runtime.load({ bytes });
    const running = session.run({ x: row(1, 2, 3) });
    await runtime.close();
    await runtime.close();
    expect((await running).y.data).toEqual(Float32Array.of(2, 5, 10));
    await expect(session.run({ x: row(1, 2, 3) })).rejects.toMatchObject({ code: "CLOSED" });
    await expect(runtime.load({ bytes })).rejects.toMatchObject({ code: "CLOSED" });
    await session.close();
  });

  test.each([20, 150, 400])("lets a process end while its threads are inside of runs, after %d ms", async (ms) => {
    const script = new URL("./leave.mjs", import.meta.url).pathname;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, `${ms}`]);
    expect([stdout, stderr]).toEqual(["leaving\n", ""]);
  });

  test("refuses a number of workers that is none", () => {
    expect(() => workerRuntime({ numWorkers: 0 })).toThrow(
      new RangeError("options.numWorkers: expected a positive integer, got 0. Leave it out, or give one."),
    );
  });
});
