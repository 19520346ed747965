import type { TransducerNetworks } from "../../src/decoding/transducer.ts";

/** A pseudo-random number from 0 to 1 for any integers. */
export function hash(...values: number[]): number {
  let h = 0x811c9dc5;
  for (const value of values) {
    h = Math.imul(h ^ (value & 0xffff), 0x01000193);
    h = Math.imul(h ^ (value >>> 16), 0x01000193);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 32;
}

/** What makes a pair of table networks. */
export interface TableModel {
  readonly seed: number;
  readonly blank: number;
  readonly durations: readonly number[];
  /** What is added to blank's logit. */
  readonly blankLead: number;
}

/** Calls counted by `tableNetworks`. */
export interface Calls {
  predict: number;
  joint: number;
  predictRows: number;
  jointRows: number;
}

/**
 * Networks that are tables: an encoder row is `[id, 0]`, a prediction row `[0, history]`, the state a hash of all tokens
 * so far, and logits are pseudo-random in (id, history).
 */
export function tableNetworks(model: TableModel): { networks: TransducerNetworks; calls: Calls } {
  const calls = { predict: 0, joint: 0, predictRows: 0, jointRows: 0 };
  const numOutputs = model.blank + 1 + model.durations.length;
  const networks: TransducerNetworks = {
    jointSize: 2,
    numOutputs,
    initialState: new Float32Array([1, 7]),
    async predict(tokens, states) {
      calls.predict++;
      calls.predictRows += tokens.length;
      const outputs = new Float32Array(tokens.length * 2);
      const next = new Float32Array(tokens.length * 2);
      for (let row = 0; row < tokens.length; row++) {
        const history = nextHistory(states[row * 2], tokens[row]);
        next.set([history, states[row * 2 + 1] + 1], row * 2);
        outputs[row * 2 + 1] = history;
      }
      return { outputs, states: next };
    },
    async joint(encoderRows, predictionRows) {
      const numRows = encoderRows.length / 2;
      calls.joint++;
      calls.jointRows += numRows;
      const logits = new Float32Array(numRows * numOutputs);
      for (let row = 0; row < numRows; row++) {
        logits.set(tableLogits(model, encoderRows[row * 2], predictionRows[row * 2 + 1]), row * numOutputs);
      }
      return logits;
    },
  };
  return { networks, calls };
}

/** The history after one more token; small enough to be exact as float32. */
export function nextHistory(history: number, token: number): number {
  return Math.floor(hash(history, token) * 2 ** 20);
}

/** The logits of a table model for one step and history. */
export function tableLogits(model: TableModel, id: number, history: number): Float32Array {
  const logits = new Float32Array(model.blank + 1 + model.durations.length);
  for (let i = 0; i < logits.length; i++) logits[i] = 6 * hash(model.seed, id, history, i) - 3;
  logits[model.blank] += model.blankLead;
  return logits;
}

/** Encoder rows of a recording for table networks. */
export function tableRows(recording: number, numSteps: number): Float32Array {
  const rows = new Float32Array(numSteps * 2);
  for (let t = 0; t < numSteps; t++) rows[t * 2] = recording * 1000 + t;
  return rows;
}
