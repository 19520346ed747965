import type { ConfidenceSpec } from "../config/spec.ts";
import { argmax } from "./argmax.ts";
import { createStepConfidence } from "./confidence.ts";
import type { Hypothesis } from "./hypothesis.ts";
import {
  addStepConfidence,
  cloneOpenHypothesis,
  closeHypothesis,
  type OpenHypothesis,
  openHypothesis,
} from "./open-hypothesis.ts";

/** What greedy CTC decoding needs to know of a model. */
export interface CtcOptions {
  /** Vocabulary and blank; blank is the last. */
  readonly numClasses: number;
  /** Computes the confidence of every token by this method; none without it. */
  readonly confidence?: ConfidenceSpec;
}

/** Greedy CTC decoding between two pushes: plain data, one a recording. */
export interface CtcState {
  readonly hypothesis: OpenHypothesis;
  /** The label of the last step, blank at the start: a run goes on where the next step has the same. */
  previousLabel: number;
}

/** Greedy CTC decoding of any number of recordings, each with a state of its own. */
export interface CtcDecoder {
  createState(): CtcState;
  /**
   * Decodes the next `numSteps` steps of a recording. `logProbs` holds `[step, class]` from `offset` on. However a
   * recording is cut into pushes, the hypothesis is the same.
   * @throws SpeechError `RUNTIME_FAILED` when a step has no number among its log-probabilities.
   */
  push(state: CtcState, logProbs: Float32Array, numSteps: number, offset?: number): void;
}

/**
 * Makes a greedy CTC decoder: the best label of every step, runs of the same label folded, blanks dropped.
 *
 * A token's step is the first of its run, its end step one past the last, its log-probability the best of the run.
 * NeMo `AbstractCTCDecoding.decode_hypothesis` and `compute_confidence` (ctc_decoding.py, 3.0.0): confidence is
 * aggregated over the run or, where blanks are not excluded, over all steps up to the next token.
 */
export function createCtcDecoder(options: CtcOptions): CtcDecoder {
  const { numClasses, confidence } = options;
  const blank = numClasses - 1;
  const stepConfidence = confidence && createStepConfidence(confidence, numClasses);

  function push(state: CtcState, logProbs: Float32Array, numSteps: number, offset = 0): void {
    checkLength(logProbs, offset, numSteps, numClasses);
    const { hypothesis } = state;
    for (let s = 0; s < numSteps; s++) {
      const start = offset + s * numClasses;
      const label = argmax(logProbs, start, start + numClasses, "CTC log-probs");
      if (label !== blank) addLabel(state, label, logProbs[start + label]);
      state.previousLabel = label;
      hypothesis.numSteps++;
      if (stepConfidence && confidence && (label !== blank || !confidence.excludeBlank)) {
        const value = stepConfidence(logProbs, start, start + numClasses, 0);
        addStepConfidence(hypothesis, value, confidence.aggregation);
      }
    }
  }

  return {
    createState: () => ({
      hypothesis: openHypothesis({ durations: false, confidence: stepConfidence !== undefined }),
      previousLabel: blank,
    }),
    push,
  };
}

/** Decodes a batch of whole recordings, `[batch, step, class]`, of which each has its own number of valid steps. */
export function decodeCtc(
  logProbs: { readonly data: Float32Array; readonly dims: readonly number[] },
  numSteps: ArrayLike<number>,
  options: CtcOptions,
): Hypothesis[] {
  const [batch, maxSteps, numClasses] = logProbs.dims;
  if (logProbs.dims.length !== 3 || batch !== numSteps.length || numClasses !== options.numClasses) {
    throw new RangeError(
      `CTC log-probs: expected dims [${numSteps.length}, step, ${options.numClasses}], got [${logProbs.dims.join(", ")}].`,
    );
  }
  const decoder = createCtcDecoder(options);
  return Array.from({ length: batch }, (_, b) => {
    if (!(numSteps[b] >= 0 && numSteps[b] <= maxSteps)) {
      throw new RangeError(`CTC log-probs: expected from 0 to ${maxSteps} steps in row ${b}, got ${numSteps[b]}.`);
    }
    const state = decoder.createState();
    decoder.push(state, logProbs.data, numSteps[b], b * maxSteps * numClasses);
    return closeHypothesis(state.hypothesis);
  });
}

/** An independent copy of a state. */
export function cloneCtcState(state: CtcState): CtcState {
  return { hypothesis: cloneOpenHypothesis(state.hypothesis), previousLabel: state.previousLabel };
}

function addLabel({ hypothesis, previousLabel }: CtcState, label: number, logProb: number): void {
  const { tokens, steps, endSteps, logProbs, numSteps } = hypothesis;
  if (label === previousLabel) {
    const last = tokens.length - 1;
    endSteps[last] = numSteps + 1;
    logProbs[last] = Math.max(logProbs[last], logProb);
    return;
  }
  tokens.push(label);
  steps.push(numSteps);
  endSteps.push(numSteps + 1);
  logProbs.push(logProb);
}

function checkLength(logProbs: Float32Array, offset: number, numSteps: number, numClasses: number): void {
  if (offset + numSteps * numClasses > logProbs.length) {
    throw new RangeError(
      `CTC log-probs: expected ${numSteps} steps of ${numClasses} classes from ${offset} on, got ${logProbs.length} values.`,
    );
  }
}
