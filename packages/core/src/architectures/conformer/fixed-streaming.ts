import type { ConformerSpec } from "../../config/spec.ts";
import type { Value } from "../../onnx/graph.ts";
import { add, concat, matMul, range, reshape, reshapeTo, slice, sub, transpose, unsqueeze } from "../../onnx/ops.ts";
import { linear, type Net, toRows } from "../net.ts";
import { alignPositions, scaledBias } from "./attention.ts";
import { convolved, gatedRows } from "./convolution.ts";
import { conformerLayer } from "./encoder.ts";
import { streamMasks } from "./masks.ts";
import { positionRows } from "./positions.ts";
import { subsample } from "./subsampling.ts";

/** One latency mode as NeMo's export fixes it in a graph (NeMo `ConformerEncoder.setup_streaming_params`). */
export interface FixedMode {
  /** Steps of one chunk. */
  readonly chunkSteps: number;
  /** Steps of attention input that are kept: C. */
  readonly cachedSteps: number;
  /** Frames of one call: those of the chunk and the ones before them that its convolutions hear again. */
  readonly windowFrames: number;
  /** Frames from one call to the next. */
  readonly shiftFrames: number;
  /** Steps at the beginning of each call that stand on frames heard again. */
  readonly droppedSteps: number;
}

/** Inputs with NeMo's shapes: B streams, L layers, C kept steps, D channels, K the convolutions' kernel. */
export interface FixedInputs {
  /** `[B, mel, frame]` */
  readonly features: Value;
  /** int64 `[B]` */
  readonly lengths: Value;
  /** `[B, L, C, D]`: inputs of the attention, newest last. */
  readonly lastChannel: Value;
  /** `[B, L, D, K - 1]`: inputs of the depthwise convolutions, newest last. */
  readonly lastTime: Value;
  /** int64 `[B]`: how many of the C steps count. */
  readonly lastChannelLen: Value;
}

/** The encoder of a call, and the caches of the next one. */
export interface FixedOutputs extends Omit<FixedInputs, "features"> {
  /** `[B, D, step]` */
  readonly encoded: Value;
}

/**
 * A cache-aware encoder as NeMo exports it, for runtimes that know no other: one latency mode, caches in and out, keys and
 * values of the kept steps computed again in every call, the first steps of every call dropped
 * (NeMo `ConformerEncoder.forward_for_export`, conformer_encoder.py).
 *
 * The mode's caches are whole chunks, so that a chunk's first step is at the same place of the attention's chunks as in
 * the whole recording.
 */
export function fixedStreamingConformer(
  net: Net,
  spec: ConformerSpec,
  mode: FixedMode,
  inputs: FixedInputs,
): FixedOutputs {
  const { g } = net;
  const scale = spec.xscaling ? Math.sqrt(spec.modelSize) : 1;
  const { droppedSteps, chunkSteps, cachedSteps } = mode;
  const { x, lengths } = g.scope("pre_encode", () => {
    const frames = { x: transpose(g, inputs.features, [0, 2, 1]), lengths: inputs.lengths };
    return subsample(net, spec.subsampling, frames, spec.numMels, scale);
  });
  const steps = g.op("Max", [sub(g, lengths, g.int(droppedSteps)), g.int(0)]);
  const masks = streamMasks(g, {
    keys: unsqueeze(g, sub(g, range(g, g.ints([cachedSteps + chunkSteps])), g.ints([cachedSteps])), [0]),
    numSteps: g.ints([chunkSteps]),
    pastSteps: inputs.lastChannelLen,
    steps,
    chunkSteps: g.ints([chunkSteps]),
    leftSteps: g.ints([cachedSteps]),
  });
  const shared: Shared = {
    mode,
    scoreBias: unsqueeze(g, masks, [1]),
    positions: positionRows(g, cachedSteps + chunkSteps - 1, chunkSteps, spec.modelSize),
  };
  let rows = toRows(net, slice(g, x, 1, droppedSteps, droppedSteps + chunkSteps), spec.modelSize);
  const channels: Value[] = [];
  const times: Value[] = [];
  for (let i = 0; i < spec.numLayers; i++) {
    const prefix = `encoder.layers.${i}`;
    const ofLayer = (cache: Value) => g.op("Gather", [cache, g.int(i)], { axis: 1 });
    const parts = {
      attention(fresh: Value) {
        const all = joined(net, ofLayer(inputs.lastChannel), fresh, mode);
        channels.push(unsqueeze(g, slice(g, all, 1, chunkSteps, chunkSteps + cachedSteps), [1]));
        return recomputedAttention(net, spec, `${prefix}.self_attn`, fresh, all, shared);
      },
      convolution(fresh: Value) {
        const gated = gatedRows(net, `${prefix}.conv`, fresh);
        const all = joined(net, transpose(g, ofLayer(inputs.lastTime), [0, 2, 1]), gated, mode);
        const kept = slice(g, all, 1, chunkSteps, chunkSteps + spec.convContext.left);
        times.push(unsqueeze(g, transpose(g, kept, [0, 2, 1]), [1]));
        return convolved(net, spec, `${prefix}.conv`, all, [0, 0]);
      },
    };
    rows = g.scope(`layers.${i}`, () => conformerLayer(net, prefix, rows, parts));
  }
  if (spec.outSize !== undefined) rows = linear(net, rows, "encoder.out_proj");
  const encoded = reshape(g, rows, [-1, chunkSteps, spec.outSize ?? spec.modelSize]);
  return {
    encoded: transpose(g, encoded, [0, 2, 1]),
    lengths: steps,
    lastChannel: concat(g, channels, 1),
    lastTime: concat(g, times, 1),
    lastChannelLen: g.op("Min", [add(g, inputs.lastChannelLen, g.int(chunkSteps)), g.int(cachedSteps)]),
  };
}

interface Shared {
  readonly mode: FixedMode;
  /** `[B, 1, step, key]` */
  readonly scoreBias: Value;
  /** Rows `[distance, model]` of the distances of the last key to the first, down to those of steps that follow. */
  readonly positions: Value;
}

/** Kept steps `[B, kept, D]` and the rows of new ones: `[B, kept + step, D]`. */
function joined({ g }: Net, kept: Value, rows: Value, { chunkSteps }: FixedMode): Value {
  const size = g.op("Shape", [kept], { start: 2, end: 3 });
  return concat(g, [kept, reshapeTo(g, rows, [-1, chunkSteps, size])], 1);
}

/** Self-attention of the rows of new steps to `all` steps `[B, C + step, D]`. */
function recomputedAttention(
  net: Net,
  spec: ConformerSpec,
  prefix: string,
  rows: Value,
  all: Value,
  { mode, positions, scoreBias }: Shared,
): Value {
  const { g } = net;
  const { numHeads, modelSize } = spec;
  const headSize = modelSize / numHeads;
  const scale = 1 / Math.sqrt(headSize);
  const numKeys = mode.cachedSteps + mode.chunkSteps;
  const heads = (x: Value, numSteps: number) => reshape(g, x, [-1, numSteps, numHeads, headSize]);
  const query = heads(linear(net, rows, `${prefix}.linear_q`, { scale }), mode.chunkSteps);
  const known = toRows(net, all, modelSize);
  const key = transpose(g, heads(linear(net, known, `${prefix}.linear_k`), numKeys), [0, 2, 3, 1]);
  const value = transpose(g, heads(linear(net, known, `${prefix}.linear_v`), numKeys), [0, 2, 1, 3]);
  const biased = (name: string) =>
    transpose(g, add(g, query, scaledBias(net, `${prefix}.${name}`, scale)), [0, 2, 1, 3]);
  const projected = linear({ ...net, precision: "float32" }, positions, `${prefix}.linear_pos`);
  const distances = transpose(g, heads(projected, numKeys + mode.chunkSteps), [0, 2, 3, 1]);
  const byDistance = matMul(g, biased("pos_bias_v"), distances);
  const byPosition = alignPositions(net, byDistance, g.ints([mode.chunkSteps]), g.ints([numKeys]));
  const scores = add(g, add(g, matMul(g, biased("pos_bias_u"), key), byPosition), scoreBias);
  const context = matMul(g, g.op("Softmax", [scores], { axis: -1 }), value);
  return linear(net, reshape(g, transpose(g, context, [0, 2, 1, 3]), [-1, modelSize]), `${prefix}.linear_out`);
}
