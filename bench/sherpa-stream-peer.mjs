/**
 * Streams recordings through sherpa-onnx, for comparison: the unmodified `sherpa-onnx-node` on the streaming graphs that
 * `nemo-stt export --layout sherpa --att-context L,R` wrote.
 *
 *     node bench/sherpa-stream-peer.mjs FOLDER ctc|rnnt WAV…
 *
 * Each recording comes in packets of 100 ms with 0.8 s of silence behind it, because sherpa-onnx never computes the last
 * incomplete chunk. Prints one line of JSON: the texts. A process of its own, because sherpa-onnx ends its process on
 * any error.
 */
import { createRequire } from "node:module";
import { openStreamRecognizer } from "./sherpa-streams.mjs";

const PACKET_SAMPLES = 1600;
const TAIL_SAMPLES = 12_800;

const [folder, head, ...paths] = process.argv.slice(2);
const sherpa = createRequire(import.meta.url)("sherpa-onnx-node");
const recognizer = openStreamRecognizer(folder, head);

function textOf(path) {
  const { sampleRate, samples } = sherpa.readWave(path);
  const stream = recognizer.createStream();
  const take = (part) => {
    stream.acceptWaveform({ sampleRate, samples: part });
    while (recognizer.isReady(stream)) recognizer.decode(stream);
  };
  for (let at = 0; at < samples.length; at += PACKET_SAMPLES) take(samples.slice(at, at + PACKET_SAMPLES));
  take(new Float32Array(TAIL_SAMPLES));
  stream.inputFinished();
  while (recognizer.isReady(stream)) recognizer.decode(stream);
  return recognizer.getResult(stream).text.trim();
}

console.log(JSON.stringify({ texts: paths.map(textOf) }));
