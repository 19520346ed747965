// @ts-check
// Plain JavaScript, so that it starts as it is from the sources and from `dist`: Node 20 does not strip types in workers.
// It knows nothing but ONNX Runtime; names, checks and errors belong to the side that asks (ort-thread.ts).
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";

/** @typedef {import("./ort-thread.ts").Request} Request */

ort.env.logLevel = "fatal";

/** @type {Map<number, ort.InferenceSession>} */
const sessions = new Map();

/** @param {Extract<Request, { kind: "load" }>} request */
async function load({ graph, model, sessionOptions }) {
  const session = await (typeof model === "string"
    ? ort.InferenceSession.create(model, sessionOptions)
    : ort.InferenceSession.create(model, sessionOptions));
  sessions.set(graph, session);
  return { value: { inputMetadata: session.inputMetadata, outputMetadata: session.outputMetadata }, transfer: [] };
}

/** @param {Extract<Request, { kind: "run" }>} request */
async function run({ graph, feeds, outputs }) {
  const session = sessions.get(graph);
  if (!session) throw new Error("the graph is not loaded in this thread");
  const ortFeeds = Object.fromEntries(
    Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)]),
  );
  const results = await session.run(ortFeeds, outputs);
  /** @type {Record<string, import("@nemo-stt/core").OrtTensor>} */
  const value = {};
  /** @type {ArrayBuffer[]} */
  const transfer = [];
  for (const [name, { type, data, dims }] of Object.entries(results)) {
    // Strings are refused at load, so the data is a typed array over a buffer of its own.
    const plain = /** @type {import("@nemo-stt/core").TensorData} */ (data);
    value[name] = { type, data: plain, dims };
    transfer.push(/** @type {ArrayBuffer} */ (plain.buffer));
  }
  return { value, transfer };
}

/** @param {Extract<Request, { kind: "release" }>} request */
async function release({ graph }) {
  await sessions.get(graph)?.release();
  sessions.delete(graph);
  return { value: undefined, transfer: [] };
}

/**
 * @param {Request} request
 * @returns {Promise<{ value: unknown, transfer: ArrayBuffer[] }>}
 */
function answer(request) {
  if (request.kind === "load") return load(request);
  if (request.kind === "run") return run(request);
  return release(request);
}

const IS_CLOSED = 0;
const NUM_RUNS = 1;
const gate = new Int32Array(/** @type {{ gate: SharedArrayBuffer }} */ (workerData).gate);

/**
 * Does something unless the process is ending, which waits for it (`RunGate` on the other side): ONNX Runtime can neither
 * return nor throw in a thread that is ending.
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
async function pass(action) {
  Atomics.add(gate, NUM_RUNS, 1);
  try {
    if (Atomics.load(gate, IS_CLOSED) === 0) return await action();
  } finally {
    Atomics.sub(gate, NUM_RUNS, 1);
    Atomics.notify(gate, NUM_RUNS);
  }
  return new Promise(() => {});
}

/** @param {Request & { id: number }} request */
async function handle(request) {
  try {
    const { value, transfer } = await pass(() => answer(request));
    parentPort?.postMessage({ id: request.id, value }, transfer);
  } catch (error) {
    parentPort?.postMessage({ id: request.id, error: error instanceof Error ? error.message : String(error) });
  }
}

/** One request at a time, in the order of their arrival: a run that follows its graph's load finds it loaded. */
let last = Promise.resolve();
parentPort?.on("message", (/** @type {Request & { id: number }} */ request) => {
  last = last.then(() => handle(request));
});
// A message that cannot be read has no number to answer to: the thread ends, and with it whatever waits for it.
parentPort?.on("messageerror", (error) => {
  throw error;
});
