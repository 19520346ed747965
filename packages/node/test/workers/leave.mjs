// Leaves while graphs are loaded or run, as soon as told.
import { loadModel, workerRuntime } from "@nemo-stt/node";

const model = await loadModel(undefined, { runtime: workerRuntime({ numWorkers: 2 }) });
for (let i = 0; i < 6; i++) void model.transcribe([new Float32Array(480_000)]);
setTimeout(() => {
  console.log("leaving");
  process.exit(0);
}, Number(process.argv[2]));
