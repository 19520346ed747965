// The streaming part of the benchmark: ours and sherpa-onnx on the same weights, in turn, on one core.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startChild } from "./children.mjs";
import { quantile } from "./streaming-load.mjs";

/** Latency modes: one, two, seven and fourteen steps of 80 ms. */
export const MODES = [
  [70, 0],
  [70, 1],
  [70, 6],
  [70, 13],
];

/** Streams in lockstep. */
const STREAM_COUNTS = [1, 2, 4, 8, 16, 32, 64];
const MAX_STREAMS = 64;
/** Chunks that wait in a loaded engine, in modes whose chunks are shorter than the other number. */
const BACKLOG = 4;
const LONG_CHUNK_SEC = 0.5;
/** Modes that are also measured in real time; the others lie between. */
const PACED_MODES = ["70,0", "70,1", "70,13"];
const PACED_SEC = 8;
/** Each number of streams is measured for at least this long, all sides together, and this often. */
const MIN_MS = 1200;
const MIN_PASSES = 3;
const MAX_PASSES = 15;
const STEP_SAMPLES = 1280;

const cli = join(import.meta.dirname, "..", "packages", "cli", "dist", "bin.js");

/**
 * Everything about one model at one precision.
 * @param bench `{ folder, run(label, measure), nemoExports, nemoModel }`: `run` measures what was asked for and keeps rows
 */
export async function measureStreaming(model, precision, bench) {
  const open = openSides({ model: model.path, precision, numStreams: MAX_STREAMS, head: model.head }, bench);
  try {
    for (const attContext of MODES) {
      const row = { model: model.name, precision, attContext };
      const mode = `${model.name}, ${precision}, [${attContext}]`;
      await bench.run(`streaming saturated: ${mode}`, async () => ({
        saturated: await measureBacklogs(row, await open.all(attContext)),
      }));
      await bench.run(`streaming floor: ${mode}`, async () => ({
        floor: await measureFloor(row, await open.ours(attContext)),
      }));
      if (!PACED_MODES.includes(String(attContext))) continue;
      await bench.run(`streaming paced: ${mode}`, async () => ({
        paced: await measurePaced(row, await open.all(attContext)),
      }));
    }
  } finally {
    await open.close();
  }
}

/** A day of sound as fast as it goes: resident memory must not grow. */
export async function measureDay(model, bench, maxSeconds) {
  const options = { model: model.path, precision: "int8", numStreams: 16, head: model.head };
  const attContext = [70, 13];
  const open = openSides(options, bench);
  try {
    await bench.run(`streaming day: ${model.name}`, async () => {
      const { child } = await open.ours(attContext);
      const found = await child.ask({ do: "day", numStreams: 16, maxSeconds, hours: 24 });
      return { day: [dayRow({ model: model.name, precision: "int8", attContext, numStreams: 16 }, found)] };
    });
  } finally {
    await open.close();
  }
}

/**
 * The sides of one model and precision, opened when they are needed: ours once, sherpa-onnx for each latency mode anew,
 * on every graph that it can be given.
 */
function openSides(options, bench) {
  const own = join(bench.folder, "sherpa");
  let oursChild;
  let ours;
  let peers;

  async function openOurs(attContext) {
    oursChild ??= await startChild("streaming-child.mjs", ["ours", JSON.stringify(options)]);
    const isOpen = String(ours?.attContext) === String(attContext);
    if (!isOpen) {
      closePeers();
      ours = { name: "ours", child: oursChild, attContext, ...(await oursChild.ask({ do: "open", attContext })) };
    }
    return ours;
  }

  async function openPeers(attContext) {
    const graphs = [{ name: "our export", folder: exportForSherpa(options, attContext, own) }];
    const given = bench.nemoExports && join(bench.nemoExports, String(attContext), options.precision);
    if (given && options.model === bench.nemoModel && existsSync(given)) {
      graphs.unshift({ name: "NeMo's export", folder: given });
    }
    peers = [];
    for (const { name, folder } of graphs) {
      const peer = { folder, numStreams: MAX_STREAMS, head: options.head, stepSamples: STEP_SAMPLES };
      const child = await startChild("streaming-child.mjs", ["sherpa", JSON.stringify(peer)]);
      peers.push({ name, child, ...(await child.ask({ do: "open", attContext })) });
    }
    rmSync(own, { recursive: true, force: true });
  }

  function closePeers() {
    for (const { child } of peers ?? []) child.stop();
    peers = undefined;
  }

  return {
    ours: openOurs,
    async all(attContext) {
      const first = await openOurs(attContext);
      if (!peers) await openPeers(attContext);
      return [first, ...peers];
    },
    async close() {
      closePeers();
      await oursChild?.ask({ do: "stop" }).catch(() => {});
      oursChild?.stop();
    },
  };
}

function exportForSherpa({ model, precision }, attContext, folder) {
  const quantize = precision === "int8" ? ["--quantize", "int8"] : [];
  const args = ["export", model, folder, "--layout", "sherpa", "--att-context", String(attContext), ...quantize];
  execFileSync(process.execPath, [cli, ...args], { stdio: "ignore" });
  return folder;
}

function dayRow(row, { seconds, samples }) {
  const tenth = Math.ceil(samples.length / 10);
  const bytes = (part) => quantile(part.map(({ rssBytes }) => rssBytes));
  const early = bytes(samples.slice(tenth, 2 * tenth));
  const late = bytes(samples.slice(-tenth));
  const hours = samples.at(-1).hours;
  return {
    ...row,
    seconds,
    hours,
    earlyBytes: early,
    lateBytes: late,
    maxBytes: Math.max(...samples.map((s) => s.rssBytes)),
  };
}

/**
 * With one chunk of each stream waiting, and with as many as a loaded engine lets wait: then streams lag behind by these
 * chunks, and whoever can computes several of them in one call.
 */
async function measureBacklogs(row, sides) {
  const rows = await measureSaturated(row, sides, 1);
  const isShort = sides[0].chunkSec < LONG_CHUNK_SEC;
  return isShort ? [...rows, ...(await measureSaturated(row, sides, BACKLOG))] : rows;
}

/** Rows of ours against each peer. */
async function measureSaturated(row, sides, numChunks) {
  const points = new Map(sides.map(({ name }) => [name, []]));
  for (const numStreams of STREAM_COUNTS) {
    const running = sides.filter(({ name, chunkSec }) => !isSaturated(points.get(name), numChunks * chunkSec));
    if (running.length === 0) break;
    const passes = new Map(running.map(({ name }) => [name, []]));
    const start = performance.now();
    for (let i = 0; i <= MAX_PASSES; i++) {
      for (const { name, child } of running) {
        const { ms } = await child.ask({ do: "tick", numStreams, numChunks });
        // The first warms caches and buffers of this size.
        if (i > 0) passes.get(name).push(ms);
      }
      if (i >= MIN_PASSES && performance.now() - start > MIN_MS) break;
    }
    for (const [name, values] of passes) points.get(name).push({ numStreams, ms: quantile(values) });
  }
  const [ours, ...peers] = sides;
  const ofOurs = points.get(ours.name);
  return peers.map(({ name, rssBytes }) => {
    const ofPeer = points.get(name);
    const oursStreams = capacity(ofOurs, numChunks * ours.chunkSec);
    const peerStreams = capacity(ofPeer, numChunks * ours.chunkSec);
    return {
      ...row,
      numChunks,
      peer: name,
      chunkSec: ours.chunkSec,
      ratio: oursStreams / peerStreams,
      stepRatio: ofOurs[0].ms / ofPeer[0].ms,
      oursStreams,
      peerStreams,
      ours: ofOurs,
      sherpa: ofPeer,
      oursCacheBytes: ours.cacheBytes,
      oursStreamBytes: ours.rssBytes / (MAX_STREAMS - 1),
      peerOpenBytes: rssBytes,
    };
  });
}

/** Beyond this the number of streams that one core carries is known. */
const isSaturated = (points, chunkSec) => points.length > 0 && points.at(-1).ms > 1000 * chunkSec;

/**
 * Streams whose chunks one core computes in the time that a chunk takes: between the numbers measured by straight lines,
 * beyond the largest by its throughput.
 */
export function capacity(points, chunkSec) {
  const limit = 1000 * chunkSec;
  let below = { numStreams: 0, ms: 0 };
  for (const point of points) {
    if (point.ms > limit) {
      const share = (limit - below.ms) / (point.ms - below.ms);
      return below.numStreams + share * (point.numStreams - below.numStreams);
    }
    below = point;
  }
  return (below.numStreams * limit) / below.ms;
}

/** Latencies of both, one stream and more as long as each can keep up. */
async function measurePaced(row, sides) {
  const rows = [];
  for (const numStreams of [1, 4, 16, 32, 64]) {
    for (const side of sides) {
      const { name, child, chunkSec } = side;
      // Of the peers enough to compare with.
      if (side !== sides[0] && numStreams !== 1 && numStreams !== 16) continue;
      const { ms } = await child.ask({ do: "tick", numStreams });
      side.isFull ||= ms > 900 * chunkSec;
      // One stream is always measured, so that it is seen where one is too many.
      if (side.isFull && numStreams > 1) continue;
      const seconds = Math.max(PACED_SEC, (numStreams === 1 ? 12 : 4) * chunkSec);
      rows.push({ ...row, side: name, numStreams, ...(await child.ask({ do: "paced", numStreams, seconds })) });
    }
  }
  return rows;
}

async function measureFloor(row, { child }) {
  const rows = [];
  for (const numStreams of [1, 16]) {
    const found = await child.ask({ do: "floor", attContext: row.attContext, numStreams, passes: 11 });
    rows.push({ ...row, numStreams: found.rows, ...found, ratio: found.encodeMs / found.floorMs });
  }
  return rows;
}
