import { SpeechError } from "../errors.ts";
import { alignSequences } from "./align.ts";
import { type ConfidenceMap, calibrate, confidenceTerms, type HeadCalibration } from "./calibration.ts";
import { type NormalizerName, splitWords } from "./normalize.ts";
import type { Transcript } from "./transcript.ts";

/** One answer: how sure the model was, and whether it was right. */
export interface ConfidenceSample {
  readonly confidence: number;
  readonly isRight: boolean;
}

/** The answers of transcripts. */
export interface JudgedTranscript {
  readonly words: readonly ConfidenceSample[];
  readonly tokens: readonly ConfidenceSample[];
}

/** Fewer answers of either kind say nothing of probabilities. */
const MIN_SAMPLES = 20;

/** Confidences of 1/15 belong together, as in the literature (Guo et al. 2017). */
const NUM_BINS = 15;

/**
 * Which words of a transcript are right, by alignment with the reference; a token is right where its word is.
 * @param startsWord whether a token begins a word, as the model's tokenizer has it
 */
export function judgeTranscript(
  { words, tokens }: Pick<Transcript, "words" | "tokens">,
  reference: string,
  normalizer: NormalizerName,
  startsWord: (token: number) => boolean,
): JudgedTranscript {
  const parts = words.map(({ text }) => splitWords(text, normalizer));
  const isRight = rightParts(splitWords(reference, normalizer), parts.flat());
  let next = 0;
  const judged = parts.map((own) => {
    const start = next;
    next += own.length;
    return own.length > 0 && isRight.slice(start, next).every(Boolean);
  });
  const owners = ownersOf(tokens, startsWord);
  // Where words are made of tokens in another way, tokens are left out.
  const isPlain = owners.at(-1) === words.length - 1;
  return {
    words: words.flatMap(({ confidence }, i) => sample(confidence, parts[i].length > 0, judged[i])),
    tokens: isPlain ? tokens.flatMap(({ confidence }, i) => sample(confidence, true, judged[owners[i]])) : [],
  };
}

function sample(confidence: number | undefined, isSpeech: boolean, isRight: boolean): ConfidenceSample[] {
  return confidence === undefined || !isSpeech ? [] : [{ confidence, isRight }];
}

function rightParts(reference: readonly string[], parts: readonly string[]): boolean[] {
  return alignSequences(reference, parts).flatMap((row) => (row.kind === "deletion" ? [] : [row.kind === "equal"]));
}

/** The word of each token. */
function ownersOf(tokens: Transcript["tokens"], startsWord: (token: number) => boolean): number[] {
  let word = -1;
  return tokens.map(({ id }) => {
    if (word < 0 || startsWord(id)) word++;
    return word;
  });
}

/**
 * Expected calibration error: how far confidence and the share that is right lie apart, over 15 bins of equal width,
 * weighted by their numbers; 0 where both agree everywhere, or where there is nothing.
 */
export function calibrationError(samples: readonly ConfidenceSample[]): number {
  const bins = Array.from({ length: NUM_BINS }, () => ({ confidence: 0, right: 0 }));
  for (const { confidence, isRight } of samples) {
    const bin = bins[Math.min(NUM_BINS - 1, Math.max(0, Math.floor(confidence * NUM_BINS)))];
    bin.confidence += confidence;
    if (isRight) bin.right++;
  }
  return (
    bins.reduce((sum, { confidence, right }) => sum + Math.abs(confidence - right), 0) / Math.max(1, samples.length)
  );
}

/** Chance that a right answer is surer than a wrong one (area under the ROC curve); a monotone map does not change it. */
export function confidenceRanking(samples: readonly ConfidenceSample[]): number {
  const sorted = [...samples].sort((x, y) => x.confidence - y.confidence);
  let numWrong = 0;
  let pairs = 0;
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (end < sorted.length && sorted[end].confidence === sorted[i].confidence) end++;
    const right = sorted.slice(i, end).filter(({ isRight }) => isRight).length;
    const wrong = end - i - right;
    pairs += right * (numWrong + wrong / 2);
    numWrong += wrong;
    i = end;
  }
  return pairs / (numWrong * (samples.length - numWrong));
}

/**
 * Fits the map under which the answers are likeliest, by Newton's method. A weight that comes out below 0 would turn the
 * order of answers round: it is set to 0 and the rest is fitted again, as Kull et al. do.
 * @throws SpeechError `LIMIT_EXCEEDED` for fewer than 20 right or 20 wrong answers
 */
export function fitConfidenceMap(samples: readonly ConfidenceSample[]): ConfidenceMap {
  const numRight = samples.filter(({ isRight }) => isRight).length;
  if (Math.min(numRight, samples.length - numRight) < MIN_SAMPLES) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `calibration: expected at least ${MIN_SAMPLES} right and ${MIN_SAMPLES} wrong answers, got ${numRight} and ${samples.length - numRight}. Give more recordings.`,
    );
  }
  const terms = samples.map(({ confidence }) => confidenceTerms(confidence));
  const targets = samples.map(({ isRight }) => (isRight ? 1 : 0));
  let used = [true, true];
  for (;;) {
    const [a, b, c] = fitLogistic(
      terms.map(([low, high]) => [used[0] ? low : 0, used[1] ? high : 0, 1]),
      targets,
    );
    if (a >= 0 && b >= 0) return { a: used[0] ? a : 0, b: used[1] ? b : 0, c };
    used = a < b ? [false, used[1]] : [used[0], false];
  }
}

/** What a map does to answers that it was not fitted on. */
export interface CalibrationReport {
  readonly number: number;
  /** Share that is right. */
  readonly share: number;
  /** Expected calibration error. */
  readonly before: number;
  readonly after: number;
  /** As `confidenceRanking`. */
  readonly ranking: number;
}

/** Measures a map on answers that it was not fitted on. */
export function reportCalibration(held: readonly ConfidenceSample[], map: ConfidenceMap): CalibrationReport {
  const after = held.map(({ confidence, isRight }) => ({ confidence: calibrate(map, confidence), isRight }));
  return {
    number: held.length,
    share: held.filter(({ isRight }) => isRight).length / held.length,
    before: calibrationError(held),
    after: calibrationError(after),
    ranking: confidenceRanking(held),
  };
}

/**
 * Calibrates a head on every second transcript, and reports on the others.
 * @throws SpeechError `LIMIT_EXCEEDED` as `fitConfidenceMap`
 */
export function calibrateHead(judged: readonly JudgedTranscript[]): {
  readonly head: HeadCalibration;
  readonly report: Readonly<Record<keyof HeadCalibration, CalibrationReport>>;
} {
  const half = (kind: keyof JudgedTranscript, remainder: number) =>
    judged.flatMap((each, i) => (i % 2 === remainder ? each[kind] : []));
  const word = fitConfidenceMap(half("words", 0));
  const token = fitConfidenceMap(half("tokens", 0));
  return {
    head: { token, word },
    report: { token: reportCalibration(half("tokens", 1), token), word: reportCalibration(half("words", 1), word) },
  };
}

/** Enough for 1e-12: the likelihood has one maximum, and Newton's method doubles its digits. */
const NUM_STEPS = 50;
/** Holds weights whose column is zero at zero, and others within reach where answers are all of one kind. */
const RIDGE = 1e-3;

/** Weights of a logistic regression over three columns. */
function fitLogistic(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  let weights = [0, 0, 0];
  let loss = lossOf(rows, targets, weights);
  for (let step = 0; step < NUM_STEPS; step++) {
    const gradient = weights.map((w) => RIDGE * w);
    const hessian = weights.map((_, i) => weights.map((_, j) => (i === j ? RIDGE : 0)));
    rows.forEach((row, n) => {
      const p = 1 / (1 + Math.exp(-dot(row, weights)));
      for (let i = 0; i < 3; i++) {
        gradient[i] += (p - targets[n]) * row[i];
        for (let j = 0; j < 3; j++) hessian[i][j] += p * (1 - p) * row[i] * row[j];
      }
    });
    const move = solve(hessian, gradient);
    // Far from the maximum a whole step may go beyond it.
    let size = 1;
    let next = weights;
    let nextLoss = loss;
    for (; size > 1e-6; size /= 2) {
      next = weights.map((w, i) => w - size * move[i]);
      nextLoss = lossOf(rows, targets, next);
      if (nextLoss <= loss) break;
    }
    if (!(nextLoss < loss - 1e-12)) break;
    weights = next;
    loss = nextLoss;
  }
  return weights;
}

const dot = (x: readonly number[], y: readonly number[]) => x[0] * y[0] + x[1] * y[1] + x[2] * y[2];

/** Minus the log-likelihood, with the ridge. */
function lossOf(rows: readonly (readonly number[])[], targets: readonly number[], weights: readonly number[]): number {
  let loss = (RIDGE / 2) * dot(weights, weights);
  rows.forEach((row, n) => {
    const score = dot(row, weights) * (2 * targets[n] - 1);
    loss += score > 0 ? Math.log1p(Math.exp(-score)) : Math.log1p(Math.exp(score)) - score;
  });
  return loss;
}

/** `matrix · x = right` for a positive definite matrix (Cramer's rule would do, elimination reads better). */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  for (let i = 0; i < 3; i++) {
    for (let k = 0; k < 3; k++) {
      if (k === i) continue;
      const factor = rows[k][i] / rows[i][i];
      rows[k] = rows[k].map((value, j) => value - factor * rows[i][j]);
    }
  }
  return rows.map((row, i) => row[3] / row[i]);
}
