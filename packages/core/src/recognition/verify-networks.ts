import { logSumExp } from "../decoding/confidence.ts";
import { SpeechError } from "../errors.ts";
import type { AcousticModel, Encoded } from "./acoustic.ts";
import { type Check, compareNumbers, compareTensor, type Reference } from "./verify-checks.ts";

/** The prediction network on a fixed row of tokens, and the joint network on the first steps of the first clip. */
export async function* checkNetworks(
  acoustic: AcousticModel,
  encoded: Encoded | undefined,
  reference: Reference,
): AsyncGenerator<Check> {
  const { networks, predictHidden, spec } = acoustic;
  const tokens = reference.tensors.get("prediction.tokens");
  const output = reference.tensors.get("prediction.out");
  if (!networks || !predictHidden || !tokens || !output || !spec.heads.transducer) return;
  // NeMo puts a zero vector in front of the row for the start of a text; blank gives the same.
  const labels = Array.from(tokens.data as BigInt64Array, Number);
  const { vocabularySize } = spec.heads.transducer;
  checkLabels(labels, vocabularySize);
  const numRows = labels.length + 1;
  const hidden: Float32Array[] = [];
  const projected: Float32Array[] = [];
  let states: Float32Array = networks.initialState;
  for (const label of [vocabularySize, ...labels]) {
    // The zero vector of the start leaves no trace in NeMo's states here: `add_sos` stands in one row with the labels.
    const step = await predictHidden(Int32Array.of(label), states);
    hidden.push(step.outputs);
    projected.push((await networks.predict(Int32Array.of(label), states)).outputs);
    states = step.states;
  }
  yield* checkStates(states, reference);
  const transposed = Float32Array.from({ length: numRows * hidden[0].length }, (_, i) => {
    return hidden[i % numRows][Math.floor(i / numRows)];
  });
  yield* compareTensor("prediction", "prediction", transposed, output);
  const logits = reference.tensors.get("joint.logits");
  if (!logits || !encoded?.projected) return;
  const [, numSteps] = logits.dims;
  const { jointSize } = networks;
  const pairs = numSteps * numRows;
  const left = new Float32Array(pairs * jointSize);
  const right = new Float32Array(pairs * jointSize);
  for (let t = 0, p = 0; t < numSteps; t++) {
    for (let u = 0; u < numRows; u++, p++) {
      left.set(encoded.projected.subarray(t * jointSize, (t + 1) * jointSize), p * jointSize);
      right.set(projected[u], p * jointSize);
    }
  }
  const scores = await networks.joint(left, right);
  // NeMo's joint network ends in a log-softmax on a CPU, over tokens and durations together.
  for (let row = 0; row < pairs; row++) {
    const own = scores.subarray(row * networks.numOutputs, (row + 1) * networks.numOutputs);
    const sum = logSumExp(own, 0, own.length);
    for (let i = 0; i < own.length; i++) own[i] -= sum;
  }
  yield* compareTensor("joint", "joint", scores, logits);
}

/** @throws SpeechError `FORMAT_INVALID` for tokens that the model does not have */
function checkLabels(labels: readonly number[], vocabularySize: number): void {
  const unknown = labels.find((label) => label < 0 || label > vocabularySize);
  if (unknown === undefined) return;
  throw new SpeechError(
    "FORMAT_INVALID",
    `prediction.tokens: expected tokens from 0 to ${vocabularySize}, got ${unknown}. The reference is another model's: give the one that was made from this model.`,
  );
}

/** LSTM states after the row of tokens: hidden states of all layers, then their cells. */
function* checkStates(states: Float32Array, { tensors }: Reference): Generator<Check> {
  const hidden = tensors.get("prediction.state0");
  const cells = tensors.get("prediction.state1");
  if (!hidden || !cells) return;
  const expected = [...(hidden.data as Float32Array), ...(cells.data as Float32Array)];
  yield compareNumbers("states", "prediction", states, expected);
}
