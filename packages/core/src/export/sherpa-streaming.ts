import { type FixedMode, fixedStreamingConformer } from "../architectures/conformer/fixed-streaming.ts";
import { ctcHead } from "../architectures/heads.ts";
import { createNet, type Precision, type Weights } from "../architectures/net.ts";
import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import { streamGeometry, streamModes } from "../config/streaming.ts";
import { GraphBuilder } from "../onnx/graph.ts";
import { outputSize } from "./graphs.ts";

/**
 * The mode that a graph for sherpa-onnx fixes; undefined where the encoder cannot be streamed in this context the way
 * NeMo exports it: over causal strided convolutions, in a chunk that contains the context.
 */
export function fixedMode(spec: ModelSpec, [left, right]: readonly number[]): FixedMode | undefined {
  const isMode = streamModes(spec).some(({ attContext }) => attContext[1] === right && attContext[0] >= left);
  if (!isMode || left < 0) return undefined;
  const encoder = spec.encoder as ConformerSpec;
  const { lookbackFrames, lookaheadFrames } = streamGeometry(encoder);
  return lookbackFrames > 0 && lookaheadFrames === 0 ? fixedModeOf(encoder, [left, right]) : undefined;
}

/** The mode of a context, for an encoder over causal strided convolutions. */
export function fixedModeOf(encoder: ConformerSpec, [left, right]: readonly [number, number]): FixedMode {
  const { factor } = streamGeometry(encoder);
  const chunkSteps = right + 1;
  // A step hears 2 · (factor - 1) frames back; NeMo gives each call factor + 1, which two steps of their own make whole.
  const heardAgain = factor + 1;
  return {
    chunkSteps,
    cachedSteps: Math.floor(left / chunkSteps) * chunkSteps,
    windowFrames: factor * chunkSteps + heardAgain,
    shiftFrames: factor * chunkSteps,
    droppedSteps: 2,
  };
}

/**
 * The encoders that sherpa-onnx streams from in one latency mode, unfinished: `streaming-model.onnx` with the CTC head,
 * `streaming-encoder.onnx` for RNNT beside the offline `decoder.onnx` and `joiner.onnx` (sherpa-onnx decodes no TDT in a
 * stream). Ports, their order and the caches' axes are NeMo's (`export` with `cache_support`); sherpa-onnx goes by order.
 */
export function sherpaStreamingGraphs(
  spec: ModelSpec,
  weights: Weights,
  precision: Precision,
  mode: FixedMode,
): Map<string, GraphBuilder> {
  const { ctc, transducer } = spec.heads;
  const graphs = new Map<string, GraphBuilder>();
  if (ctc) graphs.set("streaming-model.onnx", streamingGraph("ctc", spec, weights, precision, mode));
  if (transducer?.kind === "rnnt") {
    graphs.set("streaming-encoder.onnx", streamingGraph("transducer", spec, weights, precision, mode));
  }
  return graphs;
}

function streamingGraph(
  head: "ctc" | "transducer",
  spec: ModelSpec,
  weights: Weights,
  precision: Precision,
  mode: FixedMode,
): GraphBuilder {
  const g = new GraphBuilder("encoder");
  const net = createNet(g, weights, precision);
  const { numLayers, modelSize, numMels, convContext } = spec.encoder as ConformerSpec;
  const channelAxes = ["batch", numLayers, mode.cachedSteps, modelSize];
  const timeAxes = ["batch", numLayers, modelSize, convContext.left];
  const inputs = {
    features: g.input("audio_signal", "float32", ["batch", numMels, mode.windowFrames]),
    lengths: g.input("length", "int64", ["batch"]),
    lastChannel: g.input("cache_last_channel", "float32", channelAxes),
    lastTime: g.input("cache_last_time", "float32", timeAxes),
    lastChannelLen: g.input("cache_last_channel_len", "int64", ["batch"]),
  };
  const next = fixedStreamingConformer(net, spec.encoder as ConformerSpec, mode, inputs);
  if (head === "ctc" && spec.heads.ctc) {
    const axes = ["batch", mode.chunkSteps, spec.heads.ctc.numClasses];
    g.output("log_probs", ctcHead(net, spec.heads.ctc, next.encoded), "float32", axes);
  } else {
    g.output("outputs", next.encoded, "float32", ["batch", outputSize(spec), mode.chunkSteps]);
  }
  g.output("encoded_lengths", next.lengths, "int64", ["batch"]);
  g.output("cache_last_channel_next", next.lastChannel, "float32", channelAxes);
  g.output("cache_last_time_next", next.lastTime, "float32", timeAxes);
  g.output("cache_last_channel_next_len", next.lastChannelLen, "int64", ["batch"]);
  const sizes = (name: string, dims: readonly number[]) =>
    Object.fromEntries(dims.map((size, i) => [`${name}_dim${i + 1}`, size]));
  g.metadata({
    window_size: mode.windowFrames,
    chunk_shift: mode.shiftFrames,
    ...sizes("cache_last_channel", [numLayers, mode.cachedSteps, modelSize]),
    ...sizes("cache_last_time", [numLayers, modelSize, convContext.left]),
  });
  return g;
}
