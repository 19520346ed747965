// The benchmark: ours and sherpa-onnx on the same weights, in turn, on one core, ratios first.
//   npm run bench -- [--json FILE] [--resume] [--only TEXT] [--passes N] [--day-seconds N]
//                    [--nemo-exports DIR] [--nemo-streaming-exports DIR] [--streaming-model FILE.nemo]
// Every measurement has a label (printed as it begins): --only runs those whose label contains TEXT, --resume leaves out
// those that FILE has; in both cases FILE keeps its other rows. FILE is written after every measurement.
// Without more, sherpa-onnx runs our own export of the weights (layout sherpa) and large models have random weights of the
// published geometry. Its users run graphs that NeMo exported and the usual dynamic quantisation made small:
// --nemo-exports and --nemo-streaming-exports name folders of such files (bench/nemo-exports.py, nemo-streaming-exports.py).
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { isPinned } from "./children.mjs";
import { clockName } from "./clock.mjs";
import { machineName } from "./machine.mjs";
import { makeCheckpoint } from "./make-checkpoint.mjs";
import { measureExport, measureOffline } from "./offline.mjs";
import { measureDay, measureStreaming } from "./streaming.mjs";
import { tableOf } from "./tables.mjs";

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    resume: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    passes: { type: "string", default: "7" },
    "day-seconds": { type: "string", default: "90" },
    "nemo-exports": { type: "string" },
    "nemo-streaming-exports": { type: "string" },
    "streaming-model": { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "nemo-stt-bench-"));
process.env.NEMO_STT_CACHE = join(folder, "cache");
const isPartial = values.resume || values.only !== "";
const kept = isPartial && values.json && existsSync(values.json) ? JSON.parse(readFileSync(values.json, "utf8")) : {};

/** Measurements by label: what they add to which list. */
const measured = new Map(Object.entries(kept.measured ?? {}));
const notMeasured = new Map();

async function run(label, measure) {
  if (!label.includes(values.only) || (values.resume && measured.has(label))) return;
  const start = performance.now();
  process.stderr.write(`${label} … `);
  try {
    measured.set(label, { cpu: machineName(), passes: bench.numPasses, ...(await measure()) });
    save();
  } catch (error) {
    notMeasured.set(label, error.message);
  }
  process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1)} s\n`);
}

/** A checkpoint with the geometry of a published model, made once. */
async function checkpoint(geometry) {
  const path = join(folder, `${geometry}.nemo`);
  if (!existsSync(path)) await makeCheckpoint(geometry, path);
  return path;
}

const streamingExports = values["nemo-streaming-exports"];
const nemoModel = streamingExports && join(resolve(streamingExports), "model.nemo");
const bench = {
  folder,
  run,
  checkpoint,
  numPasses: Number(values.passes),
  nemoExports: values["nemo-exports"],
};

const OFFLINE = [
  { name: "114 M FastConformer, CTC head", geometry: "fastconformer-hybrid-large-streaming", head: "ctc" },
  { name: "small Conformer CTC (13 M)", geometry: "conformer-ctc-small", head: "ctc" },
  { name: "bundled RNNT (10 M)", path: BUNDLED_MODELS.speech, head: "transducer" },
];

/** The model that streams are measured with: a given one, else random weights. */
const largeModel = async () =>
  values["streaming-model"] ?? nemoModel ?? (await checkpoint("fastconformer-hybrid-large-streaming"));

function save() {
  const results = {
    cpu: machineName(),
    numCores: cpus().length,
    node: process.version,
    clock: clockName,
    isPinned,
    measured: Object.fromEntries(measured),
    notMeasured: Object.fromEntries(notMeasured),
  };
  const table = tableOf(results);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...results, table }, null, 1)}\n`);
  return table;
}

try {
  for (const model of OFFLINE) await measureOffline(model, bench);
  await measureExport(bench);
  const streams = { ...bench, nemoExports: streamingExports && resolve(streamingExports), nemoModel };
  const large = { name: "114 M FastConformer, CTC head", path: await largeModel(), head: "ctc" };
  const bundled = { name: "bundled RNNT (10 M)", path: BUNDLED_MODELS.speech, head: "transducer" };
  for (const precision of ["float32", "int8"]) await measureStreaming(large, precision, streams);
  await measureStreaming(bundled, "float32", streams);
  await measureDay(bundled, streams, Number(values["day-seconds"]));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Rows of an earlier run stay in the file. */
function hasNemoRows(what) {
  const rows = [...measured].filter(([label]) => label.startsWith(what === "streams" ? "streaming" : "offline"));
  return rows.some((row) => JSON.stringify(row).includes("NeMo's export"));
}

const missing = [
  ["nemo-exports", "whole recordings", "nemo-exports.py"],
  ["nemo-streaming-exports", "streams", "nemo-streaming-exports.py"],
].filter(([option, what]) => !values[option] && !hasNemoRows(what));
for (const [option, what, script] of missing) {
  const how = `what its users run; needs NeMo once (bench/${script}), then --${option} DIR`;
  notMeasured.set(`sherpa-onnx on graphs that NeMo exported, ${what}`, how);
}
console.log(save().join("\n"));
