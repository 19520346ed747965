// sherpa-onnx's streaming recogniser on a folder that `export --layout sherpa --att-context L,R` wrote.
import { createRequire } from "node:module";
import { join } from "node:path";
import { loopedAudio } from "./waveforms.mjs";

const sherpa = createRequire(import.meta.url)("sherpa-onnx-node");

const SAMPLE_RATE_HZ = 16_000;

/** One thread, greedy, no endpoints: the least work that sherpa-onnx can do. */
export function openStreamRecognizer(folder, head) {
  const file = (name) => join(folder, name);
  const kind =
    head === "ctc"
      ? { nemoCtc: { model: file("streaming-model.onnx") } }
      : {
          transducer: {
            encoder: file("streaming-encoder.onnx"),
            decoder: file("decoder.onnx"),
            joiner: file("joiner.onnx"),
          },
        };
  return new sherpa.OnlineRecognizer({
    featConfig: { sampleRate: SAMPLE_RATE_HZ, featureDim: 80 },
    modelConfig: { ...kind, tokens: file("tokens.txt"), numThreads: 1, provider: "cpu", debug: 0 },
    decodingMethod: "greedy_search",
    enableEndpoint: false,
  });
}

/** A driver (`streaming-load.mjs`) of sherpa-onnx's streams: all that are ready are decoded in one batch. */
export async function openSherpaStreams(folder, { numStreams, attContext, head, stepSamples }) {
  const audio = await loopedAudio();
  const recognizer = openStreamRecognizer(folder, head);
  const streams = Array.from({ length: numStreams }, () => recognizer.createStream());
  const chunkSamples = (attContext[1] + 1) * stepSamples;
  const feed = (id, samples) => streams[id].acceptWaveform({ sampleRate: SAMPLE_RATE_HZ, samples });
  const step = async () => {
    const ready = streams.flatMap((stream, id) => (recognizer.isReady(stream) ? [id] : []));
    if (ready.length > 0) recognizer.decodeStreams(ready.map((id) => streams[id]));
    for (const id of ready) recognizer.getResult(streams[id]);
    return ready;
  };
  // So much that each further chunk of sound completes one of the encoder's.
  for (let id = 0; id < numStreams; id++) feed(id, audio(id, 0, chunkSamples + 3 * stepSamples));
  while ((await step()).length > 0);
  return {
    chunkSec: chunkSamples / SAMPLE_RATE_HZ,
    feed,
    isReady: (id) => recognizer.isReady(streams[id]),
    step,
    close() {},
  };
}
