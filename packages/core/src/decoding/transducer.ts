import type { ConfidenceSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { createStepConfidence } from "./confidence.ts";
import { openHypothesis } from "./open-hypothesis.ts";
import type { TransducerState } from "./transducer-state.ts";
import { type Cursor, takeBlock, type WalkRules } from "./transducer-walk.ts";

/**
 * The two small networks of a transducer, as the greedy loop sees them: functions of rows. Row counts differ from call
 * to call; results belong to the caller.
 */
export interface TransducerNetworks {
  /** Width of the joint space: of an encoder row and of a prediction row, both projected. */
  readonly jointSize: number;
  /** Width of a prediction row where the joint network itself projects both, as in graphs of other tools. */
  readonly predictionSize?: number;
  /** Outputs of the joint network: vocabulary, blank, and for TDT one for each duration. */
  readonly numOutputs: number;
  /** One recording's prediction network state before the first token (`lstm`: zeros, `stateless`: blanks). */
  readonly initialState: Float32Array;
  /** Advances the prediction network by one token in each row. `states` is `[row, state]`. */
  predict(tokens: Int32Array, states: Float32Array): Promise<PredictionRows>;
  /** Raw logits `[row, output]` of encoder rows and prediction rows, both `[row, joint]`. */
  joint(encoderRows: Float32Array, predictionRows: Float32Array): Promise<Float32Array>;
}

/** What the prediction network gives: `outputs` `[row, joint]` (or `[row, prediction]`) and `states` `[row, state]`. */
export interface PredictionRows {
  readonly outputs: Float32Array;
  readonly states: Float32Array;
}

/** What greedy transducer decoding needs to know of a model. */
export interface TransducerOptions {
  /** The id of blank, which is the size of the vocabulary. */
  readonly blank: number;
  /** The durations a TDT model chooses from, in steps; empty for RNNT. */
  readonly durations: readonly number[];
  /** Tokens at one step at most; undefined for no limit. */
  readonly maxSymbols: number | undefined;
  /** The checkpoint's `decoding.strategy`: TDT models are walked differently by `greedy` and by `greedy_batch`. */
  readonly strategy?: string;
  /** Computes the confidence of every token by this method; none without it. */
  readonly confidence?: ConfidenceSpec;
  /** How many steps one call of the joint network evaluates for a recording, at most. */
  readonly maxBlockSteps?: number;
  /** How many rows one call of the joint network evaluates, as far as that leaves a step for every recording. */
  readonly maxBlockRows?: number;
}

/** The next steps of one recording. */
export interface TransducerChunk {
  readonly state: TransducerState;
  /** Encoder rows projected to the joint space, `[step, joint]`. */
  readonly encoded: Float32Array;
  readonly numSteps: number;
}

/** Greedy transducer decoding of any number of recordings, each with a state of its own. */
export interface TransducerDecoder {
  createState(): TransducerState;
  /**
   * Decodes the next steps of several recordings together. However recordings are cut into chunks and whatever is
   * decoded beside them, their hypotheses are the same.
   * @throws SpeechError `RUNTIME_FAILED` when a network fails or gives no numbers, `LIMIT_EXCEEDED` when a model
   * without a limit emits tokens at one step without end. The states are of no use after an error.
   */
  push(chunks: readonly TransducerChunk[]): Promise<void>;
}

const MAX_BLOCK_STEPS = 8;

/** With as many rows the fixed cost of a call is small beside the product itself. */
const MAX_BLOCK_ROWS = 32;

/**
 * Makes the greedy decoder of RNNT, stateless and TDT models: one loop for all of them.
 *
 * A step is evaluated until its best label is blank (or `maxSymbols` tokens were emitted), then the next one follows;
 * in TDT models the best duration says how far on, blanks advance by one at least. This is NeMo's label looping
 * (`rnnt_label_looping.py`, `tdt_label_looping.py`, 3.0.0; the TDT batch there mixes up durations of batch mates, so
 * a recording alone is the reference). TDT models that ask for `strategy: greedy` are walked as its `GreedyTDTInfer` does.
 *
 * The prediction network advances only where a token was emitted. Between two tokens its output is the same, so one
 * call of the joint network evaluates a block of steps ahead, for all recordings at once: up to the first token they
 * are what a loop by single steps finds, and the rest is dropped. How far to look ahead follows the recent distances
 * between tokens.
 */
export function createTransducerDecoder(networks: TransducerNetworks, options: TransducerOptions): TransducerDecoder {
  const rules = createRules(networks, options);
  return {
    createState: () => createState(networks, rules),
    async push(chunks) {
      for (const chunk of chunks) checkChunk(chunk, networks);
      let cursors = chunks.map(startCursor).filter(isActive);
      const scratch = createScratch(networks, cursors.length, rules);
      while (cursors.length > 0) {
        await refreshPredictions(networks, cursors, scratch);
        const logits = await evaluateBlocks(networks, cursors, scratch, rules);
        let start = 0;
        for (const cursor of cursors) {
          const { blockSteps } = cursor;
          takeBlock(cursor, logits, start, rules);
          start += blockSteps * networks.numOutputs;
        }
        cursors = cursors.filter(isActive);
      }
      for (const chunk of chunks) chunk.state.hypothesis.numSteps += chunk.numSteps;
    },
  };
}

/** The options, checked and with defaults. */
interface Rules extends WalkRules {
  readonly maxBlockSteps: number;
  readonly maxBlockRows: number;
}

interface Scratch {
  readonly encoderRows: Float32Array;
  readonly predictionRows: Float32Array;
  readonly tokens: Int32Array;
  readonly states: Float32Array;
}

function createRules(networks: TransducerNetworks, options: TransducerOptions): Rules {
  const { blank, durations, maxSymbols, confidence } = options;
  const numOutputs = blank + 1 + durations.length;
  if (networks.numOutputs !== numOutputs) {
    throw new SpeechError(
      "MODEL_INVALID",
      `joint network: expected ${numOutputs} outputs (${blank} tokens, blank, ${durations.length} durations), got ${networks.numOutputs}. The checkpoint's vocabulary and durations do not fit its tensors.`,
    );
  }
  if (!durations.every((duration) => Number.isInteger(duration) && duration >= 0)) {
    throw new SpeechError(
      "MODEL_INVALID",
      `TDT durations: expected whole numbers of steps from 0 up, got [${durations.join(", ")}]. The checkpoint's configuration is damaged.`,
    );
  }
  if (maxSymbols !== undefined && !(Number.isInteger(maxSymbols) && maxSymbols >= 1)) {
    throw new RangeError(
      `options.maxSymbols: expected a whole number from 1 up, got ${maxSymbols}. Leave it out, or give one.`,
    );
  }
  return {
    blank,
    durations,
    numOutputs,
    maxSymbols,
    isSequential: durations.length > 0 && options.strategy === "greedy",
    maxBlockSteps: options.maxBlockSteps ?? MAX_BLOCK_STEPS,
    maxBlockRows: options.maxBlockRows ?? MAX_BLOCK_ROWS,
    confidence,
    stepConfidence: confidence && createStepConfidence(confidence, blank + 1),
  };
}

function predictionSizeOf(networks: TransducerNetworks): number {
  return networks.predictionSize ?? networks.jointSize;
}

function createState(networks: TransducerNetworks, rules: Rules): TransducerState {
  return {
    hypothesis: openHypothesis({
      durations: rules.durations.length > 0,
      confidence: rules.stepConfidence !== undefined,
    }),
    predictionState: networks.initialState.slice(),
    predictionOutput: new Float32Array(predictionSizeOf(networks)),
    lastToken: rules.blank,
    isStale: true,
    skipSteps: 0,
    runSteps: 0,
    typicalRunSteps: 2,
  };
}

function checkChunk({ encoded, numSteps, state }: TransducerChunk, networks: TransducerNetworks): void {
  if (!(numSteps >= 0 && numSteps * networks.jointSize <= encoded.length)) {
    throw new RangeError(
      `transducer: expected ${numSteps} encoder rows of ${networks.jointSize}, got ${encoded.length} values.`,
    );
  }
  if (state.predictionState.length !== networks.initialState.length) {
    throw new RangeError(
      `transducer: expected a state of ${networks.initialState.length} numbers, got ${state.predictionState.length}. It belongs to another model.`,
    );
  }
}

function startCursor(chunk: TransducerChunk): Cursor {
  const { state, encoded, numSteps } = chunk;
  const cursor = { state, encoded, numSteps, step: state.skipSteps, symbolsAtStep: 0, blockSteps: 0 };
  state.skipSteps = Math.max(0, state.skipSteps - numSteps);
  return cursor;
}

function isActive(cursor: Cursor): boolean {
  return cursor.step < cursor.numSteps;
}

function createScratch(networks: TransducerNetworks, numRecordings: number, rules: Rules): Scratch {
  // The rows of a call: as many as allowed, but one for every recording in any case.
  const numRows = Math.max(numRecordings, Math.min(rules.maxBlockRows, numRecordings * rules.maxBlockSteps));
  return {
    encoderRows: new Float32Array(numRows * networks.jointSize),
    predictionRows: new Float32Array(numRows * predictionSizeOf(networks)),
    tokens: new Int32Array(numRecordings),
    states: new Float32Array(numRecordings * networks.initialState.length),
  };
}

/** Feeds the last token to the prediction network where that has not been done yet. */
async function refreshPredictions(networks: TransducerNetworks, cursors: Cursor[], scratch: Scratch): Promise<void> {
  const predictionSize = predictionSizeOf(networks);
  const stateSize = networks.initialState.length;
  let numRows = 0;
  for (const { state } of cursors) {
    if (!state.isStale) continue;
    scratch.tokens[numRows] = state.lastToken;
    scratch.states.set(state.predictionState, numRows * stateSize);
    numRows++;
  }
  if (numRows === 0) return;
  const { outputs, states } = await networks.predict(
    scratch.tokens.subarray(0, numRows),
    scratch.states.subarray(0, numRows * stateSize),
  );
  checkResult("prediction network output", outputs, numRows * predictionSize);
  checkResult("prediction network state", states, numRows * stateSize);
  let row = 0;
  for (const { state } of cursors) {
    if (!state.isStale) continue;
    state.predictionOutput.set(outputs.subarray(row * predictionSize, (row + 1) * predictionSize));
    state.predictionState.set(states.subarray(row * stateSize, (row + 1) * stateSize));
    state.isStale = false;
    row++;
  }
}

/** Evaluates a block of steps of every recording in one call; `[row, output]`, a recording's steps one after another. */
async function evaluateBlocks(
  networks: TransducerNetworks,
  cursors: Cursor[],
  scratch: Scratch,
  rules: Rules,
): Promise<Float32Array> {
  const { jointSize } = networks;
  const predictionSize = predictionSizeOf(networks);
  const limit = Math.max(1, Math.min(rules.maxBlockSteps, Math.floor(rules.maxBlockRows / cursors.length)));
  let numRows = 0;
  for (const cursor of cursors) {
    const { state, encoded, numSteps, step } = cursor;
    cursor.blockSteps = Math.min(limit, numSteps - step, lookahead(state));
    const rows = encoded.subarray(step * jointSize, (step + cursor.blockSteps) * jointSize);
    scratch.encoderRows.set(rows, numRows * jointSize);
    for (let i = 0; i < cursor.blockSteps; i++) {
      scratch.predictionRows.set(state.predictionOutput, (numRows + i) * predictionSize);
    }
    numRows += cursor.blockSteps;
  }
  const logits = await networks.joint(
    scratch.encoderRows.subarray(0, numRows * jointSize),
    scratch.predictionRows.subarray(0, numRows * predictionSize),
  );
  checkResult("joint network output", logits, numRows * networks.numOutputs);
  return logits;
}

/** How many steps the next token is probably away: what is left of a usual run, or as long again as a long one. */
function lookahead({ runSteps, typicalRunSteps }: TransducerState): number {
  return 1 + Math.ceil(runSteps < typicalRunSteps ? typicalRunSteps - runSteps : runSteps);
}

function checkResult(where: string, values: Float32Array, expected: number): void {
  if (values.length !== expected) {
    throw new SpeechError(
      "RUNTIME_FAILED",
      `${where}: expected ${expected} values, got ${values.length}. The graph does not fit the model's description.`,
    );
  }
}
