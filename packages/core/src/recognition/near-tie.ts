import type { Hypothesis } from "../decoding/hypothesis.ts";
import type { AcousticModel, Encoded } from "./acoustic.ts";
import type { Head } from "./head-decoder.ts";
import { TOLERANCES } from "./verify-checks.ts";

/** What a reference tells of a hypothesis. */
export interface ExpectedTokens {
  readonly tokens: readonly number[];
  readonly frames?: readonly number[];
  readonly durations?: readonly number[];
}

/**
 * By how much the best choice led where a hypothesis parts from an expected one: the smallest lead among the decisions
 * between the last common token and the first different one. Undefined where they are the same.
 */
export async function leadAtDifference(
  acoustic: AcousticModel,
  head: Head,
  encoded: Encoded,
  row: number,
  found: Hypothesis,
  expected: ExpectedTokens,
): Promise<number | undefined> {
  const first = firstDifference(found, expected);
  if (first === undefined) return undefined;
  const start = first === 0 ? 0 : found.steps[first - 1] + (found.durations?.[first - 1] ?? 0);
  const end = Math.min(first < found.steps.length ? found.steps[first] + 1 : found.numSteps, encoded.numSteps);
  if (start >= end) return undefined;
  const from = row * encoded.numSteps;
  if (head === "ctc") {
    const logProbs = encoded.logProbs as Float32Array;
    const size = logProbs.length / (encoded.numSteps * encoded.lengths.length);
    return smallestLead(logProbs.subarray((from + start) * size, (from + end) * size), size, size);
  }
  const { networks, spec } = acoustic;
  const { transducer } = spec.heads;
  if (!networks || !transducer || !encoded.projected) return undefined;
  const prediction = await predictionAfter(networks, [transducer.vocabularySize, ...found.tokens.slice(0, first)]);
  const rows = encoded.projected.subarray((from + start) * networks.jointSize, (from + end) * networks.jointSize);
  const repeated = new Float32Array((end - start) * prediction.length);
  for (let i = 0; i < end - start; i++) repeated.set(prediction, i * prediction.length);
  return smallestLead(await networks.joint(rows, repeated), networks.numOutputs, transducer.vocabularySize + 1);
}

/** The lead at the first difference where it is too small to decide anything: less than the tolerance of its numbers. */
export async function nearTie(
  ...[acoustic, head, ...rest]: Parameters<typeof leadAtDifference>
): Promise<number | undefined> {
  const lead = await leadAtDifference(acoustic, head, ...rest);
  return lead !== undefined && lead <= TOLERANCES[head === "ctc" ? "log_probs" : "joint"] ? lead : undefined;
}

function firstDifference(found: Hypothesis, expected: ExpectedTokens): number | undefined {
  const { tokens, frames = found.steps, durations = found.durations } = expected;
  for (let i = 0; i < Math.max(found.tokens.length, tokens.length); i++) {
    const isSame =
      found.tokens[i] === tokens[i] && found.steps[i] === frames[i] && found.durations?.[i] === durations?.[i];
    if (!isSame) return i;
  }
  return undefined;
}

async function predictionAfter(
  networks: NonNullable<AcousticModel["networks"]>,
  tokens: readonly number[],
): Promise<Float32Array> {
  let states: Float32Array = networks.initialState;
  let outputs: Float32Array = new Float32Array(0);
  for (const token of tokens) ({ outputs, states } = await networks.predict(Int32Array.of(token), states));
  return outputs;
}

/** The smallest distance of the two largest of any row, among its first `numTokens` values and among those behind. */
function smallestLead(values: Float32Array, size: number, numTokens: number): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let start = 0; start < values.length; start += size) {
    smallest = Math.min(smallest, leadOf(values.subarray(start, start + numTokens)));
    if (size - numTokens > 1) smallest = Math.min(smallest, leadOf(values.subarray(start + numTokens, start + size)));
  }
  return smallest;
}

function leadOf(values: Float32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value > best) {
      second = best;
      best = value;
    } else if (value > second) second = value;
  }
  return best - second;
}
