import { type Aggregation, addConfidence } from "./confidence.ts";
import type { Hypothesis } from "./hypothesis.ts";

/**
 * A hypothesis that still grows: what a decoder has found so far. Plain data (it survives `structuredClone`). The last
 * token may be open: further steps can lengthen it or take part in its confidence.
 */
export interface OpenHypothesis {
  readonly tokens: number[];
  readonly steps: number[];
  readonly endSteps: number[];
  readonly durations: number[] | undefined;
  readonly logProbs: number[];
  readonly confidence: number[] | undefined;
  /** Steps decoded so far. */
  numSteps: number;
  /** Running total (see `addConfidence`) and number of the confidences that belong to the last token. */
  confidenceTotal: number;
  confidenceCount: number;
}

/** An empty hypothesis. */
export function openHypothesis(has: { durations: boolean; confidence: boolean }): OpenHypothesis {
  return {
    tokens: [],
    steps: [],
    endSteps: [],
    durations: has.durations ? [] : undefined,
    logProbs: [],
    confidence: has.confidence ? [] : undefined,
    numSteps: 0,
    confidenceTotal: 0,
    confidenceCount: 0,
  };
}

/** Counts one more step's confidence into the last token; nothing happens where there is no token yet. */
export function addStepConfidence(hypothesis: OpenHypothesis, value: number, aggregation: Aggregation): void {
  const { confidence } = hypothesis;
  const last = hypothesis.tokens.length - 1;
  if (!confidence || last < 0) return;
  // The first value of a token opens a new total.
  if (confidence.length === last) {
    hypothesis.confidenceTotal = value;
    hypothesis.confidenceCount = 1;
  } else {
    hypothesis.confidenceTotal = addConfidence(hypothesis.confidenceTotal, value, aggregation);
    hypothesis.confidenceCount++;
  }
  const isMean = aggregation === "mean";
  confidence[last] = isMean ? hypothesis.confidenceTotal / hypothesis.confidenceCount : hypothesis.confidenceTotal;
}

/** A copy of what was found so far, which later steps do not change. */
export function closeHypothesis(hypothesis: OpenHypothesis): Hypothesis {
  const { tokens, steps, endSteps, durations, logProbs, confidence, numSteps } = hypothesis;
  return {
    tokens: tokens.slice(),
    steps: steps.slice(),
    endSteps: endSteps.slice(),
    ...(durations && { durations: durations.slice() }),
    logProbs: logProbs.slice(),
    ...(confidence && { confidence: confidence.slice() }),
    numSteps,
  };
}

/** An independent copy that can grow on its own. */
export function cloneOpenHypothesis(hypothesis: OpenHypothesis): OpenHypothesis {
  return {
    ...hypothesis,
    tokens: hypothesis.tokens.slice(),
    steps: hypothesis.steps.slice(),
    endSteps: hypothesis.endSteps.slice(),
    durations: hypothesis.durations?.slice(),
    logProbs: hypothesis.logProbs.slice(),
    confidence: hypothesis.confidence?.slice(),
  };
}
