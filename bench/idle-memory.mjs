// Memory of idle streams of an engine in threads: what each takes beyond the engine, as a multiple of its caches.
//   npm run build && node bench/idle-memory.mjs [STREAMS] [SECONDS OF SOUND]
// "held" is what both threads refer to, and the caches; "resident" is the process, with what its allocator keeps of freed
// memory: tens of MB more or less, however many streams there are.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BroadcastChannel, Worker } from "node:worker_threads";
import { openAudio, openEngine, toModelInput } from "@nemo-stt/node";

const [numStreams, numSec] = [Number(process.argv[2] ?? 240), Number(process.argv[3] ?? 12)];
/** Streams that are fed side by side; while others are, those that were fed before rest. */
const NUM_BUSY = 40;
const PACKET_SAMPLES = 1600;

// Garbage is no stream's own: it is collected in both threads before memory is read.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const channel = new BroadcastChannel("memory");
const worker = `
  const channel = new BroadcastChannel("memory");
  channel.onmessage = () => {
    gc();
    channel.postMessage(process.memoryUsage());
  };
  channel.unref();
  import(require("node:worker_threads").workerData.entry);
`;
const createWorker = (entry, options) =>
  new Worker(worker, { ...options, eval: true, workerData: { ...options.workerData, entry: entry.href } });

const audio = await openAudio(new URL("../examples/audio/morning-rms.wav", import.meta.url).pathname);
const [waveform] = await toModelInput(audio, 16_000);
await audio.close();
const numFirst = 2 * NUM_BUSY;
const engine = await openEngine(undefined, { numWorkers: 1, maxStreams: numFirst + numStreams, createWorker });

/** Opens streams and feeds them, some side by side, in packets of 0.1 s. */
async function play(count) {
  for (let numOpen = 0; numOpen < count; numOpen += NUM_BUSY) {
    const streams = await Promise.all(
      Array.from({ length: Math.min(NUM_BUSY, count - numOpen) }, () =>
        engine.open({ attContext: [70, 13] }, () => {}),
      ),
    );
    for (let packet = 0; packet < numSec * 10; packet++) {
      const at = (packet * PACKET_SAMPLES) % (waveform.length - PACKET_SAMPLES);
      await Promise.all(streams.map((stream) => stream.feed(waveform.subarray(at, at + PACKET_SAMPLES))));
    }
  }
}

/** Memory once all streams rest: they do after 5 s, eight a second. */
async function atRest() {
  await sleep(8000 + (1000 * engine.numStreams) / 8);
  let held = 0;
  for (let i = 0; i < 3; i++) {
    collect();
    const answer = once(channel, "message");
    channel.postMessage("collect");
    const [{ data }] = await answer;
    const threads = [process.memoryUsage(), data];
    held = threads.reduce((sum, { heapUsed, arrayBuffers }) => sum + heapUsed + arrayBuffers, 0);
    await sleep(500);
  }
  return { held, resident: process.memoryUsage().rss };
}

// What the first streams bring about (the runtime's memory for batches as large as they get, compiled code) is no
// stream's own: what is counted is what more streams take.
await play(numFirst);
const before = await atRest();
await play(numStreams);
const after = await atRest();
const { cacheBytesPerLane } = engine.statistics().memory;
const each = (kind) => (after[kind] - before[kind]) / numStreams / cacheBytesPerLane;
// The arrays of all caches are there from the start.
const held = (1 + each("held")).toFixed(2);
console.log(
  `${numStreams} idle streams beside ${numFirst}, caches ${(cacheBytesPerLane / 1e6).toFixed(2)} MB: each ${held} x held, ${each("resident").toFixed(2)} x resident`,
);
channel.close();
await engine.close();
