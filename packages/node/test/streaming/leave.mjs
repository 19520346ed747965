// Leaves while batches are computed.
import { openEngine } from "@nemo-stt/node";

const engine = await openEngine(undefined, { numWorkers: 2, maxStreams: 16 });
for (let i = 0; i < 16; i++) {
  const stream = await engine.open({ attContext: [70, 13] }, () => {});
  void stream.feed(new Float32Array(160_000)).catch(() => {});
}
setTimeout(() => {
  console.log("leaving");
  process.exit(0);
}, 150);
