// Answers every run with its graph's number, and dies of graph 13.
import { parentPort } from "node:worker_threads";

parentPort.on("message", ({ id, kind, graph }) => {
  if (graph === 13) throw new Error("thirteen");
  if (graph === 14) process.exit(3);
  parentPort.postMessage({ id, value: { kind, graph } });
});
