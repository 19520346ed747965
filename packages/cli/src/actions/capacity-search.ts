import type { Trial } from "./capacity-trial.ts";

/** The largest number of streams that is carried. */
export interface Found {
  /** How it fared; undefined where not one stream is carried. */
  readonly most: Trial | undefined;
  /** More may be carried: there was no time to look. */
  readonly isLowerBound: boolean;
}

/** Tries a number of streams. */
export type TryOnce = (numStreams: number) => Promise<Trial>;

/** Where a search begins and ends. */
export interface SearchRange {
  /** Tried first: what is expected. */
  readonly first: number;
  /** No more are tried. */
  readonly limit: number;
  /** What is known to be carried. */
  readonly carried?: Trial;
}

/** The search ends when the step between what is carried and what is not is this small. */
const PRECISION = 0.05;
/** The first step away from what is expected; each further one is the square of the one before, up to twice. */
const FIRST_STEP = 1.05;

/**
 * Looks for the largest number of streams that is carried: from what is expected in growing steps until one is carried and
 * one is not, then between. The least that is not carried is tried again at the end, because a machine has other things to
 * do now and then; where it is carried then, so are those above it.
 * @param hasTime the search goes on while this is true; what was carried by then counts
 */
export async function findCapacity(
  tryOnce: TryOnce,
  { first, limit, carried }: SearchRange,
  hasTime: () => boolean = () => true,
): Promise<Found> {
  let most = carried;
  let tooMany = limit + 1;
  /** What was not carried once, below that. */
  let failed: number[] = [];
  let isDoubtful = false;
  let step = FIRST_STEP;
  for (let next = first, numTrials = 0; ; numTrials++) {
    const least = most?.numStreams ?? 0;
    const bound = Math.min(tooMany, ...failed);
    const isNear = bound - least <= Math.max(1, PRECISION * least);
    if ((isNear && bound === tooMany) || (numTrials > 0 && !hasTime())) return { most, isLowerBound: !isNear };
    const isAgain: boolean = bound < tooMany && (isNear || isDoubtful);
    const trial: Trial = await tryOnce(isAgain ? bound : Math.max(least + 1, Math.min(limit, next)));
    isDoubtful = isAgain && trial.isCarried;
    if (trial.isCarried) most = trial;
    else if (isAgain) tooMany = bound;
    else failed.push(trial.numStreams);
    failed = failed.filter((each) => each > (most?.numStreams ?? 0) && each < tooMany);
    next = nextNumber(most?.numStreams ?? 0, Math.min(tooMany, ...failed), limit, step);
    step = Math.min(2, step * step);
  }
}

/** A step above what is carried while nothing is too much; else half way, or a step below what is too much. */
function nextNumber(carried: number, tooMany: number, limit: number, step: number): number {
  if (tooMany > limit) return Math.ceil(step * carried);
  return Math.max(Math.floor((carried + tooMany) / 2), Math.floor(tooMany / step));
}

/**
 * By how much trials contradict each other, as a part of the most streams that were carried: fewer were not, another time;
 * 0 where none do.
 */
export function spreadOf(trials: readonly Trial[]): number {
  const most = Math.max(0, ...trials.filter(({ isCarried }) => isCarried).map(({ numStreams }) => numStreams));
  const failed = trials.filter(({ isCarried }) => !isCarried).map(({ numStreams }) => numStreams);
  return most === 0 ? 0 : Math.max(0, most + 1 - Math.min(most + 1, ...failed)) / most;
}
