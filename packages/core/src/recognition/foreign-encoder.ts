import { SpeechError } from "../errors.ts";
import type { GraphSession, ValueInfo } from "../runtime.ts";
import { float32, type Tensor } from "../tensor.ts";
import { findPort, integersFor, type NamedSession, refuseOtherInputs, requirePort } from "./foreign-ports.ts";

/** The encoder of another exporter, with a CTC head or without: one recording at a time. */
export interface ForeignEncoder {
  readonly numMels: number;
  /** Width of a row of the output: classes, or the encoder's channels. */
  readonly rowSize: number;
  readonly subsamplingFactor: number;
  /**
   * Runs one recording, `[mel, frame]`, all of whose frames are valid.
   * @returns valid rows, `[step, row]`
   */
  run(features: Float32Array): Promise<Float32Array>;
}

/** How a graph lays out what it gives: log-probabilities `[batch, step, class]`, the encoder `[batch, model, step]`. */
type Axes = "step-major" | "channel-major";

interface Ports {
  readonly features: ValueInfo;
  /** Absent in NeMo's exports of convolutional encoders whose masks all went. */
  readonly length: ValueInfo | undefined;
  readonly rows: ValueInfo;
  /** Absent in NeMo's CTC exports. */
  readonly lengths: ValueInfo | undefined;
}

/** Published models have 64 to 128. */
const MAX_MELS = 1024;

/** Widths whose difference gives the factor; neither is a multiple of it, so that they also tell how it rounds. */
const MEASURED_FRAMES = [86, 166] as const;

/**
 * Opens an encoder by its ports (by name where they have NeMo's names, else by position) and measures it on two short
 * stretches of silence: the sizes that its ports leave open, and how many steps come of how many frames.
 * @throws SpeechError `MODEL_UNSUPPORTED` for streaming exports and graphs of other kinds
 */
export async function openForeignEncoder(
  graph: NamedSession,
  axes: Axes,
  numMelsTold: number | undefined,
): Promise<ForeignEncoder> {
  const { where, session } = graph;
  const ports = encoderPorts(graph, axes);
  const numMels = ports.features.dims[1] > 0 ? ports.features.dims[1] : (numMelsTold ?? 80);
  if (numMels > MAX_MELS) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${where}: expected at most ${MAX_MELS} features, got ${numMels}. It is no graph of a NeMo model that runs here.`,
    );
  }
  const measured = [];
  for (const numFrames of MEASURED_FRAMES) {
    measured.push(await runGraph(session, ports, numMels, new Float32Array(numMels * numFrames)));
  }
  const [shorter, longer] = measured.map(({ rows }) => rows.dims[stepAxis(axes)]);
  const subsamplingFactor = (MEASURED_FRAMES[1] - MEASURED_FRAMES[0]) / (longer - shorter);
  if (!Number.isInteger(subsamplingFactor)) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${where}: expected a whole number of frames for every step, got ${shorter} and ${longer} steps of ${MEASURED_FRAMES.join(" and ")} frames. It is no graph of a NeMo model that runs here.`,
    );
  }
  const numSteps = ports.lengths ? undefined : stepCounter(where, subsamplingFactor, [shorter, longer]);
  return {
    numMels,
    rowSize: measured[0].rows.dims[axes === "step-major" ? 2 : 1],
    subsamplingFactor,
    async run(features) {
      const { rows, lengths } = await runGraph(session, ports, numMels, features);
      const numValid = numSteps ? numSteps(features.length / numMels) : Number(lengths?.data[0]);
      const valid = Math.min(numValid, rows.dims[stepAxis(axes)]);
      return axes === "step-major"
        ? (rows.data as Float32Array).slice(0, valid * rows.dims[2])
        : transposed(rows, valid);
    },
  };
}

function encoderPorts(graph: NamedSession, axes: Axes): Ports {
  const { inputs, outputs } = graph.session;
  const features = requirePort(graph, "input", {
    names: ["audio_signal"],
    position: 0,
    rank: 3,
    kind: "float",
  });
  const length = findPort(inputs, { names: ["length"], position: 1, rank: 1, kind: "integer" });
  refuseOtherInputs(graph, [features, length]);
  const names = axes === "step-major" ? ["logprobs", "log_probs"] : ["outputs"];
  const rows = requirePort(graph, "output", { names, position: 0, rank: 3, kind: "float" });
  const lengths = findPort(outputs, { names: ["encoded_lengths"], position: 1, rank: 1, kind: "integer" });
  return { features, length, rows, lengths };
}

const stepAxis = (axes: Axes): 1 | 2 => (axes === "step-major" ? 1 : 2);

async function runGraph(
  session: GraphSession,
  { features, length, rows, lengths }: Ports,
  numMels: number,
  data: Float32Array,
): Promise<{ rows: Tensor; lengths: Tensor | undefined }> {
  const numFrames = data.length / numMels;
  const feeds: Record<string, Tensor> = { [features.name]: float32(data, [1, numMels, numFrames]) };
  if (length) feeds[length.name] = integersFor(length, [numFrames], [1]);
  const out = await session.run(feeds, lengths ? [rows.name, lengths.name] : [rows.name]);
  return { rows: out[rows.name], lengths: lengths && out[lengths.name] };
}

/**
 * How many steps are valid where the graph does not say: strided convolutions halve, rounding up, causal ones to one
 * more than the half rounded down (NeMo `calc_length`).
 */
function stepCounter(where: string, factor: number, measured: readonly number[]): (numFrames: number) => number {
  const roundsUp = (numFrames: number): number => Math.ceil(numFrames / factor);
  const causal = (numFrames: number): number => {
    let n = numFrames;
    for (let done = 1; done < factor; done *= 2) n = Math.floor(n / 2) + 1;
    return n;
  };
  const found = [roundsUp, causal].find((rule) => MEASURED_FRAMES.every((n, i) => rule(n) === measured[i]));
  if (found) return found;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${where}: expected an output \`encoded_lengths\`, got none, and ${measured.join(" and ")} steps of ${MEASURED_FRAMES.join(" and ")} frames, which no subsampling of NeMo gives. Export the model with its lengths.`,
  );
}

/** `[1, model, step]` → the first rows of `[step, model]`. */
function transposed({ data, dims }: Tensor, numSteps: number): Float32Array {
  const [, size, stride] = dims;
  const values = data as Float32Array;
  const out = new Float32Array(numSteps * size);
  for (let d = 0; d < size; d++) for (let t = 0; t < numSteps; t++) out[t * size + d] = values[d * stride + t];
  return out;
}
