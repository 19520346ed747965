import { ctcHead, encoderProjection, jointOutput, lstmSequence, predictionProjection } from "../architectures/heads.ts";
import { createNet, type Precision, type Weights } from "../architectures/net.ts";
import { checkContext } from "../config/contexts.ts";
import { stepSamples } from "../config/geometry.ts";
import type { ModelSpec, TransducerSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { reshape, sizeOf, transpose, unsqueeze } from "../onnx/ops.ts";
import { addEncoder, outputSize, takesContext } from "./graphs.ts";
import { fixedMode, sherpaStreamingGraphs } from "./sherpa-streaming.ts";
import { storedSpecMetadata } from "./stored-spec.ts";

/** Folder layouts that other runtimes read. */
export type ForeignLayout = "nemo" | "sherpa";

/** What a foreign layout has to be told. */
export interface ForeignOptions {
  readonly precision: Precision;
  /** Fixed in the graph: left and right (or left, chunk and right) steps; the checkpoint's default unless told. */
  readonly attContext?: readonly number[];
  /** For NeMo's layout: the stem of the file names. */
  readonly stem: string;
}

/**
 * The graphs of a model under the file names, port names and metadata of another runtime.
 *
 * `nemo`: what NeMo's own `model.export("stem.onnx")` writes (nemo.md §4.8 of our notes; `Exportable`, asr_model.py).
 * `sherpa`: what sherpa-onnx loads offline: `model.onnx` for CTC, `encoder.onnx`, `decoder.onnx`, `joiner.onnx` for
 * transducers, with its metadata in the first; with an attention context that can be streamed also
 * `streaming-model.onnx` and `streaming-encoder.onnx`, which it streams from (`sherpaStreamingGraphs`).
 */
export function foreignGraphs(
  layout: ForeignLayout,
  spec: ModelSpec,
  weights: Weights,
  options: ForeignOptions,
): ReadonlyMap<string, Graph> {
  const { ctc, transducer } = spec.heads;
  if (!ctc && !transducer) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${spec.className}: expected a model with a CTC or transducer head for layout ${layout}, got a classifier. Export it in our own layout.`,
    );
  }
  if (transducer?.prediction.kind === "stateless") {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${spec.className}: expected an LSTM prediction network for layout ${layout}, got a stateless one. Export it in our own layout.`,
    );
  }
  if (options.attContext) checkContext(spec, options.attContext);
  if (layout === "sherpa") checkSherpa(spec);
  const graphs = new Map<string, Graph>();
  const { stem } = options;
  if (ctc) {
    graphs.set(
      layout === "sherpa" ? "model.onnx" : `${stem}.onnx`,
      encoderGraph(layout, "ctc", spec, weights, options),
    );
  }
  if (transducer) {
    const encoder = layout === "sherpa" ? "encoder.onnx" : `encoder-${stem}.onnx`;
    graphs.set(encoder, encoderGraph(layout, "transducer", spec, weights, options));
    if (layout === "nemo") {
      graphs.set(`decoder_joint-${stem}.onnx`, decoderJointGraph(spec, transducer, weights));
    } else {
      graphs.set("decoder.onnx", decoderGraph(transducer, weights));
      graphs.set("joiner.onnx", joinerGraph(spec, transducer, weights));
    }
  }
  const mode = layout === "sherpa" && options.attContext ? fixedMode(spec, options.attContext) : undefined;
  if (mode) {
    for (const [name, graph] of sherpaStreamingGraphs(spec, weights, options.precision, mode)) {
      graph.metadata(sherpaMetadata(spec));
      graphs.set(name, graph.finish());
    }
  }
  return graphs;
}

function encoderGraph(
  layout: ForeignLayout,
  head: "ctc" | "transducer",
  spec: ModelSpec,
  weights: Weights,
  options: ForeignOptions,
): Graph {
  const g = new GraphBuilder("encoder");
  const net = createNet(g, weights, options.precision);
  const features = g.input("audio_signal", "float32", ["batch", spec.encoder.numMels, "frame"]);
  const lengths = g.input("length", "int64", ["batch"]);
  const context = takesContext(spec) ? g.ints(options.attContext ?? defaultContext(spec)) : undefined;
  const { encoded, lengths: numSteps } = addEncoder(net, spec, { features, lengths, context });
  if (head === "ctc" && spec.heads.ctc) {
    const name = layout === "nemo" ? "logprobs" : "log_probs";
    g.output(name, ctcHead(net, spec.heads.ctc, encoded), "float32", ["batch", "step", spec.heads.ctc.numClasses]);
    // NeMo's export without caches has this one output; sherpa-onnx passes over further ones.
    if (layout === "sherpa") g.output("encoded_lengths", numSteps, "int64", ["batch"]);
  } else {
    g.output("outputs", encoded, "float32", ["batch", outputSize(spec), "step"]);
    g.output("encoded_lengths", numSteps, "int64", ["batch"]);
  }
  if (layout === "sherpa") g.metadata(sherpaMetadata(spec));
  g.metadata(storedSpecMetadata(spec));
  return g.finish();
}

/** The context a call without a choice uses: the first one of the checkpoint. */
export function defaultContext(spec: ModelSpec): readonly number[] {
  if (spec.encoder.kind !== "conformer") return [-1, -1];
  const { style, contexts } = spec.encoder.attention;
  return style === "chunked_limited_with_rc" ? [-1, -1, -1] : [contexts[0].left, contexts[0].right];
}

/**
 * Refuses what sherpa-onnx would run with other numbers: its front end is fixed and reads the normalisation alone, and a
 * TDT duration is to it the index of its output.
 */
function checkSherpa({ className, features, heads }: ModelSpec): void {
  const refuse = (expected: string, got: string): never => {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${className}: expected ${expected} for layout sherpa, got ${got}. sherpa-onnx knows no other.`,
    );
  };
  const { kind, sampleRateHz, windowSamples, hopSamples, normalize } = features;
  const isMel = kind !== "mfcc" && features.log && features.frameSplicing === 1;
  if (!isMel) refuse("log-mel features", kind === "mfcc" ? "MFCC" : "others");
  const isUsual = windowSamples === Math.trunc(0.025 * sampleRateHz) && hopSamples === Math.trunc(0.01 * sampleRateHz);
  if (!isUsual) {
    const ms = (samples: number) => (1000 * samples) / sampleRateHz;
    refuse("windows of 25 ms every 10 ms", `windows of ${ms(windowSamples)} ms every ${ms(hopSamples)} ms`);
  }
  if (normalize.kind !== "none" && normalize.kind !== "per_feature") {
    refuse("features normalised per feature or not at all", normalize.kind);
  }
  const durations = heads.transducer?.durations ?? [];
  if (!durations.every((duration, i) => duration === i)) refuse("durations 0, 1, 2, …", `[${durations.join(", ")}]`);
}

/** sherpa-onnx's metadata for offline models; TDT is told from RNNT by "tdt" in the address. */
function sherpaMetadata(spec: ModelSpec): Record<string, string | number> {
  const { ctc, transducer } = spec.heads;
  return {
    vocab_size: transducer?.vocabularySize ?? (ctc?.numClasses ?? 1) - 1,
    subsampling_factor: stepSamples(spec) / spec.features.hopSamples,
    normalize_type: spec.features.normalize.kind === "none" ? "" : spec.features.normalize.kind,
    feat_dim: spec.encoder.numMels,
    model_type: spec.className,
    ...(transducer?.prediction.kind === "lstm"
      ? { pred_rnn_layers: transducer.prediction.numLayers, pred_hidden: transducer.prediction.hiddenSize }
      : {}),
    url: transducer?.kind === "tdt" ? "nemo-stt tdt" : "nemo-stt",
    model_author: "NeMo",
    version: 1,
    comment: "exported by nemo-stt",
  };
}

/** Ports every exported decoder has; states are `[layer, batch, hidden]`. */
function predictionPorts(g: GraphBuilder, spec: TransducerSpec, names: { h: string; c: string }) {
  const { numLayers, hiddenSize } = lstmOf(spec);
  const targets = g.input("targets", "int32", ["batch", "label"]);
  const lengths = g.input("target_length", "int32", ["batch"]);
  const state = (name: string) => g.input(name, "float32", [numLayers, "batch", hiddenSize]);
  return { targets, lengths, h: state(names.h), c: state(names.c), numLayers, hiddenSize };
}

function lstmOf(spec: TransducerSpec) {
  return spec.prediction as Extract<TransducerSpec["prediction"], { kind: "lstm" }>;
}

/** sherpa-onnx's decoder: outputs `[batch, hidden, label]`. */
function decoderGraph(spec: TransducerSpec, weights: Weights): Graph {
  const g = new GraphBuilder("decoder");
  const net = createNet(g, weights);
  const ports = predictionPorts(g, spec, { h: "states.1", c: "onnx::LSTM_3" });
  const step = lstmSequence(net, spec, ports.targets, [ports.h, ports.c]);
  const state = [ports.numLayers, "batch", ports.hiddenSize];
  g.output("outputs", transpose(g, step.output, [0, 2, 1]), "float32", ["batch", ports.hiddenSize, "label"]);
  g.output("prednet_lengths", ports.lengths, "int32", ["batch"]);
  g.output("states", step.states[0], "float32", state);
  g.output("162", step.states[1], "float32", state);
  return g.finish();
}

/** sherpa-onnx's joiner: one step and one label → raw scores `[batch, 1, 1, output]`. */
function joinerGraph(spec: ModelSpec, transducer: TransducerSpec, weights: Weights): Graph {
  const g = new GraphBuilder("joiner");
  const encoder = g.input("encoder_outputs", "float32", ["batch", outputSize(spec), "step"]);
  const decoder = g.input("decoder_outputs", "float32", ["batch", lstmOf(transducer).hiddenSize, "label"]);
  g.output("outputs", joint(g, transducer, weights, encoder, transpose(g, decoder, [0, 2, 1])), "float32", [
    "batch",
    "step",
    "label",
    transducer.joint.numOutputs,
  ]);
  return g.finish();
}

/** NeMo's fused decoder and joint over every pair of step and label. */
function decoderJointGraph(spec: ModelSpec, transducer: TransducerSpec, weights: Weights): Graph {
  const g = new GraphBuilder("decoder_joint");
  const net = createNet(g, weights);
  const encoder = g.input("encoder_outputs", "float32", ["batch", outputSize(spec), "step"]);
  const ports = predictionPorts(g, transducer, { h: "input_states_1", c: "input_states_2" });
  const step = lstmSequence(net, transducer, ports.targets, [ports.h, ports.c]);
  const scores = joint(g, transducer, weights, encoder, step.output);
  const state = [ports.numLayers, "batch", ports.hiddenSize];
  g.output("outputs", scores, "float32", ["batch", "step", "label", transducer.joint.numOutputs]);
  g.output("prednet_lengths", ports.lengths, "int32", ["batch"]);
  g.output("output_states_1", step.states[0], "float32", state);
  g.output("output_states_2", step.states[1], "float32", state);
  return g.finish();
}

/** Encoder `[batch, model, step]` and prediction `[batch, label, hidden]` → scores `[batch, step, label, output]`. */
function joint(g: GraphBuilder, spec: TransducerSpec, weights: Weights, encoder: Value, prediction: Value): Value {
  const net = createNet(g, weights);
  const projectedSteps = unsqueeze(g, encoderProjection(net, encoder), [2]);
  const hidden = lstmOf(spec).projectionSize ?? lstmOf(spec).hiddenSize;
  const labels = predictionProjection(net, reshape(g, prediction, [-1, hidden]));
  const size = spec.joint.hiddenSize;
  const projectedLabels = g.op("Reshape", [
    labels,
    g.op("Concat", [sizeOf(g, prediction, 0), g.ints([1]), sizeOf(g, prediction, 1), g.ints([size])], { axis: 0 }),
  ]);
  const pairs = g.op("Add", [projectedSteps, projectedLabels]);
  const shape = g.op("Shape", [pairs], { start: 0, end: 3 });
  const rows = jointOutput(net, spec, reshape(g, pairs, [-1, size]));
  return g.op("Reshape", [rows, g.op("Concat", [shape, g.ints([spec.joint.numOutputs])], { axis: 0 })]);
}
