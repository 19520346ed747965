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
  /** Whether 99 of 100 results came within a chunk, and nothing was left to do. */
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

/** Results of fewer chunks tell nothing of the slowest in a hundred; short trials have fewer all the same. */
const MIN_RESULTS = 100;
/** The part of all results that may come later than a chunk. */
const MAX_LATE = 0.01;
/** Phases of the golden ratio: however many streams there are, they arrive evenly. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * Runs streams for some seconds of sound, each chunk arriving whole at its own time. All begin with full caches, as a
 * stream has after some seconds: `saved` is such a one.
 */
export async function runTrial(parts: TrialParts, numStreams: number, sec: number, saved: Uint8Array): Promise<Trial> {
  const { opened, clock, mode, options } = parts;
  const { set } = opened;
  const { chunkSec } = mode;
  const minResults = MIN_RESULTS * Math.min(1, sec);
  const numChunks = Math.ceil(Math.max(sec / chunkSec, minResults / numStreams, 3));
  const start = clock.time;
  const end = start + numChunks * chunkSec;
  const arrivals = Array.from({ length: numStreams }, (_, i) => start + ((i * GOLDEN) % 1) * chunkSec);
  const feeds = arrivals.map((_, i) => {
    set.open(i, options, () => {}, saved);
    return loopOf(parts, i);
  });
  const latencies: number[] = [];
  let busySec = 0;
  const spend = async <T>(work: () => T | Promise<T>): Promise<T> => {
    const before = clock.time;
    const result = await clock.spend(work);
    busySec += clock.time - before;
    return result;
  };
  const maxLate = MAX_LATE * numChunks * numStreams;
  let numLate = 0;
  // A trial that falls behind ends when it is a chunk late, or when it cannot be carried any more.
  while (clock.time < end + chunkSec && numLate <= maxLate && (set.hasWork || Math.min(...arrivals) < end)) {
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
      latencies.push(...latenciesSec);
      numLate += latenciesSec.filter((sec) => sec > chunkSec).length;
    } else clock.time = Math.max(clock.time, Math.min(...arrivals));
  }
  const isDone = !set.hasWork && Math.min(...arrivals) >= end;
  for (let i = 0; i < numStreams; i++) set.close(i);
  const p99Sec = quantile(latencies, 0.99);
  return {
    numStreams,
    isCarried: isDone && p99Sec <= chunkSec,
    p50Sec: quantile(latencies, 0.5),
    p99Sec,
    load: busySec / (clock.time - start),
  };
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

/** A stream of the mode as it is after `sec` of sound, its caches full. */
export async function warmStream({ opened, options, waveform, sampleRateHz }: TrialParts, sec: number) {
  const { set } = opened;
  set.open(0, options, () => {});
  const packet = new Float32Array(Math.round(sec * sampleRateHz));
  for (let i = 0; i < packet.length; i++) packet[i] = waveform[i % waveform.length];
  set.feed(0, packet);
  while (set.hasWork) await set.runBatch();
  const saved = set.save(0);
  set.close(0);
  return saved;
}

/** How many streams a core carries, and how one alone fares. */
export interface Found {
  readonly single: Trial;
  /** The largest number of streams that was carried. */
  readonly most: Trial;
  /** More may be carried: there was no time to look. */
  readonly isLowerBound: boolean;
}

/** The search ends when the step between what is carried and what is not is this small. */
const PRECISION = 0.05;

/**
 * Looks for the largest number of streams that is carried: twice as many until it is too many, then between. What is not
 * carried is tried again: a machine has other things to do now and then.
 * @param hasTime the search goes on while this is true; what was carried by then counts
 */
export async function findCapacity(
  tryOnce: (numStreams: number) => Promise<Trial>,
  limit: number,
  hasTime: () => boolean = () => true,
): Promise<Found> {
  const run = async (numStreams: number) => {
    const first = await tryOnce(numStreams);
    return first.isCarried ? first : tryOnce(numStreams);
  };
  const single = await run(1);
  if (!single.isCarried) return { single, most: { ...single, numStreams: 0 }, isLowerBound: false };
  let most = single;
  let tooMany = limit + 1;
  while (most.numStreams < limit && tooMany > limit && hasTime()) {
    const trial = await run(Math.min(limit, 2 * most.numStreams));
    if (trial.isCarried) most = trial;
    else tooMany = trial.numStreams;
  }
  const isNear = () => tooMany - most.numStreams <= Math.max(1, PRECISION * most.numStreams);
  while (tooMany <= limit && !isNear() && hasTime()) {
    const trial = await run(Math.floor((most.numStreams + tooMany) / 2));
    if (trial.isCarried) most = trial;
    else tooMany = trial.numStreams;
  }
  return { single, most, isLowerBound: tooMany > limit ? most.numStreams < limit : !isNear() };
}
