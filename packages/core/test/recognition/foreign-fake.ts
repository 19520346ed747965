import { memorySource } from "../../src/bytes.ts";
import { openForeignRecognizer } from "../../src/recognition/foreign.ts";
import type { GraphSession, Runtime, ValueInfo } from "../../src/runtime.ts";
import type { Tensor, TensorType } from "../../src/tensor.ts";
import { numElements } from "../../src/tensor.ts";

/** Ports by name, as `"float32 ? 80 ?"`: the type, then every axis. */
export type FakePorts = Readonly<Record<string, string>>;

/** A graph that a test invents: zeros of its output shapes, with the steps that its frames make. */
export interface FakeGraph {
  readonly inputs: FakePorts;
  readonly outputs: FakePorts;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Steps of so many frames; an eighth, rounded up, unless told. */
  readonly numSteps?: (numFrames: number) => number;
}

/** The classes of the invented CTC graph and the outputs of the joint networks, blank included. */
export const NUM_CLASSES = 5;

/** No other input that a test invents is as wide as features are. */
const MIN_MELS = 64;

/** A list of tokens that fits. */
export const TOKENS = "▁a 0\n▁b 1\nc 2\nd 3\n<blk> 4\n";

const features = { audio_signal: "float32 ? 80 ?", length: "int64 ?" };

/** NeMo's `model.export` of a CTC model. */
export const ctc: FakeGraph = { inputs: features, outputs: { logprobs: `float32 ? ? ${NUM_CLASSES}` } };

/** NeMo's encoder of a transducer. */
export const encoder: FakeGraph = {
  inputs: features,
  outputs: { outputs: "float32 ? 6 ?", encoded_lengths: "int64 ?" },
};

/** NeMo's fused prediction network and joint network. */
export const decoderJoint: FakeGraph = {
  inputs: {
    encoder_outputs: "float32 ? 6 ?",
    targets: "int32 ? ?",
    target_length: "int32 ?",
    input_states_1: "float32 1 ? 3",
    input_states_2: "float32 1 ? 3",
  },
  outputs: {
    outputs: `float32 ? ? ? ${NUM_CLASSES}`,
    prednet_lengths: "int32 ?",
    output_states_1: "float32 1 ? 3",
    output_states_2: "float32 1 ? 3",
  },
};

/** Opens invented graphs and files as a model of another exporter, and says which graphs were closed again. */
export async function openFake(
  graphs: Readonly<Record<string, FakeGraph>>,
  files: Readonly<Record<string, string>> = {},
  graph?: string,
) {
  const texts: Record<string, string> = { "tokens.txt": TOKENS, ...files };
  const folder = {
    name: "folder",
    read: async (name: string) =>
      name in texts ? memorySource(new TextEncoder().encode(texts[name]), name) : undefined,
    graph: (name: string) => ({ path: name }),
  };
  const loaded: string[] = [];
  const closed: string[] = [];
  const runtime: Runtime = {
    name: "fake",
    async load(location) {
      const name = "path" in location ? location.path : "";
      loaded.push(name);
      return { ...fakeSession(graphs[name]), close: async () => void closed.push(name) };
    },
  };
  const names = [...Object.keys(graphs), ...Object.keys(texts)];
  const recognizer = openForeignRecognizer({ folder, names, graph }, runtime);
  const error = await recognizer.then(
    () => undefined,
    (reason: Error & { code?: string }) => reason,
  );
  return { recognizer, error, loaded, closed };
}

function fakeSession({ inputs, outputs, metadata = {}, numSteps }: FakeGraph): GraphSession {
  const steps = numSteps ?? ((numFrames) => Math.ceil(numFrames / 8));
  return {
    inputs: portsOf(inputs),
    outputs: portsOf(outputs),
    metadata,
    async run(feeds) {
      const [, width, numFrames] = Object.values(feeds)[0].dims;
      const isEncoder = width >= MIN_MELS;
      const open = (rank: number, axis: number): number => {
        if (axis === 0) return 1;
        if (isEncoder) return steps(numFrames);
        return rank === 4 && axis === 1 ? numFrames : 1;
      };
      const results = portsOf(outputs).map(({ name, type, dims }): [string, Tensor] => {
        const known = dims.map((dim, axis) => (dim >= 0 ? dim : open(dims.length, axis)));
        const size = numElements(known);
        const data = type === "float32" ? new Float32Array(size) : new BigInt64Array(size);
        return [name, { type, dims: known, data }];
      });
      return Object.fromEntries(results);
    },
    close: async () => {},
  };
}

function portsOf(ports: FakePorts): ValueInfo[] {
  return Object.entries(ports).map(([name, text]) => {
    const [type, ...dims] = text.split(" ");
    return { name, type: type as TensorType, dims: dims.map((dim) => (dim === "?" ? -1 : Number(dim))) };
  });
}
