// Streams every recording of a manifest in every latency mode and with both heads, and compares the words with those of
// `transcribe` with the same attention context. Prints the word error rate of each mode.
//   npm run verify:streams -- [--quick] [--write] [--int8] [MANIFEST]
// Without a manifest: ../shared/audio/manifest.json, and where that is not there, the project's own examples.
// --quick: the first twelve recordings. --write: puts the table into docs/streaming.md. --int8: both with 8-bit weights,
// where words may differ, because whole recordings and chunks are computed by operators that round otherwise.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  addErrors,
  compareWords,
  errorRate,
  mixChannels,
  NO_ERRORS,
  openLocalEngine,
  splitWords,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, loadModel, nodeRuntime, openAudio, openModel, toModelInput } from "@nemo-stt/node";
import { fillMarked } from "./marked.mjs";

const root = join(import.meta.dirname, "..");
const args = process.argv.slice(2);
const isQuick = args.includes("--quick");
const precision = args.includes("--int8") ? "int8" : "float32";
const shared = join(root, "..", "shared", "audio", "manifest.json");
const own = join(root, "examples", "audio", "manifest.jsonl");
const manifest = args.find((argument) => !argument.startsWith("--")) ?? (existsSync(shared) ? shared : own);
const entries = readFileSync(manifest, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line))
  .slice(0, isQuick ? 12 : undefined);

/** Streams that are open at a time. */
const NUM_OPEN = 24;
/** Packets in seconds: from less than a frame to more than a chunk, none a multiple of another. */
const PACKETS = [0.0031, 0.0197, 0.1013, 0.317, 1.709];

const model = await openModel(BUNDLED_MODELS.speech, { precision });
const recognizer = await loadModel(BUNDLED_MODELS.speech, { precision });
const now = () => performance.now() / 1000;
const engine = await openLocalEngine(model, nodeRuntime(), { now, maxStreams: NUM_OPEN, maxPendingSec: 0.5 });
const recordings = await Promise.all(entries.map(read));
const { ctc, transducer } = model.spec.heads;
const heads = [...(transducer ? ["transducer"] : []), ...(ctc ? ["ctc"] : [])];
const rows = [];
let numDifferent = 0;
for (const mode of engine.modes) rows.push({ mode, byHead: await runMode(mode) });
const [slow] = engine.modes;
const fast = engine.modes.at(-1);
if (slow !== fast) rows.push({ mode: slow, fast, byHead: await runMode(slow, fast.attContext) });
await Promise.all([engine.close(), recognizer.close()]);
console.log(table());
if (args.includes("--write")) writeTable();
console.log(`${numDifferent} differences`);
process.exitCode = numDifferent > 0 && precision === "float32" ? 1 : 0;

/** Samples as a sound card gives them, at the recording's own rate, and as `transcribe` hears them. */
async function read({ audio_filepath: path, text }) {
  const audio = await openAudio(join(dirname(manifest), path));
  const channels = await audio.channels();
  const [waveform] = await toModelInput(audio, recognizer.spec.sampleRateHz);
  await audio.close();
  return { path, text, samples: mixChannels(channels), sampleRateHz: audio.sampleRateHz, waveform };
}

async function runMode({ attContext }, fastAttContext) {
  const byHead = {};
  for (const head of heads) {
    const expected = await recognizer.transcribe(
      recordings.map(({ waveform }) => waveform),
      { attContext, head },
    );
    const found = await streamAll({ attContext, fastAttContext, head });
    let errors = NO_ERRORS;
    let numEqual = 0;
    for (const [i, { path, text }] of recordings.entries()) {
      errors = addErrors(errors, compareWords(text ?? "", found[i], "manifest"));
      if (sameWords(found[i], expected[i].text)) numEqual++;
      else console.log(`  ${path}\n    transcribe ${expected[i].text}\n    stream     ${found[i]}`);
    }
    numDifferent += recordings.length - numEqual;
    const fastNote = fastAttContext ? ` with interims of [${fastAttContext}]` : "";
    console.log(
      `[${attContext}]${fastNote} ${head}: ${numEqual} of ${recordings.length} as transcribe, word error rate ${percent(errors)}`,
    );
    byHead[head] = { numEqual, errors };
  }
  return byHead;
}

function sameWords(a, b) {
  return JSON.stringify(splitWords(a, "none")) === JSON.stringify(splitWords(b, "none"));
}

function percent(errors) {
  return `${(100 * errorRate(errors)).toFixed(1)} %`;
}

/** Every recording, so many at a time, in packets of sizes that differ from stream to stream. */
async function streamAll(options) {
  const texts = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: NUM_OPEN }, async () => {
      while (next < recordings.length) {
        const i = next++;
        texts[i] = await streamOne(recordings[i], options, PACKETS[i % PACKETS.length]);
      }
    }),
  );
  return texts;
}

async function streamOne({ samples, sampleRateHz }, options, packetSec) {
  let text = "";
  const stream = await engine.open({ ...options, sampleRateHz }, (event) => {
    if (event.type === "final") text += `${event.joinsPrevious ? "" : " "}${event.text}`;
  });
  const size = Math.round(packetSec * sampleRateHz);
  for (let at = 0; at < samples.length; at += size) await stream.feed(samples.subarray(at, at + size));
  await stream.finish();
  return text.trim();
}

function table() {
  const name = ({ mode, fast: second }) =>
    second ? `[${mode.attContext}], interims of [${second.attContext}]` : `[${mode.attContext}]`;
  const cells = rows.map((row) => [
    name(row),
    `${Math.round(row.mode.chunkSec * 1000)} ms`,
    ...heads.flatMap((head) => [
      percent(row.byHead[head].errors),
      `${row.byHead[head].numEqual} of ${recordings.length}`,
    ]),
  ]);
  const header = ["mode", "chunk", ...heads.flatMap((head) => [`${head}: word error rate`, "words as transcribe"])];
  const minutes = recordings.reduce((sum, { samples, sampleRateHz }) => sum + samples.length / sampleRateHz, 0) / 60;
  const lines = [header, header.map(() => "---"), ...cells].map((line) => `| ${line.join(" | ")} |`);
  return `${lines.join("\n")}\n\n${recordings.length} recordings, ${minutes.toFixed(1)} minutes, ${model.name}${precision === "int8" ? " in 8 bits" : ""}, error rates after the manifest normalizer, endpoints by the decoder's silence, packets of ${PACKETS.map((sec) => Math.round(sec * 1000)).join(", ")} ms.`;
}

function writeTable() {
  const path = join(root, "docs", "streaming.md");
  const name = precision === "int8" ? "modes-int8" : "modes";
  writeFileSync(path, fillMarked(readFileSync(path, "utf8"), name, table(), "docs/streaming.md"));
}
