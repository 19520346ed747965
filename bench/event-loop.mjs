// How long the main thread of an engine in threads keeps its event loop waiting, in ms: while nothing is done, while
// packets of many streams come in real time, and while the same streams are fed as fast as they take it.
//   npm run build && node bench/event-loop.mjs [STREAMS] [SECONDS OF SOUND] [THREADS] [--ahead]
// A timer of 1 ms measures it, so 1 ms is nothing. What other programs and the engine's own threads take shows too, less so
// when the main thread is `--ahead` of all others (Linux, root). "worked" is what the main thread itself did between two
// calls of such a timer, in processor time, which the system counts in steps of some ms where it never slept (Linux).
import { execFileSync } from "node:child_process";
import { openSync, readSync } from "node:fs";
import { loadavg } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openEngine } from "@nemo-stt/node";
import { loopedAudio } from "./waveforms.mjs";

const { values, positionals } = parseArgs({ options: { ahead: { type: "boolean" } }, allowPositionals: true });
const [numStreams, numSec, numWorkers] = [48, 20, 1].map((usual, i) => Number(positionals[i] ?? usual));
const PACKET_SEC = 0.1;
const PACKET_SAMPLES = PACKET_SEC * 16_000;
const numPackets = Math.round(numSec / PACKET_SEC);
const audio = await loopedAudio();
const sounds = Array.from({ length: numStreams }, (_, id) => audio(id, 0, numPackets * PACKET_SAMPLES));
const engine = await openEngine(undefined, { numWorkers, maxStreams: numStreams });

/** Plays a stream's sound; `wait` is asked before each packet. */
async function play(id, wait) {
  const stream = await engine.open({}, () => {});
  for (let packet = 0; packet < numPackets; packet++) {
    await wait?.(packet);
    await stream.feed(sounds[id].subarray(packet * PACKET_SAMPLES, (packet + 1) * PACKET_SAMPLES));
  }
  await stream.finish();
}

/** Waits until a packet of a stream is due; the streams begin one after another within a packet's time. */
function inRealTime(id, startMs) {
  const firstMs = startMs + (1000 * PACKET_SEC * id) / numStreams;
  return (packet) => sleep(Math.max(0, firstMs + 1000 * PACKET_SEC * packet - performance.now()));
}

const playAll = (waitOf) => Promise.all(sounds.map((_, id) => play(id, waitOf?.(id))));

const schedule = process.platform === "linux" && openSync(`/proc/self/task/${process.pid}/schedstat`, "r");

/** Processor time of the main thread. */
function workedMs() {
  if (!schedule) return Number.NaN;
  const text = Buffer.alloc(64);
  return Number.parseInt(text.toString("latin1", 0, readSync(schedule, text, 0, text.length, 0)), 10) / 1e6;
}

/** Notes what the main thread does between two calls of a timer; what is returned ends it and gives the times, sorted. */
function watchWork() {
  const times = [];
  let last = workedMs();
  const timer = setInterval(() => {
    const now = workedMs();
    times.push(now - last);
    last = now;
  }, 1);
  return () => {
    clearInterval(timer);
    return times.sort((a, b) => a - b);
  };
}

async function measure(name, action) {
  const load = loadavg()[0].toFixed(1);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const startMs = performance.now();
  const endWork = watchWork();
  delay.enable();
  await action(startMs);
  delay.disable();
  const work = endWork();
  const sec = ((performance.now() - startMs) / 1000).toFixed(1);
  const [p50, p99, p999] = [50, 99, 99.9].map((share) => (delay.percentile(share) / 1e6).toFixed(1));
  const most = (delay.max / 1e6).toFixed(1);
  const [worked99, worked999, workedMost] = [0.99, 0.999, 1].map((share) =>
    work[Math.ceil(share * work.length) - 1].toFixed(1),
  );
  console.log(
    `${name}: p50 ${p50}, p99 ${p99}, p99.9 ${p999}, max ${most}; worked p99 ${worked99}, p99.9 ${worked999}, max ${workedMost} (${sec} s; load before ${load})`,
  );
}

// Only now, as threads inherit it.
if (values.ahead) execFileSync("chrt", ["-f", "-p", "10", String(process.pid)]);
console.log(`${numStreams} streams, ${numWorkers} threads`);
await measure("nothing", () => sleep(5000));
await measure("in real time", (startMs) => playAll((id) => inRealTime(id, startMs)));
await measure("at once", () => playAll());
await engine.close();
