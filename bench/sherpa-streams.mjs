// sherpa-onnx's streaming recogniser on a folder that `export --layout sherpa --att-context L,R` wrote.
import { createRequire } from "node:module";
import { join } from "node:path";

const sherpa = createRequire(import.meta.url)("sherpa-onnx-node");

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
    featConfig: { sampleRate: 16_000, featureDim: 80 },
    modelConfig: { ...kind, tokens: file("tokens.txt"), numThreads: 1, provider: "cpu", debug: 0 },
    decodingMethod: "greedy_search",
    enableEndpoint: false,
  });
}
