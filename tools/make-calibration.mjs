// Measures and calibrates the bundled model's confidences on the maintainers' recordings beside the project, and writes
// the calibration that comes with it and the tables of docs/confidence.md. Half of the recordings are fitted, the other
// half is what the tables tell of. Without the recordings it says so and does nothing.
//   npm run build && node tools/make-calibration.mjs
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  CALIBRATION_SCHEMA,
  calibrateHead,
  fitConfidenceMap,
  judgeTranscript,
  modelOf,
  reportCalibration,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, loadModel, openAudio, toModelInput } from "@nemo-stt/node";
import { fillMarked } from "./marked.mjs";

const root = join(import.meta.dirname, "..");
const manifest = join(root, "..", "shared", "audio", "manifest.json");
if (!existsSync(manifest)) {
  console.log("skipped: needs ../shared with audio/manifest.json");
  process.exit(0);
}
const entries = readFileSync(manifest, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const recognizer = await loadModel();
const { sampleRateHz, decoding } = recognizer.spec;
const waveforms = [];
for (const { audio_filepath } of entries) {
  const audio = await openAudio(join(dirname(manifest), audio_filepath));
  waveforms.push((await toModelInput(audio, sampleRateHz))[0]);
  await audio.close();
}

/** Recordings of one source stand together, so that every second of each source is fitted. */
const sources = [...new Set(entries.map(({ source }) => source))];
const heads = {};
const rows = [];
for (const head of ["transducer", "ctc"]) {
  const results = await recognizer.transcribe(waveforms, { head });
  const judged = results.map((result, i) =>
    judgeTranscript(result, entries[i].text, "manifest", (id) => recognizer.tokenizer.startsWord(id)),
  );
  const order = sources.flatMap((source) => judged.flatMap((each, i) => (entries[i].source === source ? [each] : [])));
  heads[head] = calibrateHead(order).head;
  for (const kind of ["word", "token"]) {
    let place = 0;
    const held = sources.map((source) =>
      entries
        .flatMap((entry, i) => (entry.source === source ? [judged[i]] : []))
        .flatMap((each) => (place++ % 2 === 1 ? each[`${kind}s`] : [])),
    );
    rows.push({ head, kind, source: "all", ...reportCalibration(held.flat(), heads[head][kind]) });
    sources.forEach((source, i) => {
      const others = judged.flatMap((each, k) => (entries[k].source === source ? [] : each[`${kind}s`]));
      const elsewhere = reportCalibration(held[i], fitConfidenceMap(others)).after;
      rows.push({ head, kind, source, elsewhere, ...reportCalibration(held[i], heads[head][kind]) });
    });
  }
}
await recognizer.close();

const rounded = (value) => Number(value.toPrecision(6));
const plain = (maps) =>
  Object.fromEntries(
    Object.entries(maps).map(([kind, { a, b, c }]) => [kind, { a: rounded(a), b: rounded(b), c: rounded(c) }]),
  );
const calibration = {
  schema: CALIBRATION_SCHEMA,
  model: modelOf(recognizer.fingerprint),
  confidence: decoding.confidence,
  heads: { ctc: plain(heads.ctc), transducer: plain(heads.transducer) },
  about: "tools/make-calibration.mjs: nemo-stt-en-tiny, half of the maintainers' recordings",
};
const path = BUNDLED_MODELS.speech.replace(/\.nemo$/, ".calibration.json");
writeFileSync(path, `${JSON.stringify(calibration, undefined, 2)}\n`);

const percent = (value) => `${(100 * value).toFixed(1)} %`;
const table = [
  "| head | of | recordings | number | right | ECE before | ECE after | fitted on other sources | ranking |",
  "|---|---|---|---|---|---|---|---|---|",
  ...rows.map(
    ({ head, kind, source, number, share, before, after, elsewhere, ranking }) =>
      `| ${head} | ${kind}s | ${source} | ${number} | ${percent(share)} | ${percent(before)} | ${percent(after)} | ${elsewhere === undefined ? "" : percent(elsewhere)} | ${ranking.toFixed(3)} |`,
  ),
].join("\n");
const page = join(root, "docs", "confidence.md");
writeFileSync(page, fillMarked(readFileSync(page, "utf8"), "calibration", table, "docs/confidence.md"));
console.log(table);
