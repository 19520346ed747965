/** Loudness of a stretch of sound, in decibels below full scale, and its outline. */
export interface Level {
  readonly rmsDb: number;
  readonly peakDb: number;
  /** The largest sample of every 25 ms, 0 to 1: what a waveform is drawn from. The last one ends where the stretch does. */
  readonly peaks: readonly number[];
}

/** Measures loudness, a value for every quarter of a second or more. */
export interface LevelMeter {
  /** Takes samples; a level when a stretch is complete. */
  take(samples: Float32Array, sampleRateHz: number): Level | undefined;
}

/** Sound behind one value of `peaks`. */
export const PEAK_MS = 25;
const STRETCH_SEC = 0.25;
/** Digital silence. */
const FLOOR_DB = -100;

/** Creates a meter. */
export function createLevelMeter(): LevelMeter {
  let sum = 0;
  let count = 0;
  let peaks: number[] = [];
  let peak = 0;
  let numInPeak = 0;
  return {
    take(samples, sampleRateHz) {
      const peakSamples = Math.max(1, Math.round((PEAK_MS * sampleRateHz) / 1000));
      for (const value of samples) {
        sum += value * value;
        peak = Math.max(peak, Math.abs(value));
        if (++numInPeak < peakSamples) continue;
        peaks.push(peak);
        peak = 0;
        numInPeak = 0;
      }
      count += samples.length;
      if (count < STRETCH_SEC * sampleRateHz || peaks.length === 0) return undefined;
      const level = {
        rmsDb: decibels(Math.sqrt(sum / count)),
        peakDb: decibels(Math.max(...peaks)),
        peaks: peaks.map((value) => Math.min(1, Math.round(value * 1000) / 1000)),
      };
      sum = 0;
      count = 0;
      peaks = [];
      return level;
    },
  };
}

const decibels = (value: number): number => Math.max(FLOOR_DB, Math.round(200 * Math.log10(value)) / 10);
