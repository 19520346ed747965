import { conformerEncoder } from "../architectures/conformer/encoder.ts";
import { streamingConformer } from "../architectures/conformer/streaming.ts";
import { cacheLayout } from "../architectures/conformer/streaming-inputs.ts";
import { convAsrEncoder } from "../architectures/convasr/encoder.ts";
import {
  classifierHead,
  ctcHead,
  encoderProjection,
  jointOutput,
  predictionProjection,
  predictionStep,
  stateSize,
} from "../architectures/heads.ts";
import { createNet, type Net, type Precision, type Weights } from "../architectures/net.ts";
import type { ConformerSpec, ModelSpec, TransducerSpec } from "../config/spec.ts";
import { streamGeometry, streamObstacle } from "../config/streaming.ts";
import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { transpose } from "../onnx/ops.ts";

/** The graphs of a model, by the part of it they compute. */
export interface ModelGraphs {
  /**
   * `audio_signal` float32 `[batch, mel, frame]`, `length` int64 `[batch]` and, where the attention is limited,
   * `att_context` int64 `[2]` → `encoded` `[batch, model, step]`, `encoded_lengths`, and as the heads have it
   * `log_probs` `[batch, step, class]`, `encoder_projected` `[batch, step, joint]`, `logits`.
   */
  readonly encoder: Graph;
  /**
   * `tokens` int32 `[row]`, `state` `[row, state]` → `prediction` `[row, joint]`, `hidden` `[row, hidden]` (before the
   * joint's projection), `next_state` `[row, state]`.
   */
  readonly prediction?: Graph;
  /** `encoder` and `prediction` `[row, joint]` → `logits` `[row, output]`. */
  readonly joint?: Graph;
  /** The next chunks of any number of streams in any latency modes, where the encoder can be streamed (`streamingGraph`). */
  readonly streaming?: Graph;
}

/** Builds every graph of a model in our own layout. */
export function buildGraphs(spec: ModelSpec, weights: Weights, precision: Precision = "float32"): ModelGraphs {
  const graphs: ModelGraphs = { encoder: encoderGraph(spec, weights, precision) };
  const { transducer } = spec.heads;
  return {
    ...graphs,
    ...(transducer && { prediction: predictionGraph(transducer, weights), joint: jointGraph(transducer, weights) }),
    ...(streamObstacle(spec) === undefined && { streaming: streamingGraph(spec, weights, precision) }),
  };
}

/** True where the encoder's graph takes the attention context as an input. */
export function takesContext(spec: ModelSpec): boolean {
  return spec.encoder.kind === "conformer" && isLimited(spec.encoder);
}

function isLimited(encoder: ConformerSpec): boolean {
  const { contexts, style } = encoder.attention;
  return style === "chunked_limited_with_rc" || contexts.some((c) => c.left >= 0 || c.right >= 0);
}

/** How many numbers an attention context has: left and right, or left, chunk and right. */
export function contextSize(spec: ModelSpec): number {
  return spec.encoder.kind === "conformer" && spec.encoder.attention.style === "chunked_limited_with_rc" ? 3 : 2;
}

/** The encoder's own values in a graph. */
export interface EncoderValues {
  readonly encoded: Value;
  readonly lengths: Value;
}

/** Adds the encoder of a model to a graph. */
export function addEncoder(
  net: Net,
  spec: ModelSpec,
  inputs: { features: Value; lengths: Value; context: Value | undefined },
): EncoderValues {
  const { encoder } = spec;
  if (encoder.kind === "graph") throw new TypeError("encoder: expected a description with tensors, got a graph.");
  return encoder.kind === "conformer" ? conformerEncoder(net, encoder, inputs) : convAsrEncoder(net, encoder, inputs);
}

function encoderGraph(spec: ModelSpec, weights: Weights, precision: Precision): Graph {
  const g = new GraphBuilder("encoder");
  const net = createNet(g, weights, precision);
  const features = g.input("audio_signal", "float32", ["batch", spec.encoder.numMels, "frame"]);
  const lengths = g.input("length", "int64", ["batch"]);
  const context = takesContext(spec) ? g.input("att_context", "int64", [contextSize(spec)]) : undefined;
  const { encoded, lengths: numSteps } = addEncoder(net, spec, { features, lengths, context });
  g.output("encoded", encoded, "float32", ["batch", outputSize(spec), "step"]);
  g.output("encoded_lengths", numSteps, "int64", ["batch"]);
  addTextHeads(net, spec, encoded);
  const { classifier } = spec.heads;
  if (classifier) {
    const axes =
      classifier.kind === "frame" ? ["batch", "step", classifier.numClasses] : ["batch", classifier.numClasses];
    g.output("logits", classifierHead(net, classifier, encoded), "float32", axes);
  }
  return g.finish();
}

/** The heads that are fused to the encoder `[batch, model, step]` of a model that writes text. */
function addTextHeads(net: Net, { heads: { ctc, transducer } }: ModelSpec, encoded: Value): void {
  const { g } = net;
  if (ctc) g.output("log_probs", ctcHead(net, ctc, encoded), "float32", ["batch", "step", ctc.numClasses]);
  if (transducer) {
    const projected = encoderProjection(net, encoded);
    g.output("encoder_projected", projected, "float32", ["batch", "step", transducer.joint.hiddenSize]);
  }
}

/**
 * The next chunks of any number of streams: `frames` float32 `[batch, frame, mel]`; `frame_begin`, `frame_end`, `past_steps`,
 * `chunk_steps` and `left_steps` int64 `[batch]`; for each layer `keys.N` and `values.N` float32 `[batch, head, 1,
 * ring, headSize]`; `value_order` int32 `[3, batch, ordered]`; `conv_pool` float32 `[row, model]` and `conv_rows` int32 `[batch,
 * convLeft]` → `encoded` `[batch, model, step]`, the heads as in the offline graph, `new_attention` `[2 · layer · batch,
 * head, step, headSize]` and `new_conv` `[layer · batch · step, model]`. See `StreamingInputs` for what they mean.
 */
function streamingGraph(spec: ModelSpec, weights: Weights, precision: Precision): Graph {
  const encoder = spec.encoder as ConformerSpec;
  const geometry = streamGeometry(encoder);
  const g = new GraphBuilder("streaming");
  const net = createNet(g, weights, precision);
  const { numLayers, numHeads, modelSize } = encoder;
  const headSize = modelSize / numHeads;
  const { ringSteps, convLeft } = cacheLayout(encoder, geometry);
  const rings = (name: string) =>
    Array.from({ length: ringSteps > 0 ? numLayers : 0 }, (_, i) =>
      g.input(`${name}.${i}`, "float32", ["batch", numHeads, 1, ringSteps, headSize]),
    );
  const { encoded, rows } = streamingConformer(net, encoder, geometry, {
    frames: g.input("frames", "float32", ["batch", "frame", encoder.numMels]),
    frameBegin: g.input("frame_begin", "int64", ["batch"]),
    frameEnd: g.input("frame_end", "int64", ["batch"]),
    pastSteps: g.input("past_steps", "int64", ["batch"]),
    chunkSteps: g.input("chunk_steps", "int64", ["batch"]),
    leftSteps: g.input("left_steps", "int64", ["batch"]),
    keys: rings("keys"),
    values: rings("values"),
    valueOrder: ringSteps > 0 ? g.input("value_order", "int32", [3, "batch", "ordered"]) : undefined,
    conv:
      convLeft > 0
        ? {
            pool: g.input("conv_pool", "float32", ["row", modelSize]),
            rows: g.input("conv_rows", "int32", ["batch", convLeft]),
          }
        : undefined,
  });
  const channelsFirst = transpose(g, encoded, [0, 2, 1]);
  g.output("encoded", channelsFirst, "float32", ["batch", outputSize(spec), "step"]);
  addTextHeads(net, spec, channelsFirst);
  g.output("new_attention", rows.attention, "float32", ["attention_row", numHeads, "step", headSize]);
  g.output("new_conv", rows.conv, "float32", ["conv_row", modelSize]);
  return g.finish();
}

/** Channels of the encoder's output. */
export function outputSize(spec: ModelSpec): number {
  return spec.encoder.kind === "conformer" ? (spec.encoder.outSize ?? spec.encoder.modelSize) : spec.encoder.outSize;
}

function predictionGraph(spec: TransducerSpec, weights: Weights): Graph {
  const g = new GraphBuilder("prediction");
  const net = createNet(g, weights);
  const tokens = g.input("tokens", "int32", ["row"]);
  const size = stateSize(spec);
  const state = size > 0 ? g.input("state", "float32", ["row", size]) : undefined;
  const step = predictionStep(net, spec, tokens, state);
  g.output("prediction", predictionProjection(net, step.output), "float32", ["row", spec.joint.hiddenSize]);
  g.output("hidden", step.output, "float32", ["row", "hidden"]);
  if (step.state !== undefined) g.output("next_state", step.state, "float32", ["row", size]);
  return g.finish();
}

function jointGraph(spec: TransducerSpec, weights: Weights): Graph {
  const g = new GraphBuilder("joint");
  const net = createNet(g, weights);
  const encoder = g.input("encoder", "float32", ["row", spec.joint.hiddenSize]);
  const prediction = g.input("prediction", "float32", ["row", spec.joint.hiddenSize]);
  g.output("logits", jointOutput(net, spec, g.op("Add", [encoder, prediction])), "float32", [
    "row",
    spec.joint.numOutputs,
  ]);
  return g.finish();
}
