// The floor under a streaming encoder: its matrix products alone, same shapes, same runtime, same thread, nothing else.
//   node bench/streaming-floor.mjs MODEL --context 70,0 --streams 16 [--int8] [--ticks N]
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeCheckpoint, placeWeights, streamGeometry, streamMode, writeModel, writeWeights } from "@nemo-stt/core";
import { nodeRuntime, withRawCheckpoint } from "@nemo-stt/node";
import { fillOf } from "../packages/core/dist/architectures/conformer/encoder.js";
import { GraphBuilder } from "../packages/core/dist/onnx/graph.js";

/**
 * The products of one batch, feed-forward rows as long as the encoder has them (filled up where that is faster).
 *
 * `weights`: `{ rows, numIn, numOut }`, rows times a constant matrix, 8 bits where the encoder computes them in 8 bits.
 * `attention`: `{ batch, rows, numIn, numOut, isConstant }`, a product for each of `batch` pairs, always float32.
 * 1 × 1 convolutions of the subsampling are matrix products over all places that the chunk's steps hear.
 */
export function productsOf(spec, attContext, numStreams, head, precision) {
  const { encoder } = spec;
  const { modelSize: d, feedForwardSize, numLayers, numHeads } = encoder;
  const ff = feedForwardSize + fillOf(precision, feedForwardSize);
  const { leftSteps, chunkSteps } = streamMode(spec, attContext);
  const rows = numStreams * chunkSteps;
  const numKeys = leftSteps + chunkSteps;
  const weights = [...subsamplingProducts(spec, chunkSteps, numStreams)];
  const attention = [];
  for (let layer = 0; layer < numLayers; layer++) {
    for (const [numIn, numOut] of [
      [d, ff],
      [ff, d],
      [d, d],
      [d, d],
      [d, d],
      [d, d],
      [d, 2 * d],
      [d, d],
      [d, ff],
      [ff, d],
    ])
      weights.push({ rows, numIn, numOut });
    const size = d / numHeads;
    const pairs = numHeads * numStreams;
    attention.push({ batch: pairs, rows: chunkSteps, numIn: size, numOut: numKeys });
    attention.push({ batch: numHeads, rows, numIn: size, numOut: numKeys + chunkSteps - 1, isConstant: true });
    attention.push({ batch: pairs, rows: chunkSteps, numIn: numKeys, numOut: size });
  }
  const { ctc, transducer } = spec.heads;
  if (head === "ctc") weights.push({ rows, numIn: d, numOut: ctc.numClasses, isFloat: true });
  else weights.push({ rows, numIn: d, numOut: transducer.joint.hiddenSize, isFloat: true });
  return { weights, attention };
}

function subsamplingProducts({ encoder }, chunkSteps, numStreams) {
  const { subsampling, numMels, modelSize } = encoder;
  const geometry = streamGeometry(encoder);
  const isConv = subsampling.kind === "striding" || subsampling.kind === "dw_striding";
  if (!isConv) return [{ rows: numStreams * chunkSteps, numIn: numMels * subsampling.factor, numOut: modelSize }];
  const { convChannels: channels, isCausal, factor } = subsampling;
  const half = (n) => (isCausal ? Math.floor(n / 2) + 1 : Math.ceil(n / 2));
  let frames = factor * (chunkSteps - 1) + geometry.lookbackFrames + geometry.lookaheadFrames + 1;
  let width = numMels;
  const products = [];
  for (let stage = 1; stage < factor; stage *= 2) {
    frames = Math.floor((frames - 1) / 2);
    width = half(width);
    const numIn = subsampling.kind === "dw_striding" ? channels : 9 * channels;
    if (stage > 1) products.push({ rows: numStreams * frames * width, numIn, numOut: channels, isFloat: true });
  }
  products.push({ rows: numStreams * chunkSteps, numIn: channels * width, numOut: modelSize });
  return products;
}

/** Multiplications and additions of one batch. */
export function operationsOf({ weights, attention }) {
  const of = ({ batch = 1, rows, numIn, numOut }) => 2 * batch * rows * numIn * numOut;
  return [...weights, ...attention].reduce((sum, product) => sum + of(product), 0);
}

/** A graph of nothing but the products. Their results go nowhere; only a last, tiny one is an output. */
function productsGraph({ weights, attention }, isInt8) {
  const g = new GraphBuilder("products");
  const inputs = new Map();
  const input = (type, dims) => {
    const name = `${type}_${dims.join("x")}`;
    if (!inputs.has(name)) inputs.set(name, { type, dims, value: g.input(name, type, dims) });
    return name;
  };
  weights.forEach(({ rows, numIn, numOut, isFloat }, i) => {
    const name = `weight_${i}`;
    if (isInt8 && !isFloat) {
      const dims = [numIn, numOut];
      const w = g.initializer({ name, type: "int8", dims, bytes: () => randomBytes(numIn * numOut) });
      const zero = g.initializer({ name: "zero", type: "uint8", dims: [], bytes: () => Uint8Array.of(128) });
      const scale = g.table(`scale_${numOut}`, [numOut], () => new Float32Array(numOut).fill(1e-3));
      const x = input("uint8", [rows, numIn]);
      g.op("MatMulIntegerToFloat", [x, w, g.number(1), scale, zero], {}, "com.microsoft");
    } else {
      const w = g.table(name, [numOut, numIn], () => randomFloats(numIn * numOut));
      g.op("Gemm", [input("float32", [rows, numIn]), w], { transB: 1 });
    }
  });
  attention.forEach(({ batch, rows, numIn, numOut, isConstant }, i) => {
    const x = input("float32", [batch, rows, numIn]);
    const dims = [batch, numIn, numOut];
    // Each layer has keys and values of its own.
    const name = `attention_${i}`;
    const y = isConstant
      ? g.table(name, dims, () => randomFloats(batch * numIn * numOut))
      : g.input(name, "float32", dims);
    if (!isConstant) inputs.set(name, { type: "float32", dims });
    g.op("MatMul", [x, y]);
  });
  const [first] = inputs.keys();
  g.output("done", g.op("Shape", [first]), "int64", ["axis"]);
  return { graph: g.finish(), inputs };
}

function randomFloats(count) {
  const values = new Float32Array(count);
  for (let i = 0; i < Math.min(count, 4099); i++) values[i] = Math.random() - 0.5;
  for (let i = 4099; i < count; i *= 2) values.copyWithin(i, 0, Math.min(i, count - i));
  return values;
}

function randomBytes(count) {
  const values = new Uint8Array(count);
  for (let i = 0; i < Math.min(count, 4099); i++) values[i] = Math.floor(Math.random() * 127) - 63;
  for (let i = 4099; i < count; i *= 2) values.copyWithin(i, 0, Math.min(i, count - i));
  return values;
}

/** Loads the products: `run()` does them once. */
export async function openFloor(products, isInt8) {
  const folder = await mkdtemp(join(tmpdir(), "nemo-stt-floor-"));
  try {
    const { graph, inputs } = productsGraph(products, isInt8);
    const placed = placeWeights([graph], "weights.bin");
    await toFile(join(folder, "weights.bin"), (sink) => writeWeights(placed, sink));
    const path = join(folder, "products.onnx");
    await toFile(path, (sink) => writeModel(graph, sink, placed.placements));
    const session = await nodeRuntime({ graphOptimizationLevel: "basic" }).load({ path }, { numThreads: 1 });
    const feeds = {};
    for (const [name, { type, dims }] of inputs) {
      const count = dims.reduce((product, n) => product * n, 1);
      feeds[name] = { type, dims, data: type === "uint8" ? randomBytes(count) : randomFloats(count) };
    }
    return { run: () => session.run(feeds), close: () => session.close() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function toFile(path, write) {
  const file = await open(path, "w");
  try {
    await write({ write: async (bytes) => void (await file.write(bytes)) });
  } finally {
    await file.close();
  }
}

/** The description of a checkpoint. */
export const floorSpec = (path) =>
  withRawCheckpoint(path, async (checkpoint) => (await describeCheckpoint(checkpoint)).spec);

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      context: { type: "string", default: "70,0" },
      streams: { type: "string", default: "16" },
      int8: { type: "boolean" },
      ticks: { type: "string", default: "10" },
    },
  });
  const spec = await floorSpec(positionals[0]);
  const context = values.context.split(",").map(Number);
  const head = spec.heads.ctc ? "ctc" : "transducer";
  const products = productsOf(spec, context, Number(values.streams), head, values.int8 ? "int8" : "float32");
  const floor = await openFloor(products, values.int8 ?? false);
  const times = [];
  for (let i = 0; i < Number(values.ticks) + 2; i++) {
    const start = performance.now();
    await floor.run();
    if (i > 1) times.push(performance.now() - start);
  }
  await floor.close();
  const ms = times.sort((a, b) => a - b)[times.length >> 1];
  console.log(`${ms.toFixed(2)} ms a batch, ${(operationsOf(products) / ms / 1e6).toFixed(0)} G operations a second`);
}
