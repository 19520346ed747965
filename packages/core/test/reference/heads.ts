import type { ClassifierSpec, CtcSpec, TransducerSpec } from "../../src/config/spec.ts";
import { type Matrix, sigmoid, softmax, standardized, transposed } from "./matrix.ts";
import { linear, type Params } from "./params.ts";

const logSoftmax = (x: readonly number[]): number[] => softmax(x).map(Math.log);

/** CTC head on `[step][model]` (nemo.md 5.1). */
export function ctc(p: Params, spec: CtcSpec, encoded: Matrix): Matrix {
  return linear(p, `${spec.prefix}decoder_layers.0`, encoded).map((row) =>
    logSoftmax(row.map((v) => v / spec.temperature)),
  );
}

/** What a prediction network keeps of one recording. */
export interface PredictionState {
  readonly h: Matrix;
  readonly c: Matrix;
  /** Labels so far, oldest first. */
  readonly labels: readonly number[];
}

/** The prediction network on one label: its output before `joint.pred`, and what it keeps (nemo.md 5.2). */
export function predict(
  p: Params,
  spec: TransducerSpec,
  label: number,
  state: PredictionState,
): { output: number[]; state: PredictionState } {
  const { prediction } = spec;
  if (prediction.kind === "stateless") {
    const labels = [...state.labels, label];
    // The newest label reads the first table; before the first label stands blank.
    const parts = Array.from({ length: prediction.contextSize }, (_, i) => {
      const past = labels[labels.length - 1 - i] ?? spec.vocabularySize;
      return p.rows(`decoder.prediction.embeds.${i}.weight`)[past];
    });
    const joined = parts.flat();
    return { output: prediction.layerNorm ? standardized(joined, 1e-5) : joined, state: { ...state, labels } };
  }
  const isBlank = label === spec.vocabularySize;
  let x =
    isBlank && !prediction.hasBlankRow
      ? new Array<number>(prediction.embeddingSize).fill(0)
      : p.rows("decoder.prediction.embed.weight")[label];
  const h: Matrix = [];
  const c: Matrix = [];
  for (let layer = 0; layer < prediction.numLayers; layer++) {
    const cell = lstmCell(p, layer, x, state.h[layer], state.c[layer]);
    h.push(cell.h);
    c.push(cell.c);
    x = cell.h;
  }
  return { output: x, state: { ...state, h, c } };
}

/** One cell of torch's LSTM: gates input, forget, cell, output. */
function lstmCell(p: Params, layer: number, x: number[], h: number[], c: number[]): { h: number[]; c: number[] } {
  const product = (part: "ih" | "hh", v: number[]): number[] => {
    const name = `decoder.prediction.dec_rnn.lstm`;
    const bias = p.flat(`${name}.bias_${part}_l${layer}`);
    return p
      .rows(`${name}.weight_${part}_l${layer}`)
      .map((w, i) => w.reduce((sum, each, j) => sum + each * v[j], 0) + bias[i]);
  };
  const recurrent = product("hh", h);
  const gates = product("ih", x).map((v, i) => v + recurrent[i]);
  const size = c.length;
  const gate = (n: number, i: number) => gates[n * size + i];
  const next = c.map((v, i) => sigmoid(gate(1, i)) * v + sigmoid(gate(0, i)) * Math.tanh(gate(2, i)));
  return { h: next.map((v, i) => sigmoid(gate(3, i)) * Math.tanh(v)), c: next };
}

/** The joint network on one step of the encoder and one output of the prediction network (nemo.md 5.3). */
export function joint(p: Params, spec: TransducerSpec, encoded: number[], predicted: number[]): number[] {
  const activation = { relu: (x: number) => Math.max(x, 0), sigmoid, tanh: Math.tanh }[spec.joint.activation];
  const [e] = linear(p, "joint.enc", [encoded]);
  const [g] = linear(p, "joint.pred", [predicted]);
  const [out] = linear(p, spec.joint.outputPrefix, [e.map((v, i) => activation(v + g[i]))]);
  return out;
}

/** A classifier on `[step][model]`: one row pooled over all steps, or a row for every step (nemo.md 5.13). */
export function classify(p: Params, spec: ClassifierSpec, encoded: Matrix): Matrix {
  if (spec.kind === "pooled") {
    const pooled = transposed(encoded).map((channel) =>
      spec.pooling === "max" ? Math.max(...channel) : channel.reduce((a, b) => a + b, 0) / channel.length,
    );
    const logits = linear(p, `${spec.prefix}decoder_layers.0`, [pooled]);
    return spec.softmax ? logits.map(softmax) : logits;
  }
  const activation = { relu: (x: number) => Math.max(x, 0), tanh: Math.tanh, sigmoid };
  let x = encoded;
  spec.layers.forEach((name, i) => {
    x = linear(p, `${spec.prefix}${name}`, x);
    if (i < spec.layers.length - 1) {
      x = x.map((row) => row.map(activation[spec.activation as keyof typeof activation]));
    }
  });
  return spec.logSoftmax ? x.map(logSoftmax) : x;
}
