import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import type { TransducerNetworks } from "../../src/decoding/transducer.ts";

/** A linear layer, `[out, in]` row-major. */
interface Linear {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly numIn: number;
}

/** An LSTM prediction network and a ReLU joint straight from a checkpoint's tensors, evaluated in plain JavaScript. */
export interface PlainTransducer {
  readonly networks: TransducerNetworks;
  /** `[model, step]` → projected rows `[step, joint]`. */
  project(encoded: Float32Array, numSteps: number): Float32Array;
}

/** Reads the transducer of a golden checkpoint. */
export async function plainTransducer(checkpoint: Checkpoint): Promise<PlainTransducer> {
  const read = (name: string) => checkpoint.readFloat32(name);
  const dims = (name: string) => checkpoint.tensors.get(name)?.dims ?? [];
  const linear = async (prefix: string, bias = "bias"): Promise<Linear> => {
    const weight = await read(`${prefix}.weight`);
    return { weight, bias: await read(`${prefix}.${bias}`), numIn: dims(`${prefix}.weight`)[1] };
  };
  const enc = await linear("joint.enc");
  const pred = await linear("joint.pred");
  const out = await linear("joint.joint_net.2");
  const embedding = await read("decoder.prediction.embed.weight");
  const hidden = dims("decoder.prediction.embed.weight")[1];
  const lstm = "decoder.prediction.dec_rnn.lstm";
  const layers: { input: Linear; recurrent: Linear }[] = [];
  for (let n = 0; checkpoint.tensors.has(`${lstm}.weight_ih_l${n}`); n++) {
    const part = async (kind: string): Promise<Linear> => ({
      weight: await read(`${lstm}.weight_${kind}_l${n}`),
      bias: await read(`${lstm}.bias_${kind}_l${n}`),
      numIn: hidden,
    });
    layers.push({ input: await part("ih"), recurrent: await part("hh") });
  }
  const jointSize = enc.bias.length;
  const stateSize = 2 * layers.length * hidden;

  function predictRow(token: number, state: Float32Array): { output: Float32Array; state: Float32Array } {
    const next = new Float32Array(stateSize);
    let x = embedding.subarray(token * hidden, (token + 1) * hidden);
    layers.forEach(({ input, recurrent }, n) => {
      const [h, c] = [0, 1].map((k) => state.subarray((2 * n + k) * hidden, (2 * n + k + 1) * hidden));
      const a = apply(input, x);
      const b = apply(recurrent, h);
      const gate = (g: number, j: number) => a[g * hidden + j] + b[g * hidden + j];
      for (let j = 0; j < hidden; j++) {
        const cell = sigmoid(gate(1, j)) * c[j] + sigmoid(gate(0, j)) * Math.tanh(gate(2, j));
        next[(2 * n + 1) * hidden + j] = cell;
        next[2 * n * hidden + j] = sigmoid(gate(3, j)) * Math.tanh(cell);
      }
      x = next.subarray(2 * n * hidden, (2 * n + 1) * hidden);
    });
    return { output: apply(pred, x), state: next };
  }

  const networks: TransducerNetworks = {
    jointSize,
    numOutputs: out.bias.length,
    initialState: new Float32Array(stateSize),
    async predict(tokens, states) {
      const rows = Array.from(tokens, (token, r) =>
        predictRow(token, states.subarray(r * stateSize, (r + 1) * stateSize)),
      );
      return { outputs: joinRows(rows.map((r) => r.output)), states: joinRows(rows.map((r) => r.state)) };
    },
    async joint(encoderRows, predictionRows) {
      const hiddenRows = encoderRows.map((v, i) => Math.max(0, v + predictionRows[i]));
      const numRows = hiddenRows.length / jointSize;
      return joinRows(
        Array.from({ length: numRows }, (_, r) => apply(out, hiddenRows.subarray(r * jointSize, (r + 1) * jointSize))),
      );
    },
  };
  return {
    networks,
    project(encoded, numSteps) {
      const width = encoded.length / enc.numIn;
      const rows = Array.from({ length: numSteps }, (_, t) =>
        apply(
          enc,
          Float32Array.from({ length: enc.numIn }, (_, d) => encoded[d * width + t]),
        ),
      );
      return joinRows(rows);
    },
  };
}

function apply({ weight, bias, numIn }: Linear, x: Float32Array): Float32Array {
  return bias.map((b, o) => {
    let sum = b;
    for (let i = 0; i < numIn; i++) sum += weight[o * numIn + i] * x[i];
    return sum;
  });
}

function joinRows(rows: readonly Float32Array[]): Float32Array {
  const size = rows[0]?.length ?? 0;
  const joined = new Float32Array(rows.length * size);
  rows.forEach((row, r) => {
    joined.set(row, r * size);
  });
  return joined;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
