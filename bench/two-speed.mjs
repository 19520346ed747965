// What two speeds bring and cost: how long after its end a word is first shown as the final has it, in seconds of sound,
// and the processor time of a second of sound, for a slow mode, a fast one, and the slow one with interims of the fast.
//   npm run build && node bench/two-speed.mjs [--write] [MANIFEST]
// Without a manifest: the project's own examples. --write: puts the table into docs/streaming.md.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { openLocalEngine } from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openAudio, openModel, toModelInput } from "@nemo-stt/node";
import { fillMarked } from "../tools/marked.mjs";

const root = join(import.meta.dirname, "..");
const args = process.argv.slice(2);
const manifest =
  args.find((argument) => !argument.startsWith("--")) ?? join(root, "examples", "audio", "manifest.jsonl");
const PACKET_SEC = 0.08;
/** Streams beside each other while the processor's time is taken, and how often; the least counts. */
const NUM_STREAMS = 16;
const NUM_PASSES = 3;
/** Between packets: enough for every stream's chunk, so that none waits for company that live sound would not bring. */
const PAUSE_MS = 60;

const model = await openModel(BUNDLED_MODELS.speech);
const now = () => performance.now() / 1000;
const engine = await openLocalEngine(model, nodeRuntime(), { now, maxStreams: NUM_STREAMS });
const { sampleRateHz } = engine;
const waveforms = await Promise.all(
  readFileSync(manifest, "utf8")
    .trim()
    .split("\n")
    .map((line) => read(JSON.parse(line))),
);
const slow = engine.modes[0].attContext;
const fast = engine.modes.at(-1).attContext;
const kinds = [
  { name: `[${slow}]`, options: { attContext: slow } },
  { name: `[${fast}]`, options: { attContext: fast } },
  { name: `[${slow}], interims of [${fast}]`, options: { attContext: slow, fastAttContext: fast } },
];
const rows = [];
for (const { name, options } of kinds) {
  const delays = [];
  for (const waveform of waveforms) delays.push(...delaysOf(await eventsOf(waveform, options)));
  rows.push({ name, delays: delays.sort((a, b) => a - b), cpu: await processorSec(options) });
}
await engine.close();
console.log(table());
if (args.includes("--write")) writeTable();

async function read({ audio_filepath: path }) {
  const audio = await openAudio(join(dirname(manifest), path));
  const [waveform] = await toModelInput(audio, sampleRateHz);
  await audio.close();
  return waveform;
}

/** The events of a stream alone: what can be said of a packet is said before the next one. */
async function eventsOf(sound, options) {
  const events = [];
  const stream = await engine.open(options, (event) => events.push(event));
  for (const packet of packetsOf(sound)) {
    await stream.feed(packet);
    await stream.save();
  }
  await stream.finish();
  return events;
}

function packetsOf(sound) {
  const size = Math.round(PACKET_SEC * sampleRateHz);
  return Array.from({ length: Math.ceil(sound.length / size) }, (_, i) => sound.slice(i * size, (i + 1) * size));
}

/** For each word of the finals: from its end to the first event that shows it so. */
function delaysOf(events) {
  const words = events.filter(({ type }) => type === "final").flatMap((final) => final.words);
  const shown = [];
  let numFinal = 0;
  for (const event of events) {
    event.words.forEach(({ text }, i) => {
      const place = numFinal + i;
      if (words[place]?.text === text) shown[place] ??= event.heardSec;
    });
    if (event.type === "final") numFinal += event.words.length;
  }
  return words.map(({ endSec }, i) => shown[i] - endSec);
}

/** Processor time of a second of sound. */
async function processorSec(options) {
  const [sound] = waveforms;
  let least = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < NUM_PASSES; pass++) {
    const before = process.cpuUsage();
    await feedInTime(sound, options);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1e6);
  }
  return least / ((NUM_STREAMS * sound.length) / sampleRateHz);
}

/** A packet of every stream at a time, as live sound comes. */
async function feedInTime(sound, options) {
  const streams = await Promise.all(Array.from({ length: NUM_STREAMS }, () => engine.open(options, () => {})));
  for (const packet of packetsOf(sound)) {
    await Promise.all(streams.map((stream) => stream.feed(packet)));
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await Promise.all(streams.map((stream) => stream.finish()));
}

function table() {
  const at = (values, share) => values[Math.min(values.length - 1, Math.floor(share * values.length))];
  const ms = (sec) => `${Math.round(sec * 1000)} ms`;
  const lines = rows.map(({ name, delays, cpu }) => {
    const cost = `${(cpu * 1000).toFixed(1)} ms`;
    return `| ${name} | ${ms(at(delays, 0.5))} | ${ms(at(delays, 0.9))} | ${cost} | ${(cpu / rows[0].cpu).toFixed(2)} × |`;
  });
  const numWords = rows[0].delays.length;
  return [
    "| mode | a word is shown after its end: median | nine of ten | processor time, a second of sound | to the slow mode alone |",
    "|---|---|---|---|---|",
    ...lines,
    "",
    `${numWords} words of ${waveforms.length} recordings in packets of ${PACKET_SEC * 1000} ms, in seconds of sound; a word counts from when it is shown as its final has it, and ends with the step of its last token, which is computed when the first 10 of its 80 ms are heard. Processor time of the first recording in ${NUM_STREAMS} streams beside each other, whose packets come together and in time (${cpus()[0]?.model.trim()}). nemo-stt-en-tiny.nemo.`,
  ].join("\n");
}

function writeTable() {
  const path = join(root, "docs", "streaming.md");
  writeFileSync(path, fillMarked(readFileSync(path, "utf8"), "two-speed", table(), "docs/streaming.md"));
}
