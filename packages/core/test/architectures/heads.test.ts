import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  classifierHead,
  ctcHead,
  encoderProjection,
  initialState,
  jointOutput,
  lstmSequence,
  predictionProjection,
  predictionStep,
  stateSize,
} from "../../src/architectures/heads.ts";
import { createNet } from "../../src/architectures/net.ts";
import type { ClassifierSpec, TransducerSpec } from "../../src/config/spec.ts";
import { type Graph, GraphBuilder } from "../../src/onnx/graph.ts";
import { float32, int32, type Tensor } from "../../src/tensor.ts";
import { batchFeatures, difference, propertyRuns, TOLERANCE } from "../reference/compare.ts";
import { classify, ctc, joint, type PredictionState, predict } from "../reference/heads.ts";
import type { Matrix } from "../reference/matrix.ts";
import { type Params, randomParams, randomRows, type TensorShapes, uniform } from "../reference/params.ts";
import { hasRuntime, loadGraph } from "../reference/run-graph.ts";

/** `[…, column]` → rows of the last axis. */
function rowsOf(tensor: Tensor): Matrix {
  const size = tensor.dims[tensor.dims.length - 1];
  const data = Array.from(tensor.data as Float32Array);
  return Array.from({ length: data.length / size }, (_, i) => data.slice(i * size, (i + 1) * size));
}

const tensorOf = (rows: Matrix): Tensor => float32(Float32Array.from(rows.flat()), [rows.length, rows[0].length]);

async function runOnce(graph: Graph, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const loaded = await loadGraph(graph);
  try {
    return await loaded.run(feeds);
  } finally {
    await loaded.close();
  }
}

interface TransducerCase {
  readonly spec: TransducerSpec;
  readonly modelSize: number;
  /** `[row][label]`; the vocabulary's size is blank. */
  readonly labels: readonly (readonly number[])[];
  readonly seed: number;
}

const VOCABULARY_SIZE = 6;
const label = fc.integer({ min: 0, max: VOCABULARY_SIZE });

const lstm = fc
  .record({
    numLayers: fc.integer({ min: 1, max: 3 }),
    size: fc.integer({ min: 2, max: 8 }),
    hasBlankRow: fc.boolean(),
  })
  .map(({ numLayers, size, hasBlankRow }) => ({
    kind: "lstm" as const,
    ...{ numLayers, hiddenSize: size, embeddingSize: size, projectionSize: undefined, hasBlankRow },
  }));

const stateless = fc.record({
  kind: fc.constant("stateless" as const),
  contextSize: fc.integer({ min: 1, max: 4 }),
  hiddenSize: fc.integer({ min: 8, max: 12 }),
  layerNorm: fc.boolean(),
});

const transducerCase: fc.Arbitrary<TransducerCase> = fc
  .record({
    prediction: fc.oneof(lstm, stateless),
    jointSize: fc.integer({ min: 2, max: 8 }),
    modelSize: fc.integer({ min: 2, max: 8 }),
    numDurations: fc.constantFrom(0, 0, 5),
    activation: fc.constantFrom<"relu" | "sigmoid" | "tanh">("relu", "sigmoid", "tanh"),
    labels: fc.array(fc.array(label, { minLength: 5, maxLength: 5 }), { minLength: 1, maxLength: 3 }),
    seed: fc.nat(),
  })
  .map((c) => ({
    spec: {
      kind: c.numDurations > 0 ? "tdt" : "rnnt",
      vocabularySize: VOCABULARY_SIZE,
      durations: Array.from({ length: c.numDurations }, (_, i) => i),
      prediction: c.prediction,
      joint: {
        hiddenSize: c.jointSize,
        activation: c.activation,
        outputPrefix: "joint.joint_net.2",
        numOutputs: VOCABULARY_SIZE + 1 + c.numDurations,
      },
      maxSymbols: 10,
    },
    modelSize: c.modelSize,
    labels: c.labels,
    seed: c.seed,
  }));

/** The tensors of prediction and joint network (nemo.md 5.2 and 5.3). */
function transducerTensors({ spec, modelSize }: TransducerCase): TensorShapes {
  const { prediction, vocabularySize } = spec;
  const { hiddenSize: jointSize, numOutputs, outputPrefix } = spec.joint;
  const shapes: Record<string, number[]> = {
    "joint.enc.weight": [jointSize, modelSize],
    "joint.enc.bias": [jointSize],
    "joint.pred.weight": [jointSize, prediction.hiddenSize],
    "joint.pred.bias": [jointSize],
    [`${outputPrefix}.weight`]: [numOutputs, jointSize],
    [`${outputPrefix}.bias`]: [numOutputs],
  };
  const { hiddenSize } = prediction;
  if (prediction.kind === "stateless") {
    const part = Math.floor(Math.floor(hiddenSize / 2) / prediction.contextSize);
    for (let i = 0; i < prediction.contextSize; i++) {
      const size = i === 0 ? hiddenSize - part * (prediction.contextSize - 1) : part;
      shapes[`decoder.prediction.embeds.${i}.weight`] = [vocabularySize + 1, size];
    }
    return shapes;
  }
  const numRows = vocabularySize + (prediction.hasBlankRow ? 1 : 0);
  shapes["decoder.prediction.embed.weight"] = [numRows, prediction.embeddingSize];
  for (let layer = 0; layer < prediction.numLayers; layer++) {
    for (const part of ["ih", "hh"]) {
      shapes[`decoder.prediction.dec_rnn.lstm.weight_${part}_l${layer}`] = [4 * hiddenSize, hiddenSize];
      shapes[`decoder.prediction.dec_rnn.lstm.bias_${part}_l${layer}`] = [4 * hiddenSize];
    }
  }
  return shapes;
}

/** Outputs of the prediction network for a row of labels and what it keeps of them, in the reference. */
function predictAll(
  params: Params,
  spec: TransducerSpec,
  labels: readonly number[],
): { outputs: Matrix; state: PredictionState } {
  const { prediction } = spec;
  const numLayers = prediction.kind === "lstm" ? prediction.numLayers : 0;
  const none = Array.from({ length: numLayers }, () => new Array<number>(prediction.hiddenSize).fill(0));
  let state: PredictionState = { h: none, c: none, labels: [] };
  const outputs = labels.map((each) => {
    const step = predict(params, spec, each, state);
    state = step.state;
    return step.output;
  });
  return { outputs, state };
}

/** Labels one after another through the graph of one step, all rows at once. */
async function checkSteps(c: TransducerCase, params: Params): Promise<void> {
  const { spec, labels } = c;
  const size = stateSize(spec);
  const g = new GraphBuilder("step");
  const net = createNet(g, params.weights);
  const tokens = g.input("tokens", "int32", ["row"]);
  const encoded = g.input("encoded", "float32", ["row", c.modelSize, 1]);
  const step = predictionStep(net, spec, tokens, size > 0 ? g.input("state", "float32", ["row", size]) : undefined);
  g.output("output", step.output, "float32", ["row", spec.prediction.hiddenSize]);
  if (step.state !== undefined) g.output("next", step.state, "float32", ["row", size]);
  const views = g.op("Add", [
    g.op("Squeeze", [encoderProjection(net, encoded), g.ints([1])]),
    predictionProjection(net, step.output),
  ]);
  g.output("logits", jointOutput(net, spec, views), "float32", ["row", spec.joint.numOutputs]);
  const graph = await loadGraph(g.finish());
  const next = uniform(c.seed + 1);
  try {
    const expected = labels.map((row) => predictAll(params, spec, row));
    let state = tensorOf(labels.map(() => Array.from(initialState(spec))));
    for (let t = 0; t < labels[0].length; t++) {
      const steps = randomRows(labels.length, c.modelSize, next);
      const out = await graph.run({
        tokens: int32(labels.map((row) => row[t])),
        encoded: float32(Float32Array.from(steps.flat()), [labels.length, c.modelSize, 1]),
        ...(size > 0 ? { state } : {}),
      });
      const outputs = expected.map((row) => row.outputs[t]);
      expect(difference(rowsOf(out.output), outputs)).toBeLessThan(1e-5);
      const logits = outputs.map((output, row) => joint(params, spec, steps[row], output));
      expect(difference(rowsOf(out.logits), logits)).toBeLessThan(1e-5);
      if (size > 0) state = out.next;
    }
  } finally {
    await graph.close();
  }
}

/** The same labels through the graph that takes them all at once. */
async function checkSequence(c: TransducerCase, params: Params): Promise<void> {
  const { spec, labels } = c;
  if (spec.prediction.kind !== "lstm") return;
  const { numLayers, hiddenSize } = spec.prediction;
  const g = new GraphBuilder("sequence");
  const tokens = g.input("tokens", "int32", ["batch", "label"]);
  const states = ["h", "c"].map((name) => g.input(name, "float32", [numLayers, "batch", hiddenSize]));
  const sequence = lstmSequence(createNet(g, params.weights), spec, tokens, states);
  g.output("output", sequence.output, "float32", ["batch", "label", hiddenSize]);
  g.output("lastH", sequence.states[0], "float32", [numLayers, "batch", hiddenSize]);
  g.output("lastC", sequence.states[1], "float32", [numLayers, "batch", hiddenSize]);
  const zeros = float32(new Float32Array(numLayers * labels.length * hiddenSize), [
    numLayers,
    labels.length,
    hiddenSize,
  ]);
  const out = await runOnce(g.finish(), {
    tokens: int32(labels.flat(), [labels.length, labels[0].length]),
    h: zeros,
    c: zeros,
  });
  const expected = labels.map((row) => predictAll(params, spec, row));
  const byLayer = (part: "h" | "c") =>
    Array.from({ length: numLayers }, (_, layer) => expected.map(({ state }) => state[part][layer])).flat();
  expect(
    difference(
      rowsOf(out.output),
      expected.flatMap((row) => row.outputs),
    ),
  ).toBeLessThan(1e-5);
  expect(difference(rowsOf(out.lastH), byLayer("h"))).toBeLessThan(1e-5);
  expect(difference(rowsOf(out.lastC), byLayer("c"))).toBeLessThan(1e-5);
}

const classifierCase = fc.record({
  kind: fc.constantFrom<"pooled" | "frame">("pooled", "frame"),
  pooling: fc.constantFrom<"avg" | "max">("avg", "max"),
  numLayers: fc.integer({ min: 1, max: 3 }),
  activation: fc.constantFrom<"relu" | "tanh" | "sigmoid">("relu", "tanh", "sigmoid"),
  logSoftmax: fc.boolean(),
  softmax: fc.boolean(),
  modelSize: fc.integer({ min: 2, max: 8 }),
  numClasses: fc.integer({ min: 2, max: 5 }),
  numSteps: fc.integer({ min: 1, max: 9 }),
  batch: fc.integer({ min: 1, max: 3 }),
  seed: fc.nat(),
});

describe.skipIf(!hasRuntime)("heads", () => {
  test("prediction and joint networks equal the plain evaluation, label by label and all labels at once", async () => {
    await fc.assert(
      fc.asyncProperty(transducerCase, async (c) => {
        const params = randomParams(transducerTensors(c), c.seed);
        await checkSteps(c, params);
        await checkSequence(c, params);
      }),
      propertyRuns(25),
    );
  });

  test("the CTC head divides by its temperature and gives log-probabilities", async () => {
    const sizes = fc.record({
      modelSize: fc.integer({ min: 1, max: 9 }),
      numClasses: fc.integer({ min: 2, max: 12 }),
      temperature: fc.constantFrom(1, 0.5, 2.5),
      numSteps: fc.integer({ min: 1, max: 9 }),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ modelSize, numClasses, temperature, numSteps, seed }) => {
        const prefix = "ctc_decoder.";
        const shapes = {
          [`${prefix}decoder_layers.0.weight`]: [numClasses, modelSize, 1],
          [`${prefix}decoder_layers.0.bias`]: [numClasses],
        };
        const params = randomParams(shapes, seed);
        const spec = { prefix, numClasses, temperature };
        const rows = [1, 2].map((n) => ({ x: randomRows(numSteps, modelSize, uniform(seed + n)), length: numSteps }));
        const g = new GraphBuilder("ctc");
        const encoded = g.input("encoded", "float32", ["batch", modelSize, "step"]);
        g.output("logProbs", ctcHead(createNet(g, params.weights), spec, encoded), "float32", [2, "step", numClasses]);
        const { logProbs } = await runOnce(g.finish(), { encoded: batchFeatures(rows) });
        const expected = rows.flatMap((row) => ctc(params, spec, row.x));
        expect(logProbs.dims).toEqual([2, numSteps, numClasses]);
        expect(difference(rowsOf(logProbs), expected)).toBeLessThan(TOLERANCE);
      }),
      propertyRuns(10),
    );
  });

  test("classifiers equal the plain evaluation, pooled and by step", async () => {
    await fc.assert(
      fc.asyncProperty(classifierCase, async (c) => {
        const { kind, pooling, activation, logSoftmax, softmax, numClasses, modelSize } = c;
        const places = Array.from({ length: c.numLayers }, (_, i) => `layer${2 * i}`);
        const names = kind === "pooled" ? ["decoder_layers.0"] : places;
        const shapes: Record<string, number[]> = {};
        names.forEach((name, i) => {
          const numOut = i === names.length - 1 ? numClasses : modelSize;
          shapes[`decoder.${name}.weight`] = [numOut, modelSize];
          shapes[`decoder.${name}.bias`] = [numOut];
        });
        const params = randomParams(shapes, c.seed);
        const labels = Array.from({ length: numClasses }, (_, i) => `${i}`);
        const layers = kind === "pooled" ? [] : places;
        const spec: ClassifierSpec = {
          ...{ kind, prefix: "decoder.", labels, numClasses, pooling, layers, activation, logSoftmax, softmax },
        };
        const next = uniform(c.seed + 1);
        const rows = Array.from({ length: c.batch }, () => {
          return { x: randomRows(c.numSteps, modelSize, next), length: c.numSteps };
        });
        const g = new GraphBuilder("classifier");
        const encoded = g.input("encoded", "float32", ["batch", modelSize, "step"]);
        const axes = kind === "pooled" ? ["batch", numClasses] : ["batch", "step", numClasses];
        g.output("logits", classifierHead(createNet(g, params.weights), spec, encoded), "float32", axes);
        const { logits } = await runOnce(g.finish(), { encoded: batchFeatures(rows) });
        const expected = rows.flatMap((row) => classify(params, spec, row.x));
        expect(difference(rowsOf(logits), expected)).toBeLessThan(TOLERANCE);
      }),
      propertyRuns(15),
    );
  });
});
