// Child of run.mjs: sherpa-onnx on the same waveforms, one pass a message. Its Node interface decodes one recording at a
// time; features, encoder and decoding run in its own native code on one thread.
import { createRequire } from "node:module";
import { join } from "node:path";
import { benchWaveforms } from "./waveforms.mjs";

const sherpa = createRequire(import.meta.url)("sherpa-onnx-node");
const [folder, head] = process.argv.slice(2);
const file = (name) => join(folder, name);
const kind =
  head === "ctc"
    ? { nemoCtc: { model: file("model.onnx") } }
    : {
        transducer: { encoder: file("encoder.onnx"), decoder: file("decoder.onnx"), joiner: file("joiner.onnx") },
        modelType: "nemo_transducer",
      };
const recognizer = new sherpa.OfflineRecognizer({
  modelConfig: { ...kind, tokens: file("tokens.txt"), numThreads: 1, provider: "cpu", debug: 0 },
});
const waveforms = await benchWaveforms();
process.on("message", () => {
  const start = performance.now();
  for (const samples of waveforms) {
    const stream = recognizer.createStream();
    stream.acceptWaveform({ sampleRate: 16000, samples });
    recognizer.decode(stream);
    recognizer.getResult(stream);
  }
  process.send({ ms: performance.now() - start, rssBytes: process.memoryUsage.rss() });
});
process.send({ isReady: true });
