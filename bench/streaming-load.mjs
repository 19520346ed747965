// Puts load on streams of either side. A driver is what both offer:
//   { chunkSec, feed(id, samples), isReady(id), step() → ids of the streams that had a chunk computed, close() }
import { setImmediate, setTimeout } from "node:timers/promises";
import { clockMs } from "./clock.mjs";
import { loopedAudio } from "./waveforms.mjs";

const SAMPLE_RATE_HZ = 16_000;

/** Packets of paced streams. */
const PACKET_SEC = 0.08;

/**
 * Saturation: every stream gets one chunk or several at once, then everything that follows is computed.
 * `tick(numStreams, numChunks)` → ms.
 */
export async function createTicker(driver) {
  const audio = await loopedAudio();
  const chunkSamples = Math.round(driver.chunkSec * SAMPLE_RATE_HZ);
  let count = 0;
  return async (numStreams, numChunks = 1) => {
    const at = count * chunkSamples;
    count += numChunks;
    const chunks = Array.from({ length: numStreams }, (_, id) => audio(id, at, numChunks * chunkSamples));
    const start = clockMs();
    for (const [id, samples] of chunks.entries()) driver.feed(id, samples);
    while ((await driver.step()).length > 0);
    return clockMs() - start;
  };
}

/**
 * Real time: streams begin one after another within a chunk's time and get their packets when they are due, whatever the
 * process is doing. Tells for every chunk the ms from the moment its last packet was due to its result.
 */
export async function runPaced(driver, numStreams, seconds) {
  const audio = await loopedAudio();
  const packetSamples = PACKET_SEC * SAMPLE_RATE_HZ;
  const start = performance.now() + 20;
  const packets = [];
  for (let id = 0; id < numStreams; id++) {
    const phaseMs = ((id + 0.5) / numStreams) * 1000 * driver.chunkSec;
    for (let i = 0; i * PACKET_SEC < seconds; i++) {
      packets.push({ id, due: start + phaseMs + 1000 * PACKET_SEC * i, at: i * packetSamples });
    }
  }
  packets.sort((a, b) => a.due - b.due);
  /** When the chunks that wait were complete, and when those behind them will be. */
  const completed = new Map();
  const following = new Map();
  const latencies = [];
  for (let next = 0; next < packets.length || completed.size > 0; ) {
    for (; next < packets.length && packets[next].due <= performance.now(); next++) {
      const { id, due, at } = packets[next];
      driver.feed(id, audio(id, at, packetSamples));
      if (!completed.has(id) && driver.isReady(id)) completed.set(id, due);
    }
    for (const id of completed.size > 0 ? await driver.step() : []) {
      const due = completed.get(id) ?? following.get(id);
      latencies.push(performance.now() - due);
      // A stream that is behind has its next chunk already, or had it computed in the same step.
      following.set(id, due + 1000 * driver.chunkSec);
      if (driver.isReady(id)) completed.set(id, following.get(id));
      else completed.delete(id);
    }
    if (completed.size > 0) await setImmediate();
    else if (next < packets.length) await setTimeout(Math.max(0, packets[next].due - performance.now()));
  }
  // The first chunk of each stream begins in the middle of the load's beginning.
  return latencies.slice(Math.min(numStreams, latencies.length - 1));
}

/** The middle value, or any other share. */
export function quantile(values, share = 0.5) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
