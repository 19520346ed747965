import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConfidenceSpec } from "../../src/config/spec.ts";
import { aggregateConfidence, createStepConfidence } from "../../src/decoding/confidence.ts";
import { cloneCtcState, createCtcDecoder, decodeCtc } from "../../src/decoding/ctc.ts";
import type { Hypothesis } from "../../src/decoding/hypothesis.ts";
import { closeHypothesis } from "../../src/decoding/open-hypothesis.ts";

const CONFIDENCE: ConfidenceSpec = {
  excludeBlank: true,
  aggregation: "mean",
  tdtIncludeDuration: false,
  method: "max_prob",
  entropyType: "tsallis",
  alpha: 1,
  entropyNorm: "exp",
};

/** Log-probabilities `[step, class]` whose best labels are the given ones, each step with a probability of its own. */
function logProbsOf(labels: readonly number[], numClasses: number): Float32Array {
  const values = new Float32Array(labels.length * numClasses);
  labels.forEach((label, t) => {
    const p = 0.6 + (0.39 * ((t * 7) % 10)) / 10;
    for (let c = 0; c < numClasses; c++) {
      values[t * numClasses + c] = Math.log(c === label ? p : (1 - p) / (numClasses - 1));
    }
  });
  return values;
}

/** What NeMo does after the fact: fold the labels, then look up the frames of each token. */
function decodePlainly(labels: readonly number[], logProbs: Float32Array, spec: ConfidenceSpec): Hypothesis {
  const numClasses = logProbs.length / labels.length;
  const blank = numClasses - 1;
  const measure = createStepConfidence(spec, numClasses);
  const starts = labels.flatMap((p, t) => (p !== blank && (t === 0 || p !== labels[t - 1]) ? [t] : []));
  const ends = starts.map((start) => {
    const length = labels.slice(start).findIndex((p) => p !== labels[start]);
    return length < 0 ? labels.length : start + length;
  });
  const confidence = starts.map((start, i) => {
    const end = spec.excludeBlank ? ends[i] : (starts[i + 1] ?? labels.length);
    const steps = Array.from({ length: end - start }, (_, k) => (start + k) * numClasses);
    return aggregateConfidence(
      steps.map((at) => measure(logProbs, at, at + numClasses, 0)),
      spec.aggregation,
    );
  });
  return {
    tokens: starts.map((start) => labels[start]),
    steps: starts,
    endSteps: ends,
    logProbs: starts.map((start, i) =>
      Math.max(
        ...Array.from({ length: ends[i] - start }, (_, k) => logProbs[(start + k) * numClasses + labels[start]]),
      ),
    ),
    confidence,
    numSteps: labels.length,
  };
}

describe("createCtcDecoder", () => {
  test("finds what folding the whole label sequence finds, for any cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }),
        fc.array(fc.nat(9), { maxLength: 8 }),
        fc.boolean(),
        fc.constantFrom<ConfidenceSpec["aggregation"]>("min", "max", "mean", "prod"),
        (labels, cuts, excludeBlank, aggregation) => {
          const logProbs = logProbsOf(labels, 4);
          const confidence = { ...CONFIDENCE, excludeBlank, aggregation };
          const decoder = createCtcDecoder({ numClasses: 4, confidence });
          let state = decoder.createState();
          let done = 0;
          for (const size of [...cuts, labels.length]) {
            const numSteps = Math.min(size, labels.length - done);
            decoder.push(state, logProbs, numSteps, done * 4);
            done += numSteps;
            state = cloneCtcState(state);
          }
          expect(closeHypothesis(state.hypothesis)).toEqual(decodePlainly(labels, logProbs, confidence));
        },
      ),
      { numRuns: 500, seed: 2 },
    );
  });

  test("keeps what it gave out unchanged when more is decoded", () => {
    const decoder = createCtcDecoder({ numClasses: 3 });
    const state = decoder.createState();
    decoder.push(state, logProbsOf([0, 0], 3), 2);
    const first = closeHypothesis(state.hypothesis);
    decoder.push(state, logProbsOf([0, 1], 3), 2);
    expect(first).toMatchObject({ tokens: [0], endSteps: [2], numSteps: 2 });
    expect(closeHypothesis(state.hypothesis)).toMatchObject({ tokens: [0, 1], steps: [0, 3], endSteps: [3, 4] });
  });

  test("takes no token from log-probs that are not numbers", () => {
    const decoder = createCtcDecoder({ numClasses: 3 });
    expect(() => decoder.push(decoder.createState(), new Float32Array(3).fill(Number.NaN), 1)).toThrowError(
      expect.objectContaining({
        code: "RUNTIME_FAILED",
        message:
          "CTC log-probs: expected 3 numbers, got none (NaN or -Infinity). The model's weights or the recording hold values that are not numbers.",
      }),
    );
  });

  test("refuses more steps than there are", () => {
    const decoder = createCtcDecoder({ numClasses: 3 });
    expect(() => decoder.push(decoder.createState(), new Float32Array(8), 3)).toThrowError(
      new RangeError("CTC log-probs: expected 3 steps of 3 classes from 0 on, got 8 values."),
    );
  });
});

describe("decodeCtc", () => {
  test("reads only the valid steps of each row of a batch", () => {
    const data = logProbsOf([0, 2, 1, 1, 1, 0, 0, 0], 3);
    const hypotheses = decodeCtc({ data, dims: [2, 4, 3] }, [3, 2], { numClasses: 3 });
    expect(hypotheses.map((h) => h.tokens)).toEqual([
      [0, 1],
      [1, 0],
    ]);
    expect(hypotheses.map((h) => h.numSteps)).toEqual([3, 2]);
    expect(hypotheses[0].confidence).toBeUndefined();
  });

  test("refuses dims that do not fit and lengths beyond the batch", () => {
    const data = new Float32Array(24);
    expect(() => decodeCtc({ data, dims: [2, 4, 3] }, [3, 2], { numClasses: 4 })).toThrowError(
      new RangeError("CTC log-probs: expected dims [2, step, 4], got [2, 4, 3]."),
    );
    expect(() => decodeCtc({ data, dims: [2, 4, 3] }, [3, 5], { numClasses: 3 })).toThrowError(
      new RangeError("CTC log-probs: expected from 0 to 4 steps in row 1, got 5."),
    );
  });
});
