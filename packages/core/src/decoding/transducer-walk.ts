import type { ConfidenceSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { argmax } from "./argmax.ts";
import { aggregateConfidence, logSumExp, type StepConfidence } from "./confidence.ts";
import { addStepConfidence } from "./open-hypothesis.ts";
import type { TransducerState } from "./transducer-state.ts";

/** What decides on tokens. */
export interface WalkRules {
  readonly blank: number;
  readonly durations: readonly number[];
  readonly numOutputs: number;
  /** Undefined for no limit. */
  readonly maxSymbols: number | undefined;
  /** TDT as NeMo's `strategy: greedy` walks it (see `moveSequentially`), not as its `greedy_batch`. */
  readonly isSequential: boolean;
  readonly confidence: ConfidenceSpec | undefined;
  readonly stepConfidence: StepConfidence | undefined;
}

/** A recording's place in its chunk. */
export interface Cursor {
  readonly state: TransducerState;
  /** Encoder rows of the chunk, `[step, joint]`. */
  readonly encoded: Float32Array;
  readonly numSteps: number;
  /** The next step to evaluate, in the chunk. */
  step: number;
  symbolsAtStep: number;
  /** Steps that the current call of the joint network evaluates. */
  blockSteps: number;
}

/** Where a model sets no limit: far more than speech has in one step, few enough to stop a model that never blanks. */
const MAX_SYMBOLS_WITHOUT_LIMIT = 10_000;

/** Walks through a block as the loop by single steps does, up to the first token or the block's end. */
export function takeBlock(cursor: Cursor, logits: Float32Array, start: number, rules: WalkRules): void {
  const { state, step: firstStep } = cursor;
  const { blank, durations, numOutputs } = rules;
  const endStep = firstStep + cursor.blockSteps;
  while (cursor.step < endStep) {
    const row = start + (cursor.step - firstStep) * numOutputs;
    const endOfTokens = row + blank + 1;
    const label = argmax(logits, row, endOfTokens, "joint network");
    const duration =
      durations.length === 0 ? 0 : durations[argmax(logits, endOfTokens, row + numOutputs, "joint network")];
    const isBlank = label === blank;
    if (!isBlank) emit(cursor, label, duration, logits, row, rules);
    else if (rules.confidence?.excludeBlank === false) addBlankConfidence(cursor, logits, row, rules);
    if (rules.isSequential) moveSequentially(cursor, isBlank, duration, rules);
    else advance(cursor, isBlank ? Math.max(1, duration) : duration);
    if (isBlank) continue;
    checkSymbols(cursor, rules);
    break;
  }
  state.skipSteps = Math.max(0, cursor.step - cursor.numSteps);
}

function advance(cursor: Cursor, numSteps: number): void {
  if (numSteps === 0) return;
  cursor.step += numSteps;
  cursor.state.runSteps += numSteps;
  cursor.symbolsAtStep = 0;
}

/**
 * NeMo's `GreedyTDTInfer` counts blanks and tokens that jump as symbols of a step too, and where the count reaches
 * `maxSymbols` it goes on by one step more than the last of them says. A blank without duration is asked for again and
 * again until then.
 */
function moveSequentially(cursor: Cursor, isBlank: boolean, duration: number, rules: WalkRules): void {
  if (isBlank) cursor.symbolsAtStep++;
  const isLast = cursor.symbolsAtStep === rules.maxSymbols || (isBlank && duration === 0);
  advance(cursor, isLast ? duration + 1 : duration);
}

/** After the last symbol that a step may have, goes on to the next step. */
function checkSymbols(cursor: Cursor, rules: WalkRules): void {
  if (cursor.symbolsAtStep < (rules.maxSymbols ?? MAX_SYMBOLS_WITHOUT_LIMIT)) return;
  if (rules.maxSymbols === undefined) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `transducer: expected fewer than ${MAX_SYMBOLS_WITHOUT_LIMIT} tokens at one step, got as many. Set \`decoding.greedy.max_symbols\`.`,
    );
  }
  advance(cursor, 1);
}

function emit(
  cursor: Cursor,
  token: number,
  duration: number,
  logits: Float32Array,
  row: number,
  rules: WalkRules,
): void {
  const { state } = cursor;
  const { hypothesis } = state;
  const step = hypothesis.numSteps + cursor.step;
  const logSum = logSumExp(logits, row, row + rules.blank + 1);
  hypothesis.tokens.push(token);
  hypothesis.steps.push(step);
  hypothesis.endSteps.push(hypothesis.durations ? step + duration : step + 1);
  hypothesis.durations?.push(duration);
  hypothesis.logProbs.push(logits[row + token] - logSum);
  if (rules.confidence) {
    addStepConfidence(hypothesis, confidenceAt(logits, row, logSum, rules), rules.confidence.aggregation);
  }
  state.lastToken = token;
  state.isStale = true;
  state.typicalRunSteps += (state.runSteps - state.typicalRunSteps) / 4;
  state.runSteps = 0;
  cursor.symbolsAtStep++;
}

/**
 * Counts a blank into the last token's confidence. NeMo leaves out the blank that ends an RNNT token's own step
 * (`AbstractRNNTDecoding.compute_confidence`, rnnt_decoding.py), not that of a TDT token.
 */
function addBlankConfidence(cursor: Cursor, logits: Float32Array, row: number, rules: WalkRules): void {
  const { hypothesis } = cursor.state;
  const isRnnt = rules.durations.length === 0;
  if (!rules.confidence || (isRnnt && cursor.symbolsAtStep > 0)) return;
  const logSum = logSumExp(logits, row, row + rules.blank + 1);
  addStepConfidence(hypothesis, confidenceAt(logits, row, logSum, rules), rules.confidence.aggregation);
}

/** The confidence of one evaluation; with TDT durations included, that of both decisions as one. */
function confidenceAt(logits: Float32Array, row: number, logSum: number, rules: WalkRules): number {
  const { confidence, stepConfidence, durations } = rules;
  if (!confidence || !stepConfidence) throw new Error("unreachable: confidence was not asked for.");
  const endOfTokens = row + rules.blank + 1;
  const ofToken = stepConfidence(logits, row, endOfTokens, logSum);
  if (!confidence.tdtIncludeDuration || durations.length === 0) return ofToken;
  const end = row + rules.numOutputs;
  const ofDuration = stepConfidence(logits, endOfTokens, end, logSumExp(logits, endOfTokens, end));
  return aggregateConfidence([ofToken, ofDuration], confidence.aggregation);
}
