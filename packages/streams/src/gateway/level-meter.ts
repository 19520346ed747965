/** Loudness of a stretch of sound, in decibels below full scale. */
export interface Level {
  readonly rmsDb: number;
  readonly peakDb: number;
}

/** Measures loudness, a value for every quarter of a second. */
export interface LevelMeter {
  /** Takes samples; a level when a stretch is complete. */
  take(samples: Float32Array, sampleRateHz: number): Level | undefined;
}

const STRETCH_SEC = 0.25;
/** Digital silence. */
const FLOOR_DB = -100;

/** Creates a meter. */
export function createLevelMeter(): LevelMeter {
  let sum = 0;
  let peak = 0;
  let count = 0;
  return {
    take(samples, sampleRateHz) {
      for (const value of samples) {
        sum += value * value;
        peak = Math.max(peak, Math.abs(value));
      }
      count += samples.length;
      if (count < STRETCH_SEC * sampleRateHz) return undefined;
      const level = { rmsDb: decibels(Math.sqrt(sum / count)), peakDb: decibels(peak) };
      sum = 0;
      peak = 0;
      count = 0;
      return level;
    },
  };
}

const decibels = (value: number): number => Math.max(FLOOR_DB, Math.round(200 * Math.log10(value)) / 10);
