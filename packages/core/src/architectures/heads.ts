import type { ClassifierSpec, CtcSpec, TransducerSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { float, type Value } from "../onnx/graph.ts";
import {
  add,
  cast,
  concat,
  mul,
  reshape,
  reshapeTo,
  sizeOf,
  slice,
  squeeze,
  TO_END,
  transpose,
  unsqueeze,
} from "../onnx/ops.ts";
import { derived, linear, type Net, weight } from "./net.ts";

/** Heads are small and sensitive: they stay in float32 whatever the encoder's precision. */
const exact = (net: Net): Net => ({ ...net, precision: "float32" });

/** `[batch, model, step]` → log-probabilities `[batch, step, class]`, blank last (NeMo `ConvASRDecoder`). */
export function ctcHead(net: Net, spec: CtcSpec, encoded: Value): Value {
  const logits = perStep(net, encoded, `${spec.prefix}decoder_layers.0`, 1 / spec.temperature);
  return net.g.op("LogSoftmax", [logits], { axis: -1 });
}

/** `[batch, model, step]` → the joint network's view of every step, `[batch, step, joint]` (NeMo `RNNTJoint.enc`). */
export function encoderProjection(net: Net, encoded: Value): Value {
  return perStep(net, encoded, "joint.enc", 1);
}

/** A linear layer on every step: `[batch, in, step]` → `[batch, step, out]`. */
function perStep(net: Net, encoded: Value, prefix: string, scale: number): Value {
  const { g, w } = net;
  const [numOut, numIn] = w.dims(`${prefix}.weight`);
  const rows = reshape(g, transpose(g, encoded, [0, 2, 1]), [-1, numIn]);
  return reshapeTo(g, linear(exact(net), rows, prefix, { scale }), [
    sizeOf(g, encoded, 0),
    sizeOf(g, encoded, 2),
    numOut,
  ]);
}

/** What one advance of a prediction network gives. */
export interface PredictionStep {
  /** `[row, hidden]` */
  readonly output: Value;
  /** `[row, state]`; undefined for a network without state. */
  readonly state: Value | undefined;
}

/**
 * The numbers that a prediction network carries from token to token, for one recording: LSTM h of all layers, then c of
 * all layers (NeMo `RNNTDecoder`); for the stateless network the previous labels (NeMo `StatelessTransducerDecoder`),
 * kept as floats so that every state is a row of floats.
 */
export function stateSize({ prediction }: TransducerSpec): number {
  if (prediction.kind === "stateless") return prediction.contextSize - 1;
  return prediction.numLayers * ((prediction.projectionSize ?? prediction.hiddenSize) + prediction.hiddenSize);
}

/** The state before the first token: zeros, or blanks where labels are kept. */
export function initialState(spec: TransducerSpec): Float32Array {
  return new Float32Array(stateSize(spec)).fill(spec.prediction.kind === "stateless" ? spec.vocabularySize : 0);
}

/** One step of a prediction network: tokens int32 `[row]` and state `[row, state]` → output and next state. */
export function predictionStep(
  net: Net,
  spec: TransducerSpec,
  tokens: Value,
  state: Value | undefined,
): PredictionStep {
  return spec.prediction.kind === "lstm"
    ? lstmStep(net, spec, tokens, state as Value)
    : statelessStep(net, spec, tokens, state);
}

function lstmStep(net: Net, spec: TransducerSpec, tokens: Value, state: Value): PredictionStep {
  const { g } = net;
  const prediction = spec.prediction as Extract<TransducerSpec["prediction"], { kind: "lstm" }>;
  const { numLayers, hiddenSize, projectionSize } = prediction;
  const sizes = [...Array(numLayers).fill(projectionSize ?? hiddenSize), ...Array(numLayers).fill(hiddenSize)];
  const parts = g.ops("Split", [state, g.ints(sizes)], 2 * numLayers, { axis: 1 });
  let x = g.op("Gather", [embedding(net, spec, prediction), tokens], { axis: 0 });
  const nextH: Value[] = [];
  const nextC: Value[] = [];
  for (let layer = 0; layer < numLayers; layer++) {
    const cell = g.scope(`lstm.${layer}`, () => lstmCell(net, layer, x, parts[layer], parts[numLayers + layer]));
    x = cell.h;
    nextH.push(cell.h);
    nextC.push(cell.c);
  }
  return { output: x, state: concat(g, [...nextH, ...nextC], 1) };
}

/** The embedding with a row for blank, which is zero where the checkpoint has none (`blank_as_pad: false`). */
function embedding(net: Net, spec: TransducerSpec, prediction: { embeddingSize: number; hasBlankRow: boolean }): Value {
  const name = "decoder.prediction.embed.weight";
  if (prediction.hasBlankRow) return weight(net, name);
  const dims = [spec.vocabularySize + 1, prediction.embeddingSize];
  return derived(net, `${name}:padded`, dims, async () => {
    const padded = new Float32Array(dims[0] * dims[1]);
    padded.set(await net.w.read(name));
    return padded;
  });
}

/** One LSTM cell; torch orders the gates input, forget, cell, output. */
function lstmCell(net: Net, layer: number, x: Value, h: Value, c: Value): { h: Value; c: Value } {
  const { g, w } = net;
  const name = (part: string) => `decoder.prediction.dec_rnn.lstm.${part}_l${layer}`;
  const bias = derived(net, `${name("bias")}:sum`, w.dims(name("bias_ih")), async () => {
    const other = await w.read(name("bias_hh"));
    return (await w.read(name("bias_ih"))).map((v, i) => v + other[i]);
  });
  const fromInput = g.op("Gemm", [x, weight(net, name("weight_ih")), bias], { transB: 1 });
  const gates = g.op("Gemm", [h, weight(net, name("weight_hh")), fromInput], { transB: 1 });
  const [input, forget, cell, output] = g.ops("Split", [gates], 4, { axis: 1 });
  const sigmoid = (v: Value) => g.op("Sigmoid", [v]);
  const nextC = add(g, mul(g, sigmoid(forget), c), mul(g, sigmoid(input), g.op("Tanh", [cell])));
  const hidden = mul(g, sigmoid(output), g.op("Tanh", [nextC]));
  const projected = w.has(name("weight_hr"))
    ? g.op("Gemm", [hidden, weight(net, name("weight_hr"))], { transB: 1 })
    : hidden;
  return { h: projected, c: nextC };
}

/**
 * The LSTM prediction network over a row of labels, for layouts that feed several at once: tokens int32
 * `[batch, label]`, h and c `[layer, batch, hidden]` → output `[batch, label, hidden]` and the next h and c.
 */
export function lstmSequence(
  net: Net,
  spec: TransducerSpec,
  tokens: Value,
  [h, c]: readonly Value[],
): { output: Value; states: readonly Value[] } {
  const { g } = net;
  const prediction = spec.prediction as Extract<TransducerSpec["prediction"], { kind: "lstm" }>;
  const embedded = g.op("Gather", [embedding(net, spec, prediction), tokens], { axis: 0 });
  let x = transpose(g, embedded, [1, 0, 2]);
  const nextH: Value[] = [];
  const nextC: Value[] = [];
  for (let layer = 0; layer < prediction.numLayers; layer++) {
    const pick = (states: Value) => slice(g, states, 0, layer, layer + 1);
    const inputs = [x, ...lstmConstants(net, layer, prediction.hiddenSize), "", pick(h), pick(c)];
    const [y, lastH, lastC] = g.ops("LSTM", inputs, 3, { hidden_size: prediction.hiddenSize });
    x = squeeze(g, y, [1]);
    nextH.push(lastH);
    nextC.push(lastC);
  }
  return { output: transpose(g, x, [1, 0, 2]), states: [concat(g, nextH, 0), concat(g, nextC, 0)] };
}

/** ONNX orders the gates input, output, forget, cell; torch input, forget, cell, output. */
const ONNX_GATE_FROM_TORCH = [0, 3, 1, 2];

/** W, R and B of ONNX's `LSTM` for one layer. */
function lstmConstants(net: Net, layer: number, hiddenSize: number): Value[] {
  const { w } = net;
  const name = (part: string) => `decoder.prediction.dec_rnn.lstm.${part}_l${layer}`;
  if (w.has(name("weight_hr"))) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${name("weight_hr")}: expected an LSTM without projection for this layout, got one. Export it in our own layout.`,
    );
  }
  const reordered = (values: Float32Array): Float32Array => {
    const block = values.length / 4;
    const out = new Float32Array(values.length);
    ONNX_GATE_FROM_TORCH.forEach((from, to) => {
      out.set(values.subarray(from * block, (from + 1) * block), to * block);
    });
    return out;
  };
  const matrix = (part: string) =>
    derived(net, `${name(part)}:onnx`, [1, 4 * hiddenSize, w.dims(name(part))[1]], async () =>
      reordered(await w.read(name(part))),
    );
  const bias = derived(net, `${name("bias")}:onnx`, [1, 8 * hiddenSize], async () => {
    const out = new Float32Array(8 * hiddenSize);
    out.set(reordered(await w.read(name("bias_ih"))));
    out.set(reordered(await w.read(name("bias_hh"))), 4 * hiddenSize);
    return out;
  });
  return [matrix("weight_ih"), matrix("weight_hh"), bias];
}

function statelessStep(net: Net, spec: TransducerSpec, tokens: Value, state: Value | undefined): PredictionStep {
  const { g } = net;
  const prediction = spec.prediction as Extract<TransducerSpec["prediction"], { kind: "stateless" }>;
  const newest = cast(g, unsqueeze(g, tokens, [1]), "float32");
  const history = state === undefined ? newest : concat(g, [state, newest], 1);
  const labels = cast(g, history, "int64");
  const parts = Array.from({ length: prediction.contextSize }, (_, i) => {
    const at = prediction.contextSize - 1 - i;
    const label = squeeze(g, slice(g, labels, 1, at, at + 1), [1]);
    return g.op("Gather", [weight(net, `decoder.prediction.embeds.${i}.weight`), label], { axis: 0 });
  });
  const joined = parts.length === 1 ? parts[0] : concat(g, parts, 1);
  const output = prediction.layerNorm ? plainLayerNorm(net, joined, prediction.hiddenSize) : joined;
  return { output, state: state && slice(g, history, 1, 1, TO_END) };
}

/** Layer norm without parameters. */
function plainLayerNorm(net: Net, x: Value, size: number): Value {
  const { g } = net;
  const ones = g.table(`ones/${size}`, [size], () => new Float32Array(size).fill(1));
  return g.op("LayerNormalization", [x, ones], { axis: -1, epsilon: float(1e-5) });
}

/** The joint network's view of a prediction, `[row, joint]` (NeMo `RNNTJoint.pred`). */
export function predictionProjection(net: Net, output: Value): Value {
  return linear(exact(net), output, "joint.pred");
}

/** The sum of both views `[row, joint]` → raw scores `[row, output]`: tokens, blank, durations (NeMo `RNNTJoint.joint_net`). */
export function jointOutput(net: Net, spec: TransducerSpec, sum: Value): Value {
  const activation = { relu: "Relu", sigmoid: "Sigmoid", tanh: "Tanh" }[spec.joint.activation];
  return linear(exact(net), net.g.op(activation, [sum]), spec.joint.outputPrefix);
}

const ACTIVATION_OPS: Partial<Record<ClassifierSpec["activation"], string>> = {
  relu: "Relu",
  tanh: "Tanh",
  sigmoid: "Sigmoid",
};

/**
 * `[batch, model, step]` → logits: `[batch, class]` pooled over all steps (NeMo `ConvASRDecoderClassification`) or
 * `[batch, step, class]` (`MultiLayerPerceptron` on every step).
 */
export function classifierHead(net: Net, spec: ClassifierSpec, encoded: Value): Value {
  const { g } = net;
  if (spec.kind === "pooled") {
    const op = spec.pooling === "avg" ? "GlobalAveragePool" : "GlobalMaxPool";
    const logits = linear(exact(net), squeeze(g, g.op(op, [encoded]), [2]), `${spec.prefix}decoder_layers.0`);
    return spec.softmax ? g.op("Softmax", [logits], { axis: -1 }) : logits;
  }
  let x = encoded;
  spec.layers.forEach((name, i) => {
    const isFirst = i === 0;
    const stepMajor = isFirst ? x : transpose(g, x, [0, 2, 1]);
    x = perStep(net, stepMajor, `${spec.prefix}${name}`, 1);
    const activation = ACTIVATION_OPS[spec.activation];
    if (i < spec.layers.length - 1 && activation) x = g.op(activation, [x]);
  });
  return spec.logSoftmax ? g.op("LogSoftmax", [x], { axis: -1 }) : x;
}
