import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { RunGate } from "../src/run-gate.ts";

const NUM_RUNS = 1;

/** A gate with a run under way. */
function busyGate(maxWaitMs: number) {
  const gate = new RunGate(maxWaitMs);
  const state = new Int32Array(gate.memory);
  Atomics.add(state, NUM_RUNS, 1);
  return { gate, end: () => Atomics.sub(state, NUM_RUNS, 1) };
}

describe("RunGate", () => {
  test("closes at once where no run is under way, and behind one that ends", async () => {
    expect(await new RunGate(10_000).close()).toBe(true);
    expect(new RunGate(10_000).closeNow()).toBe(true);
    const { gate, end } = busyGate(10_000);
    setTimeout(end, 30);
    expect(await gate.close()).toBe(true);
    const left = busyGate(10_000);
    left.gate.abandon();
    expect(left.gate.closeNow()).toBe(true);
  });

  test("waits for one that hangs so long, and no longer, however often it is asked", async () => {
    const { gate, end } = busyGate(100);
    const start = performance.now();
    expect(await gate.close()).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(90);
    const again = performance.now();
    expect([await gate.close(), gate.closeNow()]).toEqual([false, false]);
    expect(performance.now() - again).toBeLessThan(50);
    setTimeout(end, 30);
    await gate.whenFree();
    expect(gate.closeNow()).toBe(true);
    expect(busyGate(50).gate.closeNow()).toBe(false);
  });

  test("is closed, whatever comes to it and sees that", async () => {
    const gate = new RunGate(10_000);
    const comer = `const { workerData } = require("node:worker_threads");
      const state = new Int32Array(workerData);
      for (;;) { Atomics.add(state, ${NUM_RUNS}, 1); Atomics.sub(state, ${NUM_RUNS}, 1); Atomics.notify(state, ${NUM_RUNS}); }`;
    const worker = new Worker(comer, { eval: true, workerData: gate.memory });
    const state = new Int32Array(gate.memory);
    while (Atomics.load(state, NUM_RUNS) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    let numOpen = 0;
    for (let i = 0; i < 20_000; i++) if (!gate.closeNow()) numOpen++;
    for (let i = 0; i < 50; i++) if (!(await gate.close())) numOpen++;
    expect(numOpen).toBe(0);
    await worker.terminate();
  });
});
