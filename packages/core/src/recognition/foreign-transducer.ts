import type { PredictionRows, TransducerNetworks } from "../decoding/transducer.ts";
import { SpeechError } from "../errors.ts";
import { float32, type Tensor } from "../tensor.ts";
import { type NamedSession, refuseOtherInputs, requirePort } from "./foreign-ports.ts";
import { nextStates, type PredictionPorts, predictionFeeds, predictionPorts } from "./foreign-prediction.ts";

/** Prediction network and joint network of another exporter. */
export interface ForeignTransducer {
  readonly networks: TransducerNetworks;
  readonly numLayers: number;
  readonly hiddenSize: number;
}

type Predict = TransducerNetworks["predict"];
type Joint = TransducerNetworks["joint"];

/**
 * Opens sherpa-onnx's `decoder.onnx` and `joiner.onnx`: the prediction network, and the joint network over the raw
 * outputs of encoder and prediction network.
 * @throws SpeechError `MODEL_UNSUPPORTED`
 */
export async function openSeparateTransducer(
  decoder: NamedSession,
  joiner: NamedSession,
  encoderSize: number,
): Promise<ForeignTransducer> {
  const ports = predictionPorts(decoder, 0);
  refuseOtherInputs(decoder, [ports.targets, ports.targetLength, ...ports.states]);
  const output = requirePort(decoder, "output", {
    names: ["outputs"],
    position: 0,
    rank: 3,
    kind: "float",
  });
  const predict: Predict = async (tokens, states) => {
    const wanted = [output, ...ports.nextStates].map((port) => port.name);
    const out = await decoder.session.run(predictionFeeds(ports, tokens, states), wanted);
    return { outputs: oneLabel(decoder.where, out[output.name]), states: nextStates(ports, out, tokens.length) };
  };
  const start = await predict(new Int32Array(1), new Float32Array(ports.stateSize));
  const { joint, maxRows } = joinerOf(joiner, encoderSize, start.outputs.length);
  return transducerOf(ports, { encoderSize, predictionSize: start.outputs.length }, predict, (encoder, prediction) =>
    inParts(encoder.length / encoderSize, maxRows, (from, to) =>
      joint(rowsOf(encoder, encoderSize, from, to), rowsOf(prediction, start.outputs.length, from, to)),
    ),
  );
}

function joinerOf(graph: NamedSession, encoderSize: number, predictionSize: number) {
  const wanted = { rank: 3, kind: "float" } as const;
  const encoder = requirePort(graph, "input", { names: ["encoder_outputs"], position: 0, ...wanted });
  const decoder = requirePort(graph, "input", { names: ["decoder_outputs"], position: 1, ...wanted });
  const output = requirePort(graph, "output", { names: ["outputs"], position: 0, rank: 4, kind: "float" });
  refuseOtherInputs(graph, [encoder, decoder]);
  const joint: Joint = async (encoderRows, predictionRows) => {
    const numRows = encoderRows.length / encoderSize;
    const feeds = {
      [encoder.name]: float32(encoderRows, [numRows, encoderSize, 1]),
      [decoder.name]: float32(predictionRows, [numRows, predictionSize, 1]),
    };
    const out = await graph.session.run(feeds, [output.name]);
    return out[output.name].data as Float32Array;
  };
  const isFixed = encoder.dims[0] > 0 || decoder.dims[0] > 0;
  return { joint, maxRows: isFixed ? 1 : Number.POSITIVE_INFINITY };
}

/**
 * Opens NeMo's `decoder_joint-X.onnx`, which runs prediction network and joint network in one call and shows nothing
 * between them.
 *
 * A prediction row is here what a call needs to do its work again: the token and the state before it. The LSTM so runs
 * once for its state, and once more for every block of steps that one recording has evaluated in one call.
 * @throws SpeechError `MODEL_UNSUPPORTED`
 */
export async function openFusedTransducer(graph: NamedSession, encoderSize: number): Promise<ForeignTransducer> {
  const { where, session } = graph;
  const ports = predictionPorts(graph, 1);
  const encoder = requirePort(graph, "input", {
    names: ["encoder_outputs"],
    position: 0,
    rank: 3,
    kind: "float",
  });
  const output = requirePort(graph, "output", {
    names: ["outputs"],
    position: 0,
    rank: 4,
    kind: "float",
  });
  refuseOtherInputs(graph, [encoder, ports.targets, ports.targetLength, ...ports.states]);
  const predictionSize = 1 + ports.stateSize;

  const predict: Predict = async (tokens, states) => {
    const silence = float32(new Float32Array(tokens.length * encoderSize), [tokens.length, encoderSize, 1]);
    const feeds = { [encoder.name]: silence, ...predictionFeeds(ports, tokens, states) };
    const wanted = ports.nextStates.map((port) => port.name);
    const out = await session.run(feeds, wanted);
    return { outputs: callRows(tokens, states), states: nextStates(ports, out, tokens.length) };
  };
  const block = async (encoderRows: Float32Array, predictionRow: Float32Array): Promise<Float32Array> => {
    const feeds = {
      [encoder.name]: stepsOf(encoderRows, encoderSize),
      ...predictionFeeds(ports, Int32Array.of(predictionRow[0]), predictionRow.subarray(1)),
    };
    const out = await session.run(feeds, [output.name]);
    return oneLabel(where, out[output.name]);
  };
  const maxSteps = encoder.dims[2] > 0 ? encoder.dims[2] : Number.POSITIVE_INFINITY;
  return transducerOf(ports, { encoderSize, predictionSize }, predict, async (encoderRows, predictionRows) => {
    const numRows = encoderRows.length / encoderSize;
    const row = (i: number) => rowsOf(predictionRows, predictionSize, i, i + 1);
    const parts: Float32Array[] = [];
    for (let from = 0, to = 0; from < numRows; from = to) {
      do to++;
      while (to < numRows && to - from < maxSteps && isSame(row(from), row(to)));
      parts.push(await block(rowsOf(encoderRows, encoderSize, from, to), row(from)));
    }
    return joined(parts);
  });
}

/** Puts the networks together; one call of the joint network tells how many outputs it has. */
async function transducerOf(
  ports: PredictionPorts,
  sizes: { readonly encoderSize: number; readonly predictionSize: number },
  predict: Predict,
  joint: Joint,
): Promise<ForeignTransducer> {
  const { encoderSize, predictionSize } = sizes;
  const { stateSize, maxRows, numLayers, hiddenSize } = ports;
  const logits = await joint(new Float32Array(encoderSize), new Float32Array(predictionSize));
  const networks: TransducerNetworks = {
    jointSize: encoderSize,
    predictionSize,
    numOutputs: logits.length,
    initialState: new Float32Array(stateSize),
    async predict(tokens, states) {
      if (tokens.length <= maxRows) return predict(tokens, states);
      const parts: PredictionRows[] = [];
      for (let i = 0; i < tokens.length; i++) {
        parts.push(await predict(tokens.subarray(i, i + 1), rowsOf(states, stateSize, i, i + 1)));
      }
      return { outputs: joined(parts.map((part) => part.outputs)), states: joined(parts.map((part) => part.states)) };
    },
    joint,
  };
  return { networks, numLayers, hiddenSize };
}

/** The values of a result that has one label, `[batch, …, 1, …]` with the labels on axis 2. */
function oneLabel(where: string, { data, dims }: Tensor): Float32Array {
  if (dims[2] === 1) return data as Float32Array;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${where}: expected outputs for one label, got ${dims[2]} for the one that was fed. Export the prediction network without a start symbol before its labels.`,
  );
}

/** Tokens and the states before them, `[row, 1 + state]`. */
function callRows(tokens: Int32Array, states: Float32Array): Float32Array {
  const size = states.length / tokens.length;
  const rows = new Float32Array(tokens.length * (1 + size));
  tokens.forEach((token, i) => {
    rows[i * (1 + size)] = token;
    rows.set(rowsOf(states, size, i, i + 1), i * (1 + size) + 1);
  });
  return rows;
}

/** `[step, model]` → `[1, model, step]`. */
function stepsOf(rows: Float32Array, size: number): Tensor {
  const numSteps = rows.length / size;
  const data = new Float32Array(rows.length);
  for (let t = 0; t < numSteps; t++) for (let d = 0; d < size; d++) data[d * numSteps + t] = rows[t * size + d];
  return float32(data, [1, size, numSteps]);
}

async function inParts(
  numRows: number,
  maxRows: number,
  run: (from: number, to: number) => Promise<Float32Array>,
): Promise<Float32Array> {
  if (numRows <= maxRows) return run(0, numRows);
  const parts: Float32Array[] = [];
  for (let from = 0; from < numRows; from += maxRows) parts.push(await run(from, Math.min(numRows, from + maxRows)));
  return joined(parts);
}

const rowsOf = (data: Float32Array, size: number, from: number, to: number): Float32Array =>
  data.subarray(from * size, to * size);

const isSame = (a: Float32Array, b: Float32Array): boolean => a.every((value, i) => value === b[i]);

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0];
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
