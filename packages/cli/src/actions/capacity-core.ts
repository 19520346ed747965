// One core: the search of its capacity, in this process or, when all cores work at once, in a process of its own for each.
import {
  type Head,
  type ModelPackage,
  measureStepCosts,
  openStreamSet,
  type StepCost,
  savedInMode,
  streamMode,
} from "@nemo-stt/core";
import { nodeRuntime } from "@nemo-stt/node";
import { type Found, findCapacity, spreadOf, type TryOnce } from "./capacity-search.ts";
import { createTrialClock, runTrial, type Trial, type TrialParts, warmStream } from "./capacity-trial.ts";
import { now } from "./clock.ts";
import type { Mode } from "./latency.ts";

/** What is measured, the same on every core. */
export interface CoreTask {
  readonly head?: Head;
  /** Sound of one trial. */
  readonly seconds: number;
  readonly waveform: Float32Array;
  /** Streams that there is room for. */
  readonly limit: number;
}

/** What is known of a mode's capacity on one core. */
export interface CoreFound extends Found {
  /** See `spreadOf`. */
  readonly spread: number;
}

/** A core that is measured mode by mode. */
export interface Core {
  /** Streams of all modes with full caches, for `find` and `findNear`. */
  warm(modes: readonly Mode[]): Promise<Uint8Array[]>;
  /** The most streams that are carried. @param onTrial told after each trial */
  find(mode: Mode, saved: Uint8Array, onTrial: () => void): Promise<CoreFound & { readonly single: Trial }>;
  /** The same where it is not more than `near`; when it is found, trials go on until the others have, too. */
  findNear(mode: Mode, saved: Uint8Array, near: Near, others: Others): Promise<CoreFound>;
  close(): Promise<void>;
}

/** What one core carries of a mode while the others are idle, and how long one stream's chunk takes then. */
export interface Near {
  readonly streams: number;
  readonly singleSec: number;
}

/** Cores that are measured at the same time. */
export interface Others {
  /** This one has found its number. */
  onFound(): void;
  haveFound(): boolean;
}

/** A mode's search ends after so long, on a machine that is slow or busy; on others it is done before. */
const SEARCH_SEC = 20;
/** Sound of one trial that this is meant for. */
const USUAL_SEC = 2;
/** Streams that there is room for at least: `measureStepCosts` has so many. */
const MIN_STREAMS = 8;
/** Costs are measured where a chunk of the first mode takes no longer: with a large model that takes as long as trials. */
const QUICK_SEC = 0.04;

/** Loads a model for one thread, with one thread in the runtime. */
export async function openCore(model: ModelPackage, task: CoreTask): Promise<Core> {
  const { seconds, waveform, limit, head } = task;
  const clock = createTrialClock();
  const maxStreams = Math.max(limit, MIN_STREAMS);
  const opened = await openStreamSet(model, nodeRuntime(), { now: clock.now, maxStreams });
  let costs: readonly StepCost[] | undefined;
  const partsOf = (mode: Mode): TrialParts => {
    const options = { attContext: mode.attContext, head, endpoint: { silence: "decoder" } as const };
    return { opened, clock, mode, options, waveform, sampleRateHz: model.spec.sampleRateHz };
  };

  /** Trials of a mode. */
  function trialsOf(mode: Mode, saved: Uint8Array) {
    const trials: Trial[] = [];
    const end = now() + SEARCH_SEC * Math.max(1, seconds / USUAL_SEC);
    const tryOnce: TryOnce = async (numStreams) => {
      const trial = await runTrial(partsOf(mode), numStreams, seconds, saved);
      trials.push(trial);
      // A message may have come meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
      return trial;
    };
    return { trials, tryOnce, hasTime: () => now() < end };
  }

  /** What is compiled and allocated at the first batch of a size is not counted. */
  const tryShortly = (mode: Mode, saved: Uint8Array) => runTrial(partsOf(mode), 1, 0, saved);

  /** Streams that are expected to be carried, where one alone fares so. */
  async function expected({ chunkSec }: Mode, { load, p50Sec }: Trial): Promise<number> {
    costs ??= p50Sec <= QUICK_SEC ? await clock.spend(() => measureStepCosts(opened)) : [];
    const cost = costs.find((each) => each.chunkSec === chunkSec);
    return Math.max(2, Math.floor(cost ? streamsAt(cost) : 1 / load));
  }

  return {
    async warm(modes) {
      const all = modes.map(({ attContext: [left, right] }) => streamMode(model.spec, [left, right]));
      const [longest] = [...all].sort((a, b) => b.chunkSteps - a.chunkSteps);
      const stepSec = longest.chunkSec / longest.chunkSteps;
      /** Whole chunks of the longest mode, and as many as any looks back on. */
      const left = Math.max(...all.map(({ leftSteps }) => leftSteps));
      const numSteps = longest.chunkSteps * (Math.ceil(left / longest.chunkSteps) + 1);
      const saved = await warmStream(partsOf(longest), numSteps, stepSec);
      const warmed: Uint8Array[] = [];
      for (const mode of all) {
        const { attContext, chunkSteps } = mode;
        // With a large model to hear so much takes seconds: what one mode has heard goes for others, too.
        if (numSteps % chunkSteps === 0) warmed.push(savedInMode(saved, attContext));
        else warmed.push(await warmStream(partsOf(mode), numSteps - (numSteps % chunkSteps) + chunkSteps, stepSec));
      }
      return warmed;
    },
    async find(mode, saved, onTrial) {
      await tryShortly(mode, saved);
      const { trials, tryOnce, hasTime } = trialsOf(mode, saved);
      const told: TryOnce = (numStreams) => tryOnce(numStreams).finally(onTrial);
      const first = await told(1);
      const single = first.isCarried ? first : await told(1);
      if (!single.isCarried) return { single, most: undefined, isLowerBound: false, spread: 0 };
      const range = { first: await expected(mode, single), limit, carried: single };
      const found = await findCapacity(told, range, hasTime);
      return { ...found, single, spread: spreadOf(trials) };
    },
    async findNear(mode, saved, near, others) {
      const { p50Sec } = await tryShortly(mode, saved);
      const { trials, tryOnce, hasTime } = trialsOf(mode, saved);
      // Cores that share caches and memory take longer for the same.
      const first = Math.max(1, Math.floor(near.streams * Math.min(1, near.singleSec / p50Sec)));
      const found = await findCapacity(tryOnce, { first, limit: near.streams }, hasTime);
      others.onFound();
      // Whoever has found its number keeps its core busy while others still look for theirs.
      while (!others.haveFound()) await tryOnce(found.most?.numStreams ?? 1);
      return { ...found, spread: spreadOf(trials) };
    },
    close: () => opened.release(),
  };
}

/** Streams of a mode that fill all time by what batches cost, each as large as it may be. */
function streamsAt({ chunkSec, batchSec, rowSec, maxRows }: StepCost): number {
  return chunkSec / Math.max(rowSec + batchSec / maxRows, Number.EPSILON);
}
