// One measurement of our streams on one thread, beside the floor of matrix products:
//   node bench/streaming-ours.mjs MODEL --context 70,0 --streams 16 [--int8] [--head ctc|transducer] [--ticks N]
//        [--profile] [--no-floor] [--json] [--max-steps N] [--max-rows N]
// NEMO_STT_BENCH_CLOCK=cpu measures processor time, for a machine that does something else beside.
// All streams get a chunk of sound at once, then all batches run; caches are full from the start. Run `npm run build` first.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DEFAULT_BATCH_RULES } from "@nemo-stt/core";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { clockMs, clockName } from "./clock.mjs";
import { openBenchStreams, openOurStreams, withProfiles } from "./streaming-engine.mjs";
import { floorSpec, openFloor, operationsOf, productsOf } from "./streaming-floor.mjs";
import { createTicker, quantile } from "./streaming-load.mjs";
import { operatorOf, partOf, profileText, readProfile, sumBy } from "./streaming-profile.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "70,0" },
    streams: { type: "string", default: "16" },
    int8: { type: "boolean", default: false },
    head: { type: "string" },
    ticks: { type: "string", default: "15" },
    profile: { type: "boolean", default: false },
    floor: { type: "boolean", default: true },
    json: { type: "boolean", default: false },
    "max-steps": { type: "string" },
    "max-rows": { type: "string" },
  },
  allowNegative: true,
});
const model = positionals[0] ?? BUNDLED_MODELS.speech;
const attContext = values.context.split(",").map(Number);
const numStreams = Number(values.streams);
const numTicks = Number(values.ticks);
const profiles = mkdtempSync(join(tmpdir(), "nemo-stt-profile-"));

async function openEngine() {
  const batches = {
    ...DEFAULT_BATCH_RULES,
    ...(values["max-steps"] && { maxSteps: Number(values["max-steps"]) }),
    ...(values["max-rows"] && { maxRows: Number(values["max-rows"]) }),
  };
  const options = { precision: values.int8 ? "int8" : "float32", maxStreams: numStreams, batches };
  const open = () => openBenchStreams(model, options);
  return values.profile ? withProfiles(join(profiles, "streaming"), open) : open();
}

/** The products of a batch of this many streams, where asked for. */
async function floorOf(batchStreams, head) {
  if (!values.floor) return undefined;
  const spec = await floorSpec(model);
  const products = productsOf(spec, attContext, batchStreams, head, values.int8 ? "int8" : "float32");
  return { ...(await openFloor(products, values.int8)), operations: operationsOf(products) };
}

const engine = await openEngine();
try {
  const head = values.head ?? (engine.spec.heads.ctc ? "ctc" : "transducer");
  const streams = await openOurStreams(engine, { numStreams, attContext, head });
  const tick = await createTicker(streams);
  await tick(numStreams);
  const [{ numRows }] = streams.reports;
  const floor = await floorOf(numRows, head);
  await floor?.run();
  streams.reports.length = 0;
  const ticks = [];
  const floorMs = [];
  for (let i = 0; i < numTicks; i++) {
    ticks.push(await tick(numStreams));
    if (!floor) continue;
    const floorStart = clockMs();
    await floor.run();
    floorMs.push(clockMs() - floorStart);
  }
  const batches = streams.reports;
  // The last batch of a tick may be a smaller one than the floor's.
  const full = batches.filter((report) => report.numRows === numRows);
  const ms = (key) => quantile(full.map((report) => 1000 * report[key]));
  const tickMs = quantile(ticks);
  const result = {
    attContext,
    head,
    precision: values.int8 ? "int8" : "float32",
    numStreams,
    numBatches: batches.length / numTicks,
    batchRows: numRows,
    tickMs,
    streamStepMs: tickMs / numStreams,
    streamsPerCore: (1000 * streams.chunkSec * numStreams) / tickMs,
    computeMs: batches.reduce((sum, { encodeSec, decodeSec }) => sum + 1000 * (encodeSec + decodeSec), 0) / numTicks,
    encodeMs: ms("encodeSec"),
    decodeMs: ms("decodeSec"),
    ...(floor && { floorMs: quantile(floorMs), operations: floor.operations }),
  };
  await floor?.close();
  await engine.close();
  console.log(values.json ? JSON.stringify(result) : textOf(result));
  if (values.profile) printProfile(batches.length);
} finally {
  rmSync(profiles, { recursive: true, force: true });
}

function textOf(r) {
  const outside = r.tickMs - r.computeMs;
  const lines = [
    `[${r.attContext}] ${r.precision}, ${r.head}, ${r.numStreams} streams in ${r.numBatches.toFixed(1)} batches a tick (medians of ${numTicks} ticks, ${clockName})`,
    `  ${r.tickMs.toFixed(2)} ms a tick, ${r.streamStepMs.toFixed(3)} ms a stream and chunk: ${r.streamsPerCore.toFixed(1)} streams a core`,
    `  a batch: encode ${r.encodeMs.toFixed(2)} ms, decode ${r.decodeMs.toFixed(2)} ms; features, events and the rest ${outside.toFixed(2)} ms a tick`,
  ];
  if (r.floorMs !== undefined) {
    lines.push(
      `  floor (its matrix products alone): ${r.floorMs.toFixed(2)} ms a batch, ${(r.operations / r.floorMs / 1e6).toFixed(0)} GOP/s; encode is ${(r.encodeMs / r.floorMs).toFixed(2)} ×, the whole tick ${(r.tickMs / r.numBatches / r.floorMs).toFixed(2)} ×`,
    );
  }
  return lines.join("\n");
}

function printProfile(numRuns) {
  const nodes = readProfile(join(profiles, "streaming"), numRuns);
  console.log(profileText("by operator", sumBy(nodes, numRuns, operatorOf)));
  console.log(profileText("by part", sumBy(nodes, numRuns, partOf)));
  console.log(
    profileText(
      "by part and operator",
      sumBy(nodes, numRuns, (n) => `${partOf(n)} ${operatorOf(n)}`),
      30,
    ),
  );
}
