// Memory of idle streams of an engine in threads: what each takes beyond the engine, as a multiple of its caches.
//   npm run build && node bench/idle-memory.mjs [STREAMS] [SECONDS OF SOUND]
import { setTimeout as sleep } from "node:timers/promises";
import { openAudio, openEngine, toModelInput } from "@nemo-stt/node";

const [numStreams, numSec] = [Number(process.argv[2] ?? 100), Number(process.argv[3] ?? 20)];
const NUM_FIRST = 40;
const audio = await openAudio(new URL("../examples/audio/morning-rms.wav", import.meta.url).pathname);
const [waveform] = await toModelInput(audio, 16_000);
await audio.close();
const engine = await openEngine(undefined, { numWorkers: 1, maxStreams: NUM_FIRST + numStreams });

/** Opens streams and feeds them side by side, in packets of 0.1 s. */
async function play(count) {
  const streams = await Promise.all(
    Array.from({ length: count }, () => engine.open({ attContext: [70, 13] }, () => {})),
  );
  for (let packet = 0; packet < numSec * 10; packet++) {
    const at = (packet * 1600) % (waveform.length - 1600);
    await Promise.all(streams.map((stream) => stream.feed(waveform.slice(at, at + 1600))));
  }
  return streams;
}

/** Memory once all streams rest: they do after 5 s, eight a second. */
async function atRest(count) {
  await sleep(8000 + 1000 * Math.ceil(count / 8));
  return process.memoryUsage().rss;
}

// What the first streams bring about (the runtime's memory for batches as large as they get, compiled code) is no
// stream's own: what is counted is what more streams take.
await play(NUM_FIRST);
const before = await atRest(NUM_FIRST);
await play(numStreams);
const busy = process.memoryUsage().rss;
const idle = await atRest(numStreams);
const { cacheBytesPerLane } = engine.statistics().memory;
const each = (rss) => ((rss - before) / numStreams / cacheBytesPerLane).toFixed(2);
console.log(
  `${numStreams} streams beside ${NUM_FIRST}, caches ${(cacheBytesPerLane / 1e6).toFixed(2)} MB: busy ${each(busy)} x, idle ${each(idle)} x`,
);
await engine.close();
