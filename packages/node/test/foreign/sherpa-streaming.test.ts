import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  addErrors,
  compareWords,
  decodeRows,
  type Encoded,
  errorRate,
  type FeatureBatch,
  float32,
  int64,
  NO_ERRORS,
  type Recognizer,
  type Tensor,
} from "@nemo-stt/core";
import { afterAll, describe, expect, test } from "vitest";
import { nodeRuntime } from "../../src/runtime.ts";
import {
  recordings as all,
  bundled,
  exported,
  type Files,
  openForeign,
  readPcm16,
  root,
  writeFolder,
} from "./files.ts";
import { hasSherpa } from "./platform.ts";
import { sherpaFeatures } from "./sherpa-features.ts";

const run = promisify(execFile);
const peer = fileURLToPath(new URL("bench/sherpa-stream-peer.mjs", root));
/** What the peer adds behind each recording. */
const TAIL_SAMPLES = 12_800;

const recordings = all.slice(1);

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

/** What the unmodified npm package writes from streams. */
async function sherpaTexts(files: Files, head: "ctc" | "rnnt"): Promise<string[]> {
  const folder = await writeFolder(files);
  folders.push(folder);
  const { stdout } = await run(process.execPath, [peer, folder, head, ...recordings.map((url) => fileURLToPath(url))]);
  return (JSON.parse(stdout) as { texts: string[] }).texts;
}

function withTail(samples: Float32Array): Float32Array {
  const longer = new Float32Array(samples.length + TAIL_SAMPLES);
  longer.set(samples);
  return longer;
}

/** Columns `[start, start + count)` of `[mel, frame]`. */
function columns({ data, numMels, numFrames }: FeatureBatch, start: number, count: number): Tensor {
  const window = new Float32Array(numMels * count);
  for (let m = 0; m < numMels; m++) {
    window.set(data.subarray(m * numFrames + start, m * numFrames + start + count), m * count);
  }
  return float32(window, [1, numMels, count]);
}

/** What an exported streaming graph gives for features, called as sherpa-onnx calls it: `[row, channel]` of each chunk. */
async function streamedChunks(bytes: Uint8Array, features: FeatureBatch): Promise<Tensor[]> {
  const graph = await nodeRuntime().load({ bytes });
  const sizes = (name: string) => [1, 2, 3].map((i) => Number(graph.metadata[`${name}_dim${i}`]));
  const zeros = (dims: readonly number[]) =>
    float32(new Float32Array(dims.reduce((product, n) => product * n, 1)), dims);
  let caches: Record<string, Tensor> = {
    cache_last_channel: zeros([1, ...sizes("cache_last_channel")]),
    cache_last_time: zeros([1, ...sizes("cache_last_time")]),
    cache_last_channel_len: int64([0], [1]),
  };
  const window = Number(graph.metadata.window_size);
  const chunks: Tensor[] = [];
  // sherpa-onnx waits for one frame more than it needs, and leaves out what makes no whole chunk.
  for (let at = 0; at + window < features.numFrames; at += Number(graph.metadata.chunk_shift)) {
    const out = await graph.run({
      audio_signal: columns(features, at, window),
      length: int64([window], [1]),
      ...caches,
    });
    caches = {
      cache_last_channel: out.cache_last_channel_next,
      cache_last_time: out.cache_last_time_next,
      cache_last_channel_len: out.cache_last_channel_next_len,
    };
    chunks.push(out.log_probs ?? out.outputs);
  }
  await graph.close();
  return chunks;
}

/** `[1, channel, step]` → `[step, channel]`. */
function stepMajor({ data, dims: [, size, width] }: Tensor): Float32Array {
  const rows = new Float32Array(size * width);
  for (let i = 0; i < rows.length; i++) rows[i] = Number(data[(i % size) * width + Math.floor(i / size)]);
  return rows;
}

/** Our decoder on the RNNT encoder's chunks `[1, channel, step]`. */
async function rnntText({ acoustic, tokenizer, extractor }: Recognizer, files: Files, samples: Float32Array) {
  const features = sherpaFeatures(extractor.spec, samples, "ctc");
  const chunks = await streamedChunks(files.get("streaming-encoder.onnx") as Uint8Array, features);
  const rows = chunks.map(stepMajor);
  const [, size, width] = chunks[0].dims;
  const numSteps = chunks.length * width;
  const projected = new Float32Array(size * numSteps);
  for (const [i, part] of rows.entries()) projected.set(part, i * size * width);
  const encoded = new Float32Array(0);
  const steps: Encoded = { numSteps, lengths: [numSteps], encoded, logProbs: undefined, projected };
  const [hypothesis] = await decodeRows(acoustic, "transducer", steps);
  return tokenizer.decode(hypothesis.tokens).trim();
}

/** The best classes of the CTC graph's chunks `[1, step, class]`, without repetitions and blanks. */
async function ctcText({ tokenizer, extractor }: Recognizer, files: Files, samples: Float32Array) {
  const features = sherpaFeatures(extractor.spec, samples, "streaming-ctc");
  const chunks = await streamedChunks(files.get("streaming-model.onnx") as Uint8Array, features);
  const tokens: number[] = [];
  let last = -1;
  for (const { data, dims } of chunks) {
    const [, numSteps, numClasses] = dims;
    for (let step = 0; step < numSteps; step++) {
      const row = (data as Float32Array).subarray(step * numClasses, (step + 1) * numClasses);
      const best = row.indexOf(Math.max(...row));
      if (best !== last && best !== numClasses - 1) tokens.push(best);
      last = best;
    }
  }
  return tokenizer.decode(tokens).trim();
}

// sherpa-onnx never computes a stream's first two steps and has features of its own; so that texts can be equal, ours are
// made from the same features and from the same steps.
describe.skipIf(!hasSherpa)("the unmodified sherpa-onnx-node, streaming", () => {
  test.each([
    [70, 0],
    [70, 1],
    [70, 13],
  ])("writes our texts with the bundled model in context %i,%i", async (...attContext) => {
    const files = await exported(bundled, "sherpa", attContext);
    await using ours = await openForeign(files);
    const waveforms = recordings.map(readPcm16).map(withTail);
    const rnnt = await Promise.all(waveforms.map((samples) => rnntText(ours, files, samples)));
    const texts = await sherpaTexts(files, "rnnt");
    expect(texts).toEqual(rnnt);
    const ctc = await Promise.all(waveforms.map((samples) => ctcText(ours, files, samples)));
    expect(await sherpaTexts(files, "ctc")).toEqual(ctc);

    const expected = await ours.transcribe(recordings.map(readPcm16), { head: "transducer" });
    const errors = expected.map(({ text }, i) => compareWords(text, texts[i], "none"));
    expect(errorRate(errors.reduce(addErrors, NO_ERRORS))).toBeLessThan(0.2);
  });
});
