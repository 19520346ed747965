import { checkArgument, checkObject } from "../arguments.ts";
import { CONFIDENCE_WORDS } from "../config/decoding.ts";
import type { ConfidenceSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";

/** How the confidences of several steps or tokens become one. */
export type Aggregation = ConfidenceSpec["aggregation"];

/**
 * Confidence of one distribution. `values[start … end)` are logits or log-probabilities, blank included, and
 * `logSum` is what makes them log-probabilities when subtracted (0 where they are that already).
 */
export type StepConfidence = (values: Float32Array, start: number, end: number, logSum: number) => number;

/** NeMo puts this in place of -∞ (`torch.nan_to_num`), so that `0 · -∞` does not become NaN. */
const LOWEST_FLOAT32 = -3.4028234663852886e38;

/** A part of a confidence method that no method has. */
interface ConfidenceFault {
  readonly part: keyof ConfidenceSpec;
  readonly expected: string;
  readonly value: unknown;
}

/** The first part of a confidence method that NeMo does not know; parts that are left out are none. */
function confidenceFault(confidence: Partial<ConfidenceSpec>): ConfidenceFault | undefined {
  const parts: Record<keyof ConfidenceSpec, readonly unknown[] | "a number"> = {
    ...CONFIDENCE_WORDS,
    alpha: "a number",
    excludeBlank: [true, false],
    tdtIncludeDuration: [true, false],
  };
  for (const part of Object.keys(parts) as (keyof ConfidenceSpec)[]) {
    const value: unknown = confidence[part];
    const known = parts[part];
    const isKnown = known === "a number" ? typeof value === "number" : known.includes(value);
    if (value === undefined || isKnown) continue;
    const expected = known === "a number" ? known : known.map((each) => JSON.stringify(each)).join(" or ");
    return { part, expected, value };
  }
  return undefined;
}

/** Refuses a confidence method, or parts of one, that NeMo does not know. @throws ArgumentError */
export function checkConfidence(where: string, confidence: Partial<ConfidenceSpec>): void {
  checkObject(where, confidence);
  const fault = confidenceFault(confidence);
  if (!fault) return;
  checkArgument(false, `${where}.${fault.part}`, fault.expected, fault.value, "Leave it out, or give one.");
}

/** Refuses the same in a file, with what to do about it. @throws SpeechError `FORMAT_INVALID` */
export function checkStoredConfidence(where: string, confidence: Partial<ConfidenceSpec>, advice: string): void {
  const fault = confidenceFault(confidence);
  if (!fault) return;
  const { part, expected, value } = fault;
  throw new SpeechError(
    "FORMAT_INVALID",
    `${where}.${part}: expected ${expected}, got ${JSON.stringify(value)}. ${advice}`,
  );
}

/**
 * Makes the confidence method of a configuration: a normalised largest probability, or a normalised entropy (Gibbs,
 * Tsallis, Rényi) of the distribution at one step; 0 is a uniform distribution, 1 a certain one.
 *
 * Formulas as in NeMo `get_confidence_measure_bank` (asr_confidence_utils.py, 3.0.0). `numClasses` is the vocabulary
 * with blank. NeMo normalises the durations of a TDT model by the same number, and so does a caller who gives this
 * method durations.
 * @throws ArgumentError for a method that NeMo does not know; RangeError for an `alpha` that is not above 0, or fewer
 * than 2 classes
 */
export function createStepConfidence(spec: ConfidenceSpec, numClasses: number): StepConfidence {
  checkConfidence("confidence", spec);
  const { alpha } = spec;
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new RangeError(
      `confidence.alpha: expected a finite number above 0, got ${alpha}. Leave it out, or give one.`,
    );
  }
  if (!(numClasses >= 2)) throw new RangeError(`confidence: expected at least 2 classes, got ${numClasses}.`);
  if (spec.method === "max_prob") return maxProbability(alpha, numClasses);
  const fromSums = entropyConfidence(spec, numClasses);
  return spec.entropyType === "gibbs" || alpha === 1
    ? (values, start, end, logSum) => fromSums(weightedLogSum(values, start, end, logSum, alpha))
    : (values, start, end, logSum) => fromSums(powerSum(values, start, end, logSum, alpha));
}

/** The natural logarithm of `Σ exp(values[start … end))`. */
export function logSumExp(values: Float32Array, start: number, end: number): number {
  let max = -Infinity;
  for (let i = start; i < end; i++) if (values[i] > max) max = values[i];
  if (!Number.isFinite(max)) return max;
  let sum = 0;
  for (let i = start; i < end; i++) sum += Math.exp(values[i] - max);
  return max + Math.log(sum);
}

/** Several confidences as one (NeMo `get_confidence_aggregation_bank`). `values` must not be empty. */
export function aggregateConfidence(values: readonly number[], aggregation: Aggregation): number {
  if (values.length === 0) throw new RangeError("aggregateConfidence: expected at least one value, got none.");
  let total = values[0];
  for (let i = 1; i < values.length; i++) total = addConfidence(total, values[i], aggregation);
  return aggregation === "mean" ? total / values.length : total;
}

/** One more confidence into a running total; a mean is the total divided by the number of members. */
export function addConfidence(total: number, value: number, aggregation: Aggregation): number {
  switch (aggregation) {
    case "min":
      return Math.min(total, value);
    case "max":
      return Math.max(total, value);
    case "mean":
      return total + value;
    case "prod":
      return total * value;
  }
}

function maxProbability(alpha: number, numClasses: number): StepConfidence {
  const scale = numClasses ** alpha;
  return (values, start, end, logSum) => {
    let max = -Infinity;
    for (let i = start; i < end; i++) if (values[i] > max) max = values[i];
    return (Math.exp((max - logSum) * alpha) * scale - 1) / (scale - 1);
  };
}

/** `Σ p^alpha`. */
function powerSum(values: Float32Array, start: number, end: number, logSum: number, alpha: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += Math.exp((values[i] - logSum) * alpha);
  return sum;
}

/** `Σ p^alpha · ln p`. */
function weightedLogSum(values: Float32Array, start: number, end: number, logSum: number, alpha: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) {
    const logProb = Math.max(values[i] - logSum, LOWEST_FLOAT32);
    sum += Math.exp(logProb * alpha) * logProb;
  }
  return sum;
}

/** Maps the sum over classes (which one: see `createStepConfidence`) to the interval from 0 to 1. */
function entropyConfidence(spec: ConfidenceSpec, numClasses: number): (sum: number) => number {
  const { alpha, entropyType, entropyNorm } = spec;
  const isLinear = entropyNorm === "lin";
  const logClasses = Math.log(numClasses);
  // Every type is Shannon's entropy at 1.
  if (alpha === 1) {
    return isLinear ? (sum) => 1 + sum / logClasses : (sum) => (Math.exp(sum) * numClasses - 1) / (numClasses - 1);
  }
  const classPower = numClasses ** (1 - alpha);
  if (entropyType === "gibbs") {
    if (isLinear) return (sum) => 1 + sum / logClasses / classPower;
    const lowest = numClasses ** (-alpha * classPower);
    return (sum) => (Math.exp(sum * alpha) - lowest) / (1 - lowest);
  }
  if (entropyType === "tsallis") {
    if (isLinear) return (sum) => 1 + (1 - sum) / (classPower - 1);
    const lowest = Math.exp((1 - classPower) / (1 - alpha));
    return (sum) => (Math.exp((1 - sum) / (1 - alpha)) - lowest) / (1 - lowest);
  }
  return isLinear
    ? (sum) => 1 + Math.log2(sum) / (alpha - 1) / Math.log2(numClasses)
    : (sum) => (sum ** (1 / (alpha - 1)) * numClasses - 1) / (numClasses - 1);
}
