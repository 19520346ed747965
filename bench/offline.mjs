// The offline part of the benchmark: ours and sherpa-onnx on the same weights, and the cost of an export.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startChild } from "./children.mjs";
import { quantile } from "./streaming-load.mjs";
import { benchWaveforms } from "./waveforms.mjs";

const cli = join(import.meta.dirname, "..", "packages", "cli", "dist", "bin.js");

/** NeMo 3.0.0 on a machine of this kind (2 cores): its own export of the 114 M hybrid from the command line. */
const NEMO_EXPORT = { wallSec: 22, peakBytes: 2.6e9 };

/** A model at both precisions, beside every graph that its peer can be given. */
export async function measureOffline(model, bench) {
  const given = bench.nemoExports && model.geometry && join(bench.nemoExports, `${model.geometry}.nemo`);
  const isGiven = given && existsSync(given);
  const path = model.path ?? (isGiven ? given : await bench.checkpoint(model.geometry));
  for (const precision of ["float32", "int8"]) {
    const own = join(bench.folder, `${model.geometry ?? "bundled"}-${precision}`);
    const quantize = precision === "int8" ? ["--quantize", "int8"] : [];
    const exportOwn = () =>
      existsSync(own) ||
      execFileSync(process.execPath, [cli, "export", path, own, "--layout", "sherpa", ...quantize], {
        stdio: "ignore",
      });
    const peers = isGiven ? [{ graph: "NeMo's export", at: join(bench.nemoExports, model.geometry, precision) }] : [];
    for (const { graph, at } of [...peers, { graph: "our export", at: own }]) {
      await bench.run(`offline: ${model.name}, ${precision}, ${graph}`, async () => {
        if (at === own) exportOwn();
        const row = { model: model.name, precision, peerGraph: graph };
        return { offline: [await measurePair(row, [path, precision, model.head], [at, model.head], bench.numPasses)] };
      });
    }
    rmSync(own, { recursive: true, force: true });
  }
}

/** Both in turn, A B A B …, after a warm-up of each. */
async function measurePair(row, ours, peer, numPasses) {
  const audioSec = (await benchWaveforms()).reduce((sum, w) => sum + w.length, 0) / 16000;
  const passes = { ours: [], peer: [] };
  const children = {
    ours: await startChild("offline-ours.mjs", ours),
    peer: await startChild("offline-sherpa.mjs", peer),
  };
  try {
    for (let i = 0; i <= numPasses; i++) {
      for (const side of ["ours", "peer"]) {
        const { ms } = await children[side].ask("pass");
        if (i > 0) passes[side].push(ms);
      }
    }
  } finally {
    for (const child of Object.values(children)) child.stop();
  }
  const ratios = passes.peer.map((ms, i) => ms / passes.ours[i]);
  const [oursMs, peerMs] = [quantile(passes.ours), quantile(passes.peer)];
  const rtfx = (ms) => (audioSec * 1000) / ms;
  return {
    ...row,
    audioSec,
    oursMs,
    peerMs,
    ratio: quantile(ratios),
    minRatio: Math.min(...ratios),
    oursRtfx: rtfx(oursMs),
    peerRtfx: rtfx(peerMs),
  };
}

/** Wall time and peak memory of `nemo-stt export` of the 114 M hybrid, as a process of its own. */
export async function measureExport(bench) {
  await bench.run("export: 114 M hybrid", async () => {
    const model = await bench.checkpoint("fastconformer-hybrid-large-streaming");
    const out = join(bench.folder, "hybrid-out");
    const probe = join(import.meta.dirname, "peak-memory.mjs");
    const measured = (args) =>
      Number(/peakBytes (\d+)/.exec(execFileSync(process.execPath, args, { encoding: "utf8" }))?.[1]);
    const runs = Array.from({ length: 3 }, () => {
      const start = performance.now();
      const peakBytes = measured(["--import", probe, cli, "export", model, out]);
      return { wallSec: (performance.now() - start) / 1000, peakBytes };
    });
    rmSync(out, { recursive: true, force: true });
    const wallSec = quantile(runs.map((run) => run.wallSec));
    return {
      export: {
        wallSec,
        peakBytes: quantile(runs.map((run) => run.peakBytes)),
        nodeBytes: measured(["--import", probe, "-e", "0"]),
        nemo: NEMO_EXPORT,
        ratio: NEMO_EXPORT.wallSec / wallSec,
        weightsBytes: 459_010_116,
      },
    };
  });
}
