import type { OpenStreamSet, StreamOptions } from "@nemo-stt/core";
import type { Mode } from "./latency.ts";
import { quantile } from "./stream-meter.ts";

/** A clock of its own time: it stands still between pieces of work and goes on by what these really took. */
export interface TrialClock {
  /** Seconds. */
  readonly now: () => number;
  time: number;
  /** Does work at `time`, and goes on by what it took. */
  spend<T>(work: () => T | Promise<T>): Promise<T>;
  /** Runs `act` as if it were another time, of which it takes nothing. */
  at<T>(time: number, act: () => T): T;
}

/** A clock at 0. */
export function createTrialClock(): TrialClock {
  let running: number | undefined;
  let fixed: number | undefined;
  const seconds = () => performance.now() / 1000;
  const clock: TrialClock = {
    time: 0,
    now: () => fixed ?? clock.time + (running === undefined ? 0 : seconds() - running),
    async spend(work) {
      running = seconds();
      try {
        return await work();
      } finally {
        clock.time += seconds() - running;
        running = undefined;
      }
    },
    at(time, act) {
      fixed = time;
      try {
        return act();
      } finally {
        fixed = undefined;
      }
    },
  };
  return clock;
}

/** How one number of streams went. */
export interface Trial {
  readonly numStreams: number;
  /** Whether 99 of 100 results came within a chunk, nothing was left to do, and nothing piles up. */
  readonly isCarried: boolean;
  readonly p50Sec: number;
  readonly p99Sec: number;
  /** The part of the time in which the core worked. */
  readonly load: number;
}

/** What trials have in common. */
export interface TrialParts {
  readonly opened: OpenStreamSet;
  readonly clock: TrialClock;
  readonly mode: Mode;
  readonly options: StreamOptions;
  /** At the model's rate; streams hear it again and again. */
  readonly waveform: Float32Array;
  readonly sampleRateHz: number;
}

/** Results of fewer chunks tell little of the slowest in a hundred; short trials have fewer all the same. */
const MIN_RESULTS = 100;
/** A trial that takes long has so many results at least, of so many chunks of each stream. */
const FEW_RESULTS = 10;
const FEW_CHUNKS = 2;
/** The part of all results that may come later than a chunk. */
const MAX_LATE = 0.01;
/** The part of the other streams whose chunk waits when a trial begins. */
const WAITING = 0.5;
/** Chunks of each stream within which nothing may pile up to be late. */
const FORESEEN_CHUNKS = 20;
/** The load up to which nothing does. */
const MAX_RESTING_LOAD = 0.9;
/** Phases of the golden ratio: however many streams there are, they arrive evenly. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * Runs streams for some seconds of sound and, where that are few results, for a hundred, or for what that many seconds of
 * work bring. Each chunk arrives whole at its own time. All begin with full caches, as a stream has after some seconds
 * (`saved` is such a one), and several with some chunks that wait, as there are at any time where a core has no rest: so
 * a short trial shows whether these become more.
 */
export async function runTrial(parts: TrialParts, numStreams: number, sec: number, saved: Uint8Array): Promise<Trial> {
  const { opened, clock, mode, options } = parts;
  const { set } = opened;
  const { chunkSec } = mode;
  const minResults = MIN_RESULTS * Math.min(1, sec);
  const numChunks = Math.ceil(Math.max(sec / chunkSec, minResults / numStreams, FEW_CHUNKS));
  const enoughChunks = Math.max(FEW_CHUNKS, Math.ceil(Math.min(minResults, FEW_RESULTS) / numStreams));
  const start = clock.time;
  let end = start + numChunks * chunkSec;
  const phases = Array.from({ length: numStreams }, (_, i) => (i * GOLDEN) % 1);
  const numWaiting = Math.floor(WAITING * (numStreams - 1));
  const [next] = phases.toSorted((a, b) => a - b).slice(numWaiting);
  const arrivals = phases.map((phase) => start + (phase - next) * chunkSec);
  const feeds = arrivals.map((_, i) => {
    set.open(i, options, () => {}, saved);
    return loopOf(parts, i);
  });
  const results = createResults(numWaiting);
  let busySec = 0;
  const spend = async <T>(work: () => T | Promise<T>): Promise<T> => {
    const before = clock.time;
    const result = await clock.spend(work);
    busySec += clock.time - before;
    return result;
  };
  const maxLate = MAX_LATE * numChunks * numStreams;
  const hasSound = () => Math.min(...arrivals) < end;
  // A trial that falls behind ends when it is a chunk late, or when it cannot be carried any more.
  while (clock.time < end + chunkSec && results.numLater(chunkSec) <= maxLate && (set.hasWork || hasSound())) {
    const due = clock.time;
    await spend(() => {
      for (let i = 0; i < numStreams; i++) {
        if (arrivals[i] > due || arrivals[i] >= end) continue;
        clock.at(arrivals[i], () => set.feed(i, feeds[i]()));
        arrivals[i] += chunkSec;
      }
    });
    if (set.hasWork) {
      const { latenciesSec = [] } = (await spend(() => set.runBatch())) ?? {};
      results.add(latenciesSec, clock.time);
    } else clock.time = Math.max(clock.time, Math.min(...arrivals));
    if (busySec < sec) continue;
    const numBegun = Math.max(enoughChunks, Math.ceil((clock.time - start) / chunkSec));
    end = Math.min(end, start + numBegun * chunkSec);
  }
  const isDone = !set.hasWork && !hasSound();
  for (let i = 0; i < numStreams; i++) set.close(i);
  const load = busySec / (clock.time - start);
  const p99Sec = quantile(results.latencies, 0.99);
  const aheadSec = Math.max(0, FORESEEN_CHUNKS * chunkSec - (end - start));
  const foreseenSec = p99Sec + (load > MAX_RESTING_LOAD ? Math.max(0, results.growth(numStreams)) * aheadSec : 0);
  return {
    numStreams,
    isCarried: isDone && foreseenSec <= chunkSec,
    p50Sec: quantile(results.latencies, 0.5),
    p99Sec,
    load,
  };
}

/** How long the results of a trial took. @param numBefore results of what waited when it began, which do not count */
function createResults(numBefore: number) {
  const latencies: number[] = [];
  const times: number[] = [];
  let numSkipped = 0;
  return {
    latencies,
    add(latenciesSec: readonly number[], time: number): void {
      const counted = latenciesSec.slice(numBefore - numSkipped);
      numSkipped += latenciesSec.length - counted.length;
      for (const latency of counted) {
        latencies.push(latency);
        times.push(time);
      }
    },
    numLater: (sec: number) => latencies.filter((latency) => latency > sec).length,
    /**
     * By how much latencies grow in a second: the slope of the line through the means of as many results as there are
     * streams, because each stream has its own place among the others.
     */
    growth(numStreams: number): number {
      const starts = Array.from({ length: Math.floor(times.length / numStreams) }, (_, round) => round * numStreams);
      const means = (values: readonly number[]) =>
        starts.map((start) => meanOf(values.slice(start, start + numStreams)));
      return slopeOf(means(times), means(latencies));
    },
  };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The slope of the line through points, by least squares; 0 through fewer than two. */
function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const [meanX, meanY] = [meanOf(xs), meanOf(ys)];
  const variance = xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
  const covariance = xs.reduce((sum, x, i) => sum + (x - meanX) * (ys[i] - meanY), 0);
  return variance > 0 ? covariance / variance : 0;
}

/** Chunks of the recording from a place of each stream's own on, again and again. */
function loopOf({ waveform, mode, sampleRateHz }: TrialParts, stream: number): () => Float32Array {
  const chunk = new Float32Array(Math.round(mode.chunkSec * sampleRateHz));
  let position = Math.floor(((stream * GOLDEN) % 1) * waveform.length);
  return () => {
    for (let i = 0; i < chunk.length; i++, position++) chunk[i] = waveform[position % waveform.length];
    return chunk;
  };
}

/** A stream of the mode that has heard so many steps, whole chunks, and no more sound than these need. */
export async function warmStream(parts: TrialParts, numSteps: number, stepSec: number): Promise<Uint8Array> {
  const { opened, mode, options, waveform, sampleRateHz } = parts;
  const { set } = opened;
  let position = 0;
  let numDone = 0;
  const hear = async (sec: number) => {
    const packet = new Float32Array(Math.round(sec * sampleRateHz));
    for (let i = 0; i < packet.length; i++, position++) packet[i] = waveform[position % waveform.length];
    set.feed(0, packet);
    while (set.hasWork) numDone += (await set.runBatch())?.numSteps ?? 0;
  };
  set.open(0, options, () => {});
  await hear(Math.max(0, numSteps * stepSec - mode.chunkSec));
  while (numDone < numSteps) await hear(stepSec / 2);
  const saved = set.save(0);
  set.close(0);
  return saved;
}
