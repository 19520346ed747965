// Memory of idle streams of an engine in threads: what each takes beyond the engine, as a multiple of its caches.
//   npm run build && node bench/idle-memory.mjs [STREAMS] [SECONDS OF SOUND]
import { setTimeout as sleep } from "node:timers/promises";
import { openAudio, openEngine, toModelInput } from "@nemo-stt/node";

const [numStreams, numSec] = [Number(process.argv[2] ?? 100), Number(process.argv[3] ?? 20)];
const audio = await openAudio(new URL("../examples/audio/morning-rms.wav", import.meta.url).pathname);
const [waveform] = await toModelInput(audio, 16_000);
await audio.close();
const engine = await openEngine(undefined, { numWorkers: 1, maxStreams: numStreams });

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

// What the first streams bring about (the runtime's memory, compiled code) is no stream's own.
await Promise.all((await play(8)).map((stream) => stream.close()));
await sleep(3000);
const before = process.memoryUsage().rss;
await play(numStreams);
const busy = process.memoryUsage().rss;
// They rest after 5 s, eight a second.
await sleep(8000 + 1000 * Math.ceil(numStreams / 8));
const idle = process.memoryUsage().rss;
const { cacheBytesPerLane } = engine.statistics().memory;
const each = (rss) => ((rss - before) / numStreams / cacheBytesPerLane).toFixed(2);
console.log(
  `${numStreams} streams, caches ${(cacheBytesPerLane / 1e6).toFixed(2)} MB: busy ${each(busy)} x, idle ${each(idle)} x`,
);
await engine.close();
