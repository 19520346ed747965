/**
 * Recognises recordings with sherpa-onnx, for comparison: the unmodified `sherpa-onnx-node` on a folder that
 * `nemo-stt export --layout sherpa` wrote.
 *
 *     node bench/sherpa-peer.mjs FOLDER ctc|rnnt|tdt [--passes N] [--threads N] [--features N] WAV…
 *
 * Prints one line of JSON: seconds of audio, wall seconds of every pass (after a first one that is not counted), and the
 * texts. Runs as a process of its own because sherpa-onnx ends its process on any error (status 255, reason on stderr).
 */
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const require = createRequire(import.meta.url);
const sherpa = require("sherpa-onnx-node");
const { version } = require("sherpa-onnx-node/package.json");

const USAGE = "node bench/sherpa-peer.mjs FOLDER ctc|rnnt|tdt [--passes N] [--threads N] [--features N] WAV…";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    passes: { type: "string", default: "1" },
    threads: { type: "string", default: "1" },
    features: { type: "string", default: "80" },
  },
});
const [folder, kind, ...paths] = positionals;
if (!["ctc", "rnnt", "tdt"].includes(kind) || paths.length === 0) {
  console.error(`expected a folder, a kind of model and recordings: ${USAGE}`);
  process.exit(64);
}

const recognizer = new sherpa.OfflineRecognizer({
  featConfig: { sampleRate: 16_000, featureDim: Number(values.features) },
  modelConfig: {
    ...(kind === "ctc"
      ? { nemoCtc: { model: `${folder}/model.onnx` } }
      : {
          transducer: {
            encoder: `${folder}/encoder.onnx`,
            decoder: `${folder}/decoder.onnx`,
            joiner: `${folder}/joiner.onnx`,
          },
          modelType: "nemo_transducer",
        }),
    tokens: `${folder}/tokens.txt`,
    numThreads: Number(values.threads),
    provider: "cpu",
  },
});

const waves = paths.map((path) => sherpa.readWave(path));

function recognize({ sampleRate, samples }) {
  const stream = recognizer.createStream();
  stream.acceptWaveform({ sampleRate, samples });
  recognizer.decode(stream);
  return recognizer.getResult(stream).text.trim();
}

let texts = waves.map(recognize);
const wallSec = [];
for (let pass = 0; pass < Number(values.passes); pass++) {
  const start = performance.now();
  texts = waves.map(recognize);
  wallSec.push((performance.now() - start) / 1000);
}
const audioSec = waves.reduce((sum, { samples, sampleRate }) => sum + samples.length / sampleRate, 0);
console.log(JSON.stringify({ runtime: `sherpa-onnx-node ${version}`, audioSec, wallSec, texts }));
