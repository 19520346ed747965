// Child of run.mjs: our recogniser on some waveforms, one pass a message.
import { loadModel } from "@nemo-stt/node";
import { benchWaveforms } from "./waveforms.mjs";

const [model, precision, head] = process.argv.slice(2);
const recognizer = await loadModel(model, { precision });
const waveforms = await benchWaveforms();
process.on("message", async () => {
  const start = performance.now();
  await recognizer.transcribe(waveforms, { head });
  process.send({ ms: performance.now() - start, rssBytes: process.memoryUsage.rss() });
});
process.send({ isReady: true });
