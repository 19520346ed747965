import { SpeechError } from "../errors.ts";
import type { ValueInfo } from "../runtime.ts";
import { float32, type Tensor } from "../tensor.ts";
import { findPort, integersFor, isOf, type NamedSession, requirePort } from "./foreign-ports.ts";

/** The ports of a prediction network, in a graph of its own or fused with the joint network. */
export interface PredictionPorts {
  readonly targets: ValueInfo;
  /** Some exporters leave it out. */
  readonly targetLength: ValueInfo | undefined;
  /** LSTM h and c, `[layer, batch, hidden]`. */
  readonly states: readonly ValueInfo[];
  readonly nextStates: readonly ValueInfo[];
  readonly numLayers: number;
  readonly hiddenSize: number;
  /** Numbers of one recording's state: h of all layers, then c. */
  readonly stateSize: number;
  /** Rows of one call: 1 where the graph fixes its batch, as NeMo's `decoder.export` does. */
  readonly maxRows: number;
}

/** Numbers in h or c of one recording; published models have 640 to 1280. */
const MAX_STATE = 2 ** 20;

/**
 * Finds the ports of a prediction network. Exporters name the states by accident, so these go by their place.
 * @param position of `targets` among the inputs
 * @throws SpeechError `MODEL_UNSUPPORTED` for other prediction networks than NeMo's LSTM
 */
export function predictionPorts(graph: NamedSession, position: number): PredictionPorts {
  const { where, session } = graph;
  const { inputs, outputs } = session;
  const targets = requirePort(graph, "input", { names: ["targets"], position, rank: 2, kind: "integer" });
  const targetLength = findPort(inputs, {
    names: ["target_length"],
    position: position + 1,
    rank: 1,
    kind: "integer",
  });
  const isState = (port: ValueInfo) => isOf(port, { rank: 3, kind: "float" });
  const states = inputs.slice(position + 1).filter(isState);
  const nextStates = outputs.slice(1).filter(isState);
  const [numLayers, , hiddenSize] = states[0]?.dims ?? [];
  const isKnown = numLayers > 0 && hiddenSize > 0 && numLayers * hiddenSize <= MAX_STATE;
  const isLstm = states.length === 2 && nextStates.length === 2 && isKnown;
  if (!isLstm || states[1].dims[0] !== numLayers || states[1].dims[2] !== hiddenSize) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${where}: expected the two states of an LSTM, [layer, batch, hidden] of fixed sizes, among inputs and outputs, got ${states.length} and ${nextStates.length}. It is no graph of a NeMo model that runs here.`,
    );
  }
  const batches = [targets.dims[0], ...states.map((state) => state.dims[1])];
  return {
    targets,
    targetLength,
    states,
    nextStates,
    numLayers,
    hiddenSize,
    stateSize: 2 * numLayers * hiddenSize,
    maxRows: batches.some((size) => size > 0) ? 1 : Number.POSITIVE_INFINITY,
  };
}

/** The inputs of a prediction network for one token in each row; `states` is `[row, state]`. */
export function predictionFeeds(
  ports: PredictionPorts,
  tokens: Int32Array,
  states: Float32Array,
): Record<string, Tensor> {
  const { targets, targetLength, numLayers, hiddenSize } = ports;
  const numRows = tokens.length;
  const feeds: Record<string, Tensor> = { [targets.name]: integersFor(targets, tokens, [numRows, 1]) };
  if (targetLength) {
    feeds[targetLength.name] = integersFor(targetLength, new Int32Array(numRows).fill(1), [numRows]);
  }
  ports.states.forEach((port, part) => {
    const data = new Float32Array(numLayers * numRows * hiddenSize);
    copyStates(ports, numRows, part, (inRow, inPort) => {
      data.set(states.subarray(inRow, inRow + hiddenSize), inPort);
    });
    feeds[port.name] = float32(data, [numLayers, numRows, hiddenSize]);
  });
  return feeds;
}

/** The states after a call, `[row, state]`. */
export function nextStates(ports: PredictionPorts, out: Record<string, Tensor>, numRows: number): Float32Array {
  const { hiddenSize, stateSize } = ports;
  const states = new Float32Array(numRows * stateSize);
  ports.nextStates.forEach((port, part) => {
    const data = out[port.name].data as Float32Array;
    copyStates(ports, numRows, part, (inRow, inPort) => {
      states.set(data.subarray(inPort, inPort + hiddenSize), inRow);
    });
  });
  return states;
}

/** Visits every layer of every row: where its numbers begin in `[row, state]`, and in `[layer, row, hidden]` of a port. */
function copyStates(
  { numLayers, hiddenSize, stateSize }: PredictionPorts,
  numRows: number,
  part: number,
  copy: (inRow: number, inPort: number) => void,
): void {
  for (let layer = 0; layer < numLayers; layer++) {
    for (let row = 0; row < numRows; row++) {
      copy(row * stateSize + (part * numLayers + layer) * hiddenSize, (layer * numRows + row) * hiddenSize);
    }
  }
}
