// The benchmark: ours and sherpa-onnx on the same weights, in turn, on one core each, ratios first.
//   npm run bench -- [--json FILE] [--passes N] [--only NAME] [--nemo-exports DIR]
// Without more, sherpa-onnx runs our own export of the weights (layout sherpa). Its users run graphs that NeMo exported and
// the usual dynamic quantisation made small: --nemo-exports names a folder of such files (bench/nemo-exports.py).
import { execFileSync, fork } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { makeCheckpoint } from "./make-checkpoint.mjs";
import { benchWaveforms } from "./waveforms.mjs";

const flag = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at > 0 ? process.argv[at + 1] : fallback;
};
const numPasses = Number(flag("passes", 7));
const only = flag("only");
const nemoExports = flag("nemo-exports");
const folder = mkdtempSync(join(tmpdir(), "nemo-stt-bench-"));
process.env.NEMO_STT_CACHE = join(folder, "cache");
const cli = join(import.meta.dirname, "..", "packages", "cli", "dist", "bin.js");
const log = (text) => process.stderr.write(`${text}\n`);

/** NeMo 3.0.0 on a machine of this kind (2 cores): its own export of the 114 M hybrid from the command line. */
const NEMO_EXPORT = { wallSec: 22, peakBytes: 2.6e9 };

const MODELS = [
  { name: "114 M FastConformer, CTC head", geometry: "fastconformer-hybrid-large-streaming", head: "ctc" },
  { name: "small Conformer CTC (13 M)", geometry: "conformer-ctc-small", head: "ctc" },
  { name: "bundled RNNT (10 M)", path: BUNDLED_MODELS.speech, head: "transducer" },
].filter(({ name }) => !only || name.includes(only));

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Wall time and peak memory of one `nemo-stt export`, as a process of its own. */
function measureExport(model, out) {
  const probe = join(import.meta.dirname, "peak-memory.mjs");
  const runs = Array.from({ length: 3 }, () => {
    const start = performance.now();
    const text = execFileSync(process.execPath, ["--import", probe, cli, "export", model, out], { encoding: "utf8" });
    return {
      wallSec: (performance.now() - start) / 1000,
      peakBytes: Number(/peakBytes (\d+)/.exec(text)?.[1] ?? Number.NaN),
    };
  });
  const idle = execFileSync(process.execPath, ["--import", probe, "-e", "0"], { encoding: "utf8" });
  return {
    wallSec: median(runs.map((run) => run.wallSec)),
    peakBytes: median(runs.map((run) => run.peakBytes)),
    nodeBytes: Number(/peakBytes (\d+)/.exec(idle)?.[1]),
  };
}

/** A child that does one pass a message. */
async function startChild(script, args) {
  const child = fork(join(import.meta.dirname, script), args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const next = () =>
    new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => reject(new Error(`${script}: expected a running child, got exit ${code}.`)));
    });
  await next();
  return {
    async pass() {
      const answer = next();
      child.send("pass");
      return answer;
    },
    stop: () => child.kill(),
  };
}

/** Both in turn, A B A B …, after a warm-up of each. */
async function compare(ours, peer) {
  const passes = { ours: [], peer: [] };
  const children = {
    ours: await startChild("offline-ours.mjs", ours),
    peer: await startChild("offline-sherpa.mjs", peer),
  };
  try {
    for (let i = 0; i <= numPasses; i++) {
      for (const side of ["ours", "peer"]) {
        const { ms } = await children[side].pass();
        if (i > 0) passes[side].push(ms);
      }
    }
  } finally {
    for (const child of Object.values(children)) child.stop();
  }
  const ratios = passes.peer.map((ms, i) => ms / passes.ours[i]);
  return {
    oursMs: median(passes.ours),
    peerMs: median(passes.peer),
    ratio: median(ratios),
    minRatio: Math.min(...ratios),
  };
}

const audioSec = (await benchWaveforms()).reduce((sum, w) => sum + w.length, 0) / 16000;
const results = {
  cpu: cpus()[0].model,
  numCores: cpus().length,
  node: process.version,
  passes: numPasses,
  audioSec,
  offline: [],
  notMeasured: [],
};
/** A model at both precisions, beside every graph that its peer can be given. */
async function measureOffline(model) {
  const given = nemoExports && model.geometry && join(nemoExports, `${model.geometry}.nemo`);
  const isGiven = given && existsSync(given);
  const path = model.path ?? (isGiven ? given : join(folder, `${model.geometry}.nemo`));
  if (model.geometry && !isGiven) await makeCheckpoint(model.geometry, path);
  for (const precision of ["float32", "int8"]) {
    const own = join(folder, `${model.geometry ?? "bundled"}-${precision}`);
    const quantize = precision === "int8" ? ["--quantize", "int8"] : [];
    execFileSync(process.execPath, [cli, "export", path, own, "--layout", "sherpa", ...quantize], { stdio: "ignore" });
    const peers = isGiven ? [{ graph: "NeMo's export", at: join(nemoExports, model.geometry, precision) }] : [];
    for (const { graph, at } of [...peers, { graph: "our export", at: own }]) {
      log(`offline: ${model.name}, ${precision}, ${graph} in sherpa-onnx`);
      await measurePair(
        { model: model.name, precision, peerGraph: graph },
        [path, precision, model.head],
        [at, model.head],
      );
    }
    rmSync(own, { recursive: true, force: true });
  }
}

async function measurePair(row, ours, peer) {
  try {
    const found = await compare(ours, peer);
    const rtfx = (ms) => (audioSec * 1000) / ms;
    results.offline.push({ ...row, ...found, oursRtfx: rtfx(found.oursMs), peerRtfx: rtfx(found.peerMs) });
  } catch (error) {
    results.notMeasured.push(`${row.model}, ${row.precision}, ${row.peerGraph}: ${error.message}`);
  }
}

try {
  for (const model of MODELS) await measureOffline(model);
  if (!only) {
    log("export: 114 M hybrid");
    const path = join(folder, "hybrid.nemo");
    await makeCheckpoint("fastconformer-hybrid-large-streaming", path);
    const found = measureExport(path, join(folder, "hybrid-out"));
    results.export = {
      ...found,
      nemo: NEMO_EXPORT,
      ratio: NEMO_EXPORT.wallSec / found.wallSec,
      weightsBytes: 459_010_116,
    };
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const table = [
  `${results.cpu}, ${results.numCores} cores, Node ${results.node}; ${audioSec.toFixed(0)} s of sound, one thread each, median of ${numPasses} passes in turn`,
  "",
  "| offline | weights | sherpa-onnx runs | ratio | ours, × real time | sherpa-onnx, × real time |",
  "|---|---|---|---|---|---|",
  ...results.offline.map(
    (r) =>
      `| ${r.model} | ${r.precision} | ${r.peerGraph} | ${r.ratio.toFixed(2)} (least ${r.minRatio.toFixed(2)}) | ${r.oursRtfx.toFixed(0)} | ${r.peerRtfx.toFixed(0)} |`,
  ),
];
if (results.export) {
  const e = results.export;
  table.push(
    "",
    "| export of the 114 M hybrid, command line | ours | NeMo 3.0.0 | ratio |",
    "|---|---|---|---|",
    `| wall time | ${e.wallSec.toFixed(2)} s | ${e.nemo.wallSec} s | ${e.ratio.toFixed(0)} × |`,
    `| peak resident memory | ${(e.peakBytes / 1e6).toFixed(0)} MB (${((e.peakBytes - e.nodeBytes) / 1e6).toFixed(0)} MB above Node's own ${(e.nodeBytes / 1e6).toFixed(0)} MB; weights ${(e.weightsBytes / 1e6).toFixed(0)} MB) | ${(e.nemo.peakBytes / 1e6).toFixed(0)} MB | ${(e.nemo.peakBytes / e.peakBytes).toFixed(0)} × |`,
  );
}
if (!nemoExports) {
  results.notMeasured.push(
    "sherpa-onnx on graphs that NeMo exported, which is what its users run: needs NeMo once (bench/nemo-exports.py), then --nemo-exports DIR",
  );
}
for (const reason of results.notMeasured) table.push("", `Not measured: ${reason}`);
console.log(table.join("\n"));
const json = flag("json");
if (json) writeFileSync(json, `${JSON.stringify({ ...results, table }, null, 1)}\n`);
