// Closes an engine whose thread hangs inside of a run, and leaves.
import { Worker } from "node:worker_threads";
import { openEngine } from "@nemo-stt/node";

const [pipe] = process.argv.slice(2);
let worker;
const engine = await openEngine(undefined, {
  numWorkers: 1,
  maxStreams: 1,
  createWorker(_entry, options) {
    worker = new Worker(new URL("./hanging-engine-worker.mjs", import.meta.url), options);
    return worker;
  },
});
await engine.open({}, () => {});
worker.postMessage({ hang: "native", pipe });
await new Promise((resolve) => setTimeout(resolve, 500));
const start = performance.now();
await engine.close();
console.log(`closed after ${Math.round((performance.now() - start) / 1000)} s`);
process.on("exit", (code) => console.log(`exit ${code}`));
process.exitCode = 3;
