import type { BatchReport } from "@nemo-stt/core";
import { msText } from "./latency.ts";

/** How a stream went so far. */
export interface Measured {
  readonly audioSec: number;
  readonly wallSec: number;
  /** Processor time for a second of sound. */
  readonly realTimeFactor: number;
  /** Whether sound comes at its own speed. */
  readonly isLive: boolean;
  /** From the sound that completed a chunk to its result, in seconds; of live sound, once there is a result. */
  readonly latencySec?: { readonly p50: number; readonly p99: number };
}

/** Measures a stream. */
export interface StreamMeter {
  /** Samples that were fed, of one channel. */
  fed(numSamples: number): void;
  batch(report: BatchReport): void;
  measure(): Measured;
}

/** Enough for the 99th percentile, and for what has been lately. */
const MAX_LATENCIES = 1000;

/**
 * A meter that begins now.
 * @param isLive whether sound comes at its own speed: otherwise chunks wait for those before them, which is no latency
 */
export function createMeter(sampleRateHz: number, isLive: boolean): StreamMeter {
  const started = performance.now();
  const cpu = process.cpuUsage();
  let latencies: number[] = [];
  let numFed = 0;
  return {
    fed(numSamples) {
      numFed += numSamples;
    },
    batch({ latenciesSec }) {
      latencies.push(...latenciesSec);
      if (latencies.length > 2 * MAX_LATENCIES) latencies = latencies.slice(-MAX_LATENCIES);
    },
    measure() {
      const { user, system } = process.cpuUsage(cpu);
      const audioSec = numFed / sampleRateHz;
      return {
        audioSec,
        wallSec: (performance.now() - started) / 1000,
        realTimeFactor: audioSec > 0 ? (user + system) / 1e6 / audioSec : 0,
        isLive,
        ...(isLive &&
          latencies.length > 0 && { latencySec: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) } }),
      };
    },
  };
}

/** The smallest value that a share of all does not exceed; 0 of none. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** One line of it. */
export function measuredText({ audioSec, wallSec, realTimeFactor, isLive, latencySec }: Measured): string {
  const ms = (sec: number) => msText(Number(sec.toPrecision(2)));
  const speed = isLive ? "no result yet" : `${(audioSec / wallSec).toFixed(0)} × real time`;
  const pace = latencySec ? `latency ${ms(latencySec.p50)} (p99 ${ms(latencySec.p99)})` : speed;
  return `${audioSec.toFixed(1)} s, ${pace}, real-time factor ${realTimeFactor.toFixed(3)}`;
}
