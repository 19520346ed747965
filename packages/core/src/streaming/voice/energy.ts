import { createSampleBuffer } from "../sample-buffer.ts";
import { createVoiceQueue, type SavedVoice, type VoiceSource, type VoiceStream } from "./voice.ts";

/** Levels are taken over 20 ms, as a frame classifier's steps. */
const HOP_SEC = 0.02;
/** Speech stands this far above the noise; half of it is where the gate closes. */
const MARGIN_DB = 12;
/** Nothing below this is speech: 8 bits of µ-law have their noise there. */
const FLOOR_DB = -60;
/** Noise is the quietest of the last two seconds: fluent speech has pauses and closures in every one of them. */
const BLOCK_SEC = 0.5;
const NUM_BLOCKS = 4;
/** The steepness that makes the decibels above the gate a probability. */
const DB_PER_LOGIT = 3;

/**
 * Finds sound that stands out of the noise: the level of every 20 ms against the quietest of the last two seconds, as
 * a probability that is ½ where it is 12 dB above. It takes any sound for speech that is loud enough; use a voice
 * activity detector where there is other sound.
 */
export function createEnergySource(sampleRateHz: number): VoiceSource {
  const hopSamples = Math.round(HOP_SEC * sampleRateHz);
  const work = new WeakMap<VoiceStream, () => void>();
  return {
    id: "energy",
    sampleRateHz,
    hopSec: hopSamples / sampleRateHz,
    windowSec: hopSamples / sampleRateHz,
    latencySec: 0,
    open(saved) {
      const { stream, run } = openStream(hopSamples, Math.round((BLOCK_SEC * sampleRateHz) / hopSamples), saved);
      work.set(stream, run);
      return stream;
    },
    async hear(streams) {
      for (const stream of streams) work.get(stream)?.();
    },
    async close() {},
  };
}

function openStream(hopSamples: number, blockHops: number, saved?: SavedVoice) {
  const samples = createSampleBuffer(saved?.samples);
  const queue = createVoiceQueue(saved);
  /** The quietest level of each block, oldest first; the last is the one under way. */
  const quietest = [...(saved?.levels ?? [FLOOR_DB])];

  function run(): void {
    while (samples.endSample >= (queue.numPositions + 1) * hopSamples) {
      const start = queue.numPositions * hopSamples;
      const level = levelDb(samples.view(start, start + hopSamples));
      if (queue.numPositions > 0 && queue.numPositions % blockHops === 0) {
        quietest.push(level);
        if (quietest.length > NUM_BLOCKS) quietest.shift();
      }
      const last = quietest.length - 1;
      quietest[last] = Math.min(quietest[last], level);
      const gate = Math.max(FLOOR_DB, Math.min(...quietest) + MARGIN_DB);
      queue.push(1 / (1 + Math.exp((gate - level) / DB_PER_LOGIT)));
    }
    samples.dropBefore(queue.numPositions * hopSamples);
  }

  const stream: VoiceStream = {
    feed: (packet) => samples.append(packet),
    finish() {},
    get numPositions() {
      return queue.numPositions;
    },
    take: queue.take,
    save: () => ({
      numPositions: queue.numPositions,
      waiting: [...queue.waiting],
      samples: samples.save(),
      levels: [...quietest],
    }),
  };
  return { stream, run };
}

/** Level of samples in decibels below full scale; very low, and no infinity, for digital silence. */
function levelDb(samples: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  return 10 * Math.log10(Math.max(sum / samples.length, 1e-12));
}
