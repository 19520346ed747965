// Calls of two parties in real time through the gateway, each party as the toolkit's composite sends it:
//   npm run build && node bench/gateway-load.mjs --calls 50 [--seconds 60] [--model M] [--trouble] [--write]
// Prints finals (expected, received, lost, doubled), the time from a chunk to its text, and processor time. `--trouble` plays
// them once more while connections are cut at random, readers stall, and the gateway is stopped and started in the middle.
// `--write` puts the table into docs/performance.md. The gateway runs in this process, the recognisers in threads of their own.
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openAudio, openEngine } from "@nemo-stt/node";
import { SttSession, startGateway } from "@nemo-stt/streams";
import { fillMarked } from "../tools/marked.mjs";

const root = join(import.meta.dirname, "..");
const CHUNK_MS = 100;
const RATE = 8000;
const { values: flags } = parseArgs({
  options: {
    calls: { type: "string", default: "50" },
    seconds: { type: "string", default: "60" },
    model: { type: "string" },
    trouble: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const numCalls = Number(flags.calls);
const numChunks = Math.round((Number(flags.seconds) * 1000) / CHUNK_MS);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Both parties of the example's call as PCM16, again and again until the time is over. */
async function soundOfCall() {
  const audio = await openAudio(join(root, "examples/audio/call-ulaw-8k.wav"));
  const sides = await audio.channels();
  await audio.close();
  const numSamples = (numChunks * RATE * CHUNK_MS) / 1000;
  return sides.map((side) => {
    const pcm = Int16Array.from({ length: numSamples }, (_, i) => Math.round(side[i % side.length] * 32767));
    return new Uint8Array(pcm.buffer);
  });
}

/** What the engine says of a sound alone: the finals that every party of that side must get. */
async function finalsAlone(engine, bytes) {
  const finals = [];
  const pcm = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const stream = await engine.open({ sampleRateHz: RATE }, (event) => {
    if (event.type === "final" && event.text !== "") finals.push(event.text);
  });
  for (let at = 0; at < pcm.length; at += RATE)
    await stream.feed(Float32Array.from(pcm.subarray(at, at + RATE), (value) => value / 32768));
  await stream.finish();
  return finals;
}

function openParty(n, ports, run) {
  const [call, channel] = [n >> 1, n & 1];
  const finals = [];
  const latenciesMs = [];
  const party = { channel, finals, latenciesMs, sentAtMs: [], session: undefined };
  const options = `sampleRate=${RATE}&call=load-${call}&channel=${channel}&parties=2&role=${channel ? "customer" : "agent"}`;
  party.session = new SttSession({
    name: `load-${n}@${run}`,
    options,
    ...ports,
    retry: { retryMs: 500 },
    onItem: (item) => {
      if (item.kind === "tuple" && item.tuple.isFinal) finals.push(item.tuple.text);
    },
  });
  return party;
}

async function playParty(party, bytes, startMs) {
  const size = (bytes.length / numChunks) | 0;
  for (let n = 0; n < numChunks; n++) {
    const waitMs = startMs + (n + 1) * CHUNK_MS - performance.now();
    if (waitMs > 0) await pause(waitMs);
    await party.session.submit(bytes.subarray(n * size, (n + 1) * size), n * CHUNK_MS);
  }
  await party.session.submitFinal();
  await party.session.done;
}

/** Lost and doubled finals, by the order in which they should have come. */
function compare(parties, expected) {
  let [numSent, numReceived, numLost, numDoubled] = [0, 0, 0, 0];
  for (const { channel, finals } of parties) {
    const counts = new Map();
    for (const text of expected[channel]) counts.set(text, (counts.get(text) ?? 0) + 1);
    for (const text of finals) counts.set(text, (counts.get(text) ?? 0) - 1);
    for (const count of counts.values()) {
      if (count > 0) numLost += count;
      else numDoubled -= count;
    }
    numSent += expected[channel].length;
    numReceived += finals.length;
  }
  const isOrdered = parties.every(({ channel, finals }) => finals.join("\n") === expected[channel].join("\n"));
  return { numSent, numReceived, numLost, numDoubled, isOrdered };
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;

/** A gateway that can be stopped and started again at the same ports. */
async function openService(engine, latenciesMs) {
  const log = { info() {}, warn: (text) => console.error(text), error: (text) => console.error(text) };
  const stateFile = join(tmpdir(), `nemo-stt-load-${process.pid}.json`);
  let gateway;
  const open = async (ports = {}) => {
    gateway = await startGateway({
      engine,
      audioPort: 0,
      textPorts: [{ port: 0 }],
      log,
      stateFile,
      model: engine.model,
      ...ports,
    });
    gateway.feed.subscribe((event) => {
      if ((event.type === "final" || event.type === "interim") && event.text !== "") latenciesMs.push(event.latencyMs);
    });
  };
  await open();
  const ports = { audioPort: gateway.audioPort, textPorts: [{ port: gateway.textPorts[0] }] };
  return {
    audio: { port: ports.audioPort },
    text: ports.textPorts[0],
    async restart() {
      await gateway.drain();
      await pause(1000);
      await open(ports);
    },
    close: () => gateway.close(),
  };
}

/** Cuts a connection ten times a second, holds a reader up for a second now and then, restarts the service in the middle. */
async function makeTrouble(parties, service, until) {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  const counts = { numCuts: 0, numStalls: 0, numRestarts: 0 };
  const restarted = pause((numChunks * CHUNK_MS) / 2).then(async () => {
    await service.restart();
    counts.numRestarts++;
  });
  while (performance.now() < until) {
    await pause(100);
    const { session } = pick(parties);
    if (Math.random() < 0.2) {
      counts.numStalls++;
      session.source.hold(1000);
    } else {
      counts.numCuts++;
      pick([session.source, session.sink]).cut();
    }
  }
  await restarted;
  return counts;
}

async function measure(engine, sounds, expected, hasTrouble) {
  const latenciesMs = [];
  const service = await openService(engine, latenciesMs);
  const run = Date.now();
  const parties = Array.from({ length: 2 * numCalls }, (_, n) => openParty(n, service, run));
  const [cpu, startMs] = [process.cpuUsage(), performance.now()];
  // Parties do not begin in step.
  const played = Promise.all(
    parties.map((party, n) => playParty(party, sounds[party.channel], startMs + 500 + ((n * 37) % 1000))),
  );
  const troubleUntil = startMs + (numChunks - 20) * CHUNK_MS;
  const trouble = hasTrouble ? makeTrouble(parties, service, troubleUntil) : undefined;
  await played;
  const counts = await trouble;
  const wallSec = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  await service.close();
  latenciesMs.sort((a, b) => a - b);
  return {
    ...compare(parties, expected),
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    cores: (user + system) / 1e6 / wallSec,
    wallSec,
    numResent: parties.reduce((sum, { session }) => sum + session.numResent, 0),
    ...counts,
  };
}

function row(name, r) {
  const ms = (value) => `${value.toFixed(0)} ms`;
  const finals = `${r.numSent} | ${r.numReceived} | ${r.numLost} | ${r.numDoubled}`;
  return `| ${name} | ${finals} | ${ms(r.p50Ms)} | ${ms(r.p99Ms)} | ${r.cores.toFixed(2)} |`;
}

const engine = await openEngine(flags.model, { maxStreams: 4 * numCalls });
try {
  const sounds = await soundOfCall();
  const expected = await Promise.all(sounds.map((bytes) => finalsAlone(engine, bytes)));
  const load = loadavg()[0];
  const quiet = await measure(engine, sounds, expected, false);
  const machine = `${cpus()[0].model.trim()}, ${availableParallelism()} cores, Node ${process.version}`;
  const table = [
    `${machine}; ${numCalls} calls (${2 * numCalls} sessions), ${flags.seconds} s each, model ${engine.model.name}; load of the machine before: ${load.toFixed(1)}`,
    "",
    "| calls in real time | finals sent | received | lost | doubled | chunk to text, median | p99 | processor, cores |",
    "|---|---|---|---|---|---|---|---|",
    row("undisturbed", quiet),
  ];
  const all = [quiet];
  if (flags.trouble) {
    const hard = await measure(engine, sounds, expected, true);
    all.push(hard);
    const what = `${hard.numCuts} cuts, ${hard.numStalls} readers held up, ${hard.numRestarts} restart`;
    table.push(row(what, hard), "", `Chunks sent again: ${hard.numResent}.`);
  }
  console.log(table.join("\n"));
  if (flags.write) {
    const path = join(root, "docs/performance.md");
    const page = readFileSync(path, "utf8");
    writeFileSync(path, fillMarked(page, "gateway", table.join("\n"), "docs/performance.md"));
  }
  if (all.some(({ numLost, numDoubled, isOrdered }) => numLost + numDoubled > 0 || !isOrdered)) process.exitCode = 1;
} finally {
  await engine.close();
}
