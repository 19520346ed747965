import type { OpenHypothesis } from "../decoding/open-hypothesis.ts";

/** Where a lane has found which tokens, and how far it has come. */
export type LaneTokens = Pick<OpenHypothesis, "tokens" | "steps" | "endSteps" | "numSteps">;

/** A lane that looks ahead less finds the same token up to this much later … */
const MAX_LAG = 6;
/** … and at most this much earlier. */
const MAX_LEAD = 1;

/** Tokens of both lanes that are compared: from this much before the slower lane's end on. */
export const COMPARED_STEPS = 3 * MAX_LAG;

/**
 * The place in a faster lane's tokens from which on they are beyond what a slower one has: behind the last that both have,
 * and found on steps that the slower lane has still to hear.
 *
 * The faster lane finds a token a little later, so that its first tokens behind the slower lane's end may be the slower
 * one's last. The two rows are laid beside each other: as many equal tokens as can be, each pair found at about the same
 * time, the nearest where there is a choice. What the faster lane alone has before the last pair the slower one has heard
 * and decided otherwise.
 */
export function firstAhead(slow: LaneTokens, fast: LaneTokens): number {
  const unheard = fast.endSteps.findIndex((endStep) => endStep > slow.numSteps);
  if (unheard < 0) return fast.tokens.length;
  return Math.max(unheard, lastOfBoth(slow, fast) + 1);
}

/** How far two rows agree, up to some place in each. */
interface Agreement {
  readonly numPairs: number;
  /** By how much the pairs lie apart. */
  readonly numSteps: number;
  /** The faster lane's last token of a pair; -1 where there is none. */
  readonly last: number;
}

const isBetter = (a: Agreement, b: Agreement): boolean =>
  a.numPairs > b.numPairs || (a.numPairs === b.numPairs && a.numSteps < b.numSteps);

/** The faster lane's last token that the slower one has too; -1 where there is none. */
function lastOfBoth(slow: LaneTokens, fast: LaneTokens): number {
  const begin = slow.numSteps - COMPARED_STEPS;
  const isCompared = (step: number) => step >= begin;
  const places = [...fast.tokens.keys()].filter(
    (place) => isCompared(fast.steps[place]) && fast.steps[place] < slow.numSteps + MAX_LAG,
  );
  const none: Agreement = { numPairs: 0, numSteps: 0, last: -1 };
  // The best agreement of the slower lane's tokens so far with the first `n` of the faster one's.
  let best: Agreement[] = new Array(places.length + 1).fill(none);
  for (const [i, token] of slow.tokens.entries()) {
    if (!isCompared(slow.steps[i])) continue;
    const next: Agreement[] = [none];
    for (const [n, place] of places.entries()) {
      let found = isBetter(next[n], best[n + 1]) ? next[n] : best[n + 1];
      const lag = fast.steps[place] - slow.steps[i];
      if (fast.tokens[place] === token && lag >= -MAX_LEAD && lag <= MAX_LAG) {
        const { numPairs, numSteps } = best[n];
        const pair = { numPairs: numPairs + 1, numSteps: numSteps + Math.abs(lag), last: place };
        if (isBetter(pair, found)) found = pair;
      }
      next.push(found);
    }
    best = next;
  }
  return best[places.length].last;
}
