import { logSumExp } from "../decoding/confidence.ts";
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
  const [, size, numRows] = output.dims;
  // NeMo puts a zero vector in front of the row for the start of a text; blank gives the same.
  const labels = Array.from(tokens.data as BigInt64Array, Number);
  const rows = new Float32Array(numRows * size);
  const projected: Float32Array[] = [];
  let states: Float32Array = networks.initialState;
  for (const [u, label] of [spec.heads.transducer.vocabularySize, ...labels].entries()) {
    // The zero vector of the start leaves no trace in NeMo's states here: `add_sos` stands in one row with the labels.
    const step = await predictHidden(Int32Array.of(label), states);
    rows.set(step.outputs, u * size);
    projected.push((await networks.predict(Int32Array.of(label), states)).outputs);
    states = step.states;
  }
  yield* checkStates(states, reference);
  const transposed = rows.map((_, i) => rows[(i % numRows) * size + Math.floor(i / numRows)]);
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

/** LSTM states after the row of tokens: hidden states of all layers, then their cells. */
function* checkStates(states: Float32Array, { tensors }: Reference): Generator<Check> {
  const hidden = tensors.get("prediction.state0");
  const cells = tensors.get("prediction.state1");
  if (!hidden || !cells) return;
  const expected = [...(hidden.data as Float32Array), ...(cells.data as Float32Array)];
  yield compareNumbers("states", "prediction", states, expected);
}
