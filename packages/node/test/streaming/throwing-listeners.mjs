// Listens to an engine with functions that throw: the process hears of it, and streams go on all the same.

import { Worker } from "node:worker_threads";
import { openEngine } from "@nemo-stt/node";

let numThrown = 0;
process.on("uncaughtException", () => numThrown++);
const fail = () => {
  throw new Error("a listener");
};
const workers = [];
const engine = await openEngine(undefined, {
  numWorkers: 1,
  maxStreams: 1,
  onBatch: fail,
  onCrash: fail,
  createWorker(entry, options) {
    workers.push(new Worker(entry, options));
    return workers.at(-1);
  },
});
const finals = [];
const stream = await engine.open(
  { attContext: [70, 0] },
  (event) => event.type === "final" && finals.push(event.reason),
);
await stream.feed(new Float32Array(16_000));
workers[0].postMessage(13);
await stream.feed(new Float32Array(16_000));
await stream.finish();
await engine.close();
console.log(`${workers.length} threads, thrown: ${numThrown > 2}`);
