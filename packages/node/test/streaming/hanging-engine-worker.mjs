// A thread of an engine that can be told to hang: for ever in JavaScript, for a while inside of a run, or for ever inside of
// one, where nothing can end it.
import { openSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

const NUM_RUNS = 1;

function hang({ hang: where, ms, pipe }) {
  if (where === "script") for (;;);
  const state = new Int32Array(workerData.gate);
  Atomics.add(state, NUM_RUNS, 1);
  // Like a run that hangs, this is not JavaScript: it waits for somebody who writes, and nobody does.
  if (where === "native") openSync(pipe, "r");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  Atomics.sub(state, NUM_RUNS, 1);
}

// In place of the engine's own listener: a second one would take the messages that come while the model is loaded.
const on = parentPort.on.bind(parentPort);
parentPort.on = (name, listener) =>
  on(name, name === "message" ? (message) => (message.hang ? hang(message) : listener(message)) : listener);
await import("../../dist/streaming/engine-worker.js");
