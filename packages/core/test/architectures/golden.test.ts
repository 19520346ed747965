import { existsSync, readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { initialState, lstmSequence, stateSize } from "../../src/architectures/heads.ts";
import { checkpointWeights, createNet, type Weights } from "../../src/architectures/net.ts";
import { memorySource } from "../../src/bytes.ts";
import { openNemo } from "../../src/checkpoint/nemo.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { describeModel } from "../../src/config/describe.ts";
import type { ModelSpec, TransducerSpec } from "../../src/config/spec.ts";
import { buildGraphs, takesContext } from "../../src/export/graphs.ts";
import { defaultContext } from "../../src/export/layouts.ts";
import { GraphBuilder } from "../../src/onnx/graph.ts";
import { float32, int32, int64, type Tensor } from "../../src/tensor.ts";
import { hasRuntime, type LoadedGraph, loadGraph } from "../reference/run-graph.ts";

// `GOLDENS` names another folder of the same layout.
const shared = new URL("../../../../../shared/", import.meta.url);
const goldens = process.env.GOLDENS ? pathToFileURL(`${process.env.GOLDENS}/`) : new URL("golden/", shared);

/** Our own frame VAD stands with the models, not with its golden. */
const modelOf = (name: string): URL => {
  const own = new URL(`${name}/model.nemo`, goldens);
  return name === "vad-frame-tiny" ? new URL("model/nemo-stt-vad-tiny.nemo", shared) : own;
};

const names = existsSync(goldens)
  ? readdirSync(goldens).filter(
      (name) => existsSync(new URL(`${name}/reference.safetensors`, goldens)) && existsSync(modelOf(name)),
    )
  : [];

type References = ReadonlyMap<string, Tensor>;

async function open(name: string): Promise<{ references: References; spec: ModelSpec; weights: Weights }> {
  const file = (url: URL) => memorySource(readFileSync(url), name);
  const tensors = await openSafetensors(file(new URL(`${name}/reference.safetensors`, goldens)));
  const references = new Map<string, Tensor>();
  for (const key of tensors.tensors.keys()) references.set(key, await tensors.read(key));
  const checkpoint = await openNemo(file(modelOf(name)));
  const spec = describeModel(checkpoint.config, checkpoint.tensors, checkpoint.artifactNames);
  return { references, spec, weights: checkpointWeights(checkpoint) };
}

/** Largest difference, relative where values exceed one, over the steps of `axis` that count. */
function distance(actual: Tensor, expected: Tensor, axis = -1, lengths: readonly number[] = []): number {
  expect(actual.dims).toEqual(expected.dims);
  const inner = axis < 0 ? 1 : expected.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const perRow = expected.data.length / expected.dims[0];
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (axis >= 0 && Math.floor(i / inner) % expected.dims[axis] >= lengths[Math.floor(i / perRow)]) continue;
    const value = Number(expected.data[i]);
    const d = Math.abs(Number(actual.data[i]) - value) / Math.max(1, Math.abs(value));
    worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d);
  }
  return worst;
}

/** A model of a golden with its graphs loaded. */
interface Loaded {
  readonly spec: ModelSpec;
  readonly weights: Weights;
  readonly references: References;
  readonly graphs: Readonly<Record<"encoder" | "prediction" | "joint", LoadedGraph | undefined>>;
}

/** Runs the encoder's graph on a window of the golden (a clip, or all together). */
async function encode(model: Loaded, window: string, context = defaultContext(model.spec)) {
  const features = model.references.get(`${window}.features`);
  const length = model.references.get(`${window}.features_len`);
  if (!features || !length || !model.graphs.encoder) return undefined;
  const feeds: Record<string, Tensor> = { audio_signal: features, length };
  if (takesContext(model.spec)) feeds.att_context = int64([...context]);
  return model.graphs.encoder.run(feeds);
}

/** NeMo mixes the global tokens of a batch's recordings; where it runs unmasked alone, it masks in batches. */
function isNemoBatchLikeAlone({ encoder }: ModelSpec): boolean {
  if (encoder.kind !== "conformer") return true;
  return encoder.attention.globalTokens <= 1 && encoder.subsampling.isMasked;
}

async function checkWindows(model: Loaded): Promise<number> {
  const { references, spec } = model;
  const windows = ["clip0", "clip1", "clip2", ...(isNemoBatchLikeAlone(spec) ? ["batch"] : [])];
  let numChecked = 0;
  for (const window of windows) {
    const out = await encode(model, window);
    if (!out) continue;
    const steps = Array.from(out.encoded_lengths.data as BigInt64Array, Number);
    const expected = (name: string) => references.get(`${window}.${name}`);
    const encoder = expected("encoder");
    const encoderLengths = expected("encoder_len");
    const logProbs = expected("log_probs");
    const logits = expected("logits");
    if (encoderLengths) expect(steps).toEqual(Array.from(encoderLengths.data as BigInt64Array, Number));
    if (encoder) expect(distance(out.encoded, encoder, 2, steps), `${window}.encoder`).toBeLessThan(1e-4);
    if (logProbs) expect(distance(out.log_probs, logProbs, 1, steps), `${window}.log_probs`).toBeLessThan(5e-4);
    if (logits) expect(distance(out.logits, logits), `${window}.logits`).toBeLessThan(5e-4);
    numChecked++;
  }
  return numChecked;
}

/** The clips with the attention contexts beside the default. */
async function checkContexts(model: Loaded): Promise<void> {
  if (!takesContext(model.spec)) return;
  for (const [key, encoder] of model.references) {
    const match = /^(?:stream\.([-\d_]+)\.(clip\d)\.offline_encoder|context\.([-\d_]+)\.(clip\d)\.encoder)$/.exec(key);
    if (!match) continue;
    const out = await encode(model, match[2] ?? match[4], (match[1] ?? match[3]).split("_").map(Number));
    if (!out) continue;
    const steps = Array.from(out.encoded_lengths.data as BigInt64Array, Number);
    // NeMo cuts what it keeps of a context to the valid steps.
    expect(steps[0]).toBeGreaterThanOrEqual(encoder.dims[2] - 1);
    expect(distance(firstSteps(out.encoded, encoder.dims[2]), encoder, 2, steps), key).toBeLessThan(1e-4);
  }
}

/** The first steps of `[1, model, step]`. */
function firstSteps(encoded: Tensor, numSteps: number): Tensor {
  const [, size, all] = encoded.dims;
  const data = Float32Array.from({ length: size * numSteps }, (_, i) =>
    Number(encoded.data[Math.floor(i / numSteps) * all + (i % numSteps)]),
  );
  return float32(data, [1, size, numSteps]);
}

/** Prediction network and joint, on the golden's label row behind the start (blank) and the first four steps of clip0. */
async function checkTransducer(model: Loaded, spec: TransducerSpec): Promise<void> {
  const labels = model.references.get("prediction.tokens");
  const logits = model.references.get("joint.logits");
  if (!labels || !logits || !model.graphs.prediction || !model.graphs.joint) return;
  const tokens = [spec.vocabularySize, ...Array.from(labels.data as BigInt64Array, Number)];
  if (spec.prediction.kind === "lstm") await checkSequence(model, spec, tokens);
  const encoded = await encode(model, "clip0");
  const steps = encoded?.encoder_projected.data as Float32Array;
  const size = spec.joint.hiddenSize;
  let state = float32(initialState(spec), [1, stateSize(spec)]) as Tensor;
  const rows: number[][] = [];
  for (const token of tokens) {
    const feeds = { tokens: int32([token]), ...(stateSize(spec) > 0 ? { state } : {}) };
    const { prediction, next_state } = await model.graphs.prediction.run(feeds);
    if (next_state) state = next_state;
    rows.push(Array.from(prediction.data as Float32Array));
  }
  const numPairs = 4 * tokens.length;
  const pairs = Array.from({ length: numPairs }, (_, i) => [Math.floor(i / tokens.length), i % tokens.length]);
  const encoderRows = pairs.flatMap(([t]) => Array.from(steps.subarray(t * size, (t + 1) * size)));
  const out = await model.graphs.joint.run({
    encoder: float32(Float32Array.from(encoderRows), [numPairs, size]),
    prediction: float32(Float32Array.from(pairs.flatMap(([, u]) => rows[u])), [numPairs, size]),
  });
  const actual = float32(logSoftmax(out.logits), logits.dims);
  expect(distance(actual, logits), "joint.logits").toBeLessThan(5e-4);
}

/** On the CPU NeMo's joint ends in a log-softmax over all its outputs. */
function logSoftmax(logits: Tensor): Float32Array {
  const size = logits.dims[1];
  const data = logits.data as Float32Array;
  return data.map((v, i) => {
    const start = i - (i % size);
    const row = data.subarray(start, start + size);
    const peak = row.reduce((a, b) => Math.max(a, b));
    return v - peak - Math.log(row.reduce((sum, each) => sum + Math.exp(each - peak), 0));
  });
}

/** The LSTM over the whole label row, before its projection: `prediction.out` `[1, hidden, label]` and the last states. */
async function checkSequence(model: Loaded, spec: TransducerSpec, tokens: readonly number[]): Promise<void> {
  const { prediction } = spec;
  if (prediction.kind !== "lstm") return;
  const g = new GraphBuilder("prediction");
  const shape = [prediction.numLayers, 1, prediction.hiddenSize];
  const labels = g.input("labels", "int32", [1, "label"]);
  const states = ["h", "c"].map((name) => g.input(name, "float32", shape));
  const { output, states: last } = lstmSequence(createNet(g, model.weights), spec, labels, states);
  g.output("out", g.op("Transpose", [output], { perm: [0, 2, 1] }), "float32", [1, prediction.hiddenSize, "label"]);
  last.forEach((value, i) => {
    g.output(`state${i}`, value, "float32", shape);
  });
  const graph = await loadGraph(g.finish());
  const zeros = float32(new Float32Array(prediction.numLayers * prediction.hiddenSize), shape);
  const out = await graph.run({ labels: int32([...tokens], [1, tokens.length]), h: zeros, c: zeros });
  await graph.close();
  for (const name of ["out", "state0", "state1"]) {
    const expected = model.references.get(`prediction.${name}`);
    if (expected) expect(distance(out[name], expected), `prediction.${name}`).toBeLessThan(1e-5);
  }
}

describe.skipIf(!hasRuntime || names.length === 0)("graphs against NeMo's tensors", () => {
  test.each(names)("%s", async (name) => {
    const { references, spec, weights } = await open(name);
    const { encoder, prediction, joint } = buildGraphs(spec, weights);
    const graphs = {
      encoder: await loadGraph(encoder),
      prediction: prediction && (await loadGraph(prediction)),
      joint: joint && (await loadGraph(joint)),
    };
    try {
      const model = { spec, weights, references, graphs };
      expect(await checkWindows(model)).toBeGreaterThan(0);
      await checkContexts(model);
      if (spec.heads.transducer) await checkTransducer(model, spec.heads.transducer);
    } finally {
      for (const graph of Object.values(graphs)) await graph?.close();
    }
  });
});
