import type { ConformerSpec } from "../../config/spec.ts";
import type { Value } from "../../onnx/graph.ts";
import { add, reshapeTo, silu, sizeOf, transpose } from "../../onnx/ops.ts";
import { linear, type Net, normalize, toRows } from "../net.ts";
import { type AttentionInputs, attention } from "./attention.ts";
import { convolution } from "./convolution.ts";
import { stepMasks } from "./masks.ts";
import { absolutePositions, localPositionKeys, relativePositionKeys } from "./positions.ts";
import { reduceSteps, type Sequence, subsample } from "./subsampling.ts";

/** Inputs of an offline Conformer: features `[batch, mel, frame]`, lengths `[batch]`, attention context `[2]` or `[3]`. */
export interface ConformerInputs {
  readonly features: Value;
  readonly lengths: Value;
  /** Undefined for full attention. */
  readonly context: Value | undefined;
  /** Up to how many steps position keys are constants of the graph; those of 20 s unless told. */
  readonly numKnownSteps?: number;
}

/**
 * The whole encoder, offline: `[batch, mel, frame]` → `[batch, model, step]`
 * (NeMo `ConformerEncoder.forward_internal`, conformer_encoder.py).
 */
export function conformerEncoder(
  net: Net,
  spec: ConformerSpec,
  inputs: ConformerInputs,
): { encoded: Value; lengths: Value } {
  const { g } = net;
  const frames = transpose(g, inputs.features, [0, 2, 1]);
  const scale = spec.xscaling ? Math.sqrt(spec.modelSize) : 1;
  let sequence = g.scope("pre_encode", () =>
    subsample(net, spec.subsampling, { x: frames, lengths: inputs.lengths }, spec.numMels, scale),
  );
  if (spec.attention.kind === "abs_pos") {
    const positions = absolutePositions(g, sizeOf(g, sequence.x, 1), spec.modelSize);
    sequence = { ...sequence, x: add(g, sequence.x, positions) };
  }
  let shared = attentionInputs(net, spec, sequence, inputs);
  let rows = toRows(net, sequence.x, spec.modelSize);
  for (let i = 0; i < spec.numLayers; i++) {
    const prefix = `encoder.layers.${i}`;
    const own = shared;
    const parts = {
      attention: (x: Value) => attention(net, spec, `${prefix}.self_attn`, x, own),
      convolution: (x: Value) => convolution(net, spec, `${prefix}.conv`, x, own),
    };
    rows = g.scope(`layers.${i}`, () => conformerLayer(net, prefix, rows, parts));
    if (spec.reduction?.position === i) {
      sequence = reduced(net, spec, {
        x: unrow(net, rows, shared.numSteps, spec.modelSize),
        lengths: sequence.lengths,
      });
      shared = attentionInputs(net, spec, sequence, inputs);
      rows = toRows(net, sequence.x, spec.modelSize);
    }
  }
  const size = spec.outSize ?? spec.modelSize;
  if (spec.outSize !== undefined) rows = linear(net, rows, "encoder.out_proj");
  sequence = { x: unrow(net, rows, shared.numSteps, size), lengths: sequence.lengths };
  if (spec.reduction?.position === -1) sequence = reduced(net, spec, sequence);
  return { encoded: transpose(g, sequence.x, [0, 2, 1]), lengths: sequence.lengths };
}

/** What of a layer looks at other steps: attention and convolution, both on normalised rows `[batch · step, model]`. */
export interface LayerParts {
  readonly attention: (rows: Value) => Value;
  readonly convolution: (rows: Value) => Value;
}

/** One `ConformerLayer` on rows `[batch · step, model]`. */
export function conformerLayer(net: Net, prefix: string, input: Value, parts: LayerParts): Value {
  const { g } = net;
  const plus = (x: Value, name: string, part: () => Value) => add(g, x, g.scope(name, part));
  let x = plus(input, "feed_forward1", () => feedForward(net, prefix, "feed_forward1", input));
  const attended = normalize(net, x, `${prefix}.norm_self_att`);
  x = plus(x, "self_attn", () => parts.attention(attended));
  const convolved = normalize(net, x, `${prefix}.norm_conv`);
  x = plus(x, "conv", () => parts.convolution(convolved));
  const half = x;
  x = plus(x, "feed_forward2", () => feedForward(net, prefix, "feed_forward2", half));
  return normalize(net, x, `${prefix}.norm_out`);
}

/** Half a feed-forward step, as the Macaron pair of a layer adds it. */
function feedForward(net: Net, prefix: string, name: string, x: Value): Value {
  const normed = normalize(net, x, `${prefix}.norm_${name}`);
  const [first, second] = [`${prefix}.${name}.linear1`, `${prefix}.${name}.linear2`];
  const numFilled = fillOf(net.precision, net.w.dims(`${first}.weight`)[0]);
  const hidden = silu(net.g, linear(net, normed, first, { filled: { numOut: numFilled } }));
  return linear(net, hidden, second, { scale: 0.5, filled: { numIn: numFilled } });
}

const PAGE_BYTES = 4096;
const CACHE_LINE_BYTES = 64;

/**
 * Zeros behind each row of `size` hidden numbers, so that rows do not lie whole pages apart. With AVX512 the runtime takes twelve
 * rows at a time; whole pages apart, all of them would want the same eight places of the processor's first cache (5 to 10 %
 * slower, docs/performance.md). In 8 bits rows are copied into another order first.
 */
export function fillOf(precision: Net["precision"], size: number): number {
  const isAligned = (4 * size) % PAGE_BYTES === 0;
  return isAligned && precision !== "int8" ? CACHE_LINE_BYTES / 4 : 0;
}

/** Masks and positions for the steps of a sequence. */
function attentionInputs(
  net: Net,
  spec: ConformerSpec,
  sequence: Sequence,
  { context, numKnownSteps }: ConformerInputs,
): AttentionInputs {
  const { g } = net;
  const numSteps = sizeOf(g, sequence.x, 1);
  const { kind, style, contexts } = spec.attention;
  const maskStyle = kind === "rel_pos_local_attn" ? "regular" : style;
  const masks = stepMasks(g, maskStyle, numSteps, sequence.lengths, context);
  const positionKeys = {
    rel_pos: () => relativePositionKeys(g, numSteps, numKnownSteps ?? knownSteps(spec), spec.modelSize),
    rel_pos_local_attn: () => localPositionKeys(g, numSteps, contexts[0].left, contexts[0].right, spec.modelSize),
    abs_pos: () => undefined,
  }[kind]();
  return { numSteps, masks, positionKeys };
}

/** Up to this many frames position keys are constants: recordings of 20 s, with some percent of the weights' size. */
const KNOWN_FRAMES = 2048;

const knownSteps = ({ subsampling }: ConformerSpec): number => KNOWN_FRAMES / Math.max(4, subsampling.factor);

function reduced(net: Net, spec: ConformerSpec, sequence: Sequence): Sequence {
  const reduction = spec.reduction as NonNullable<ConformerSpec["reduction"]>;
  return net.g.scope("reduction", () => reduceSteps(net, reduction.kind, reduction.factor, sequence, spec.modelSize));
}

/** `[batch · step, size]` → `[batch, step, size]`. */
const unrow = (net: Net, rows: Value, numSteps: Value, size: number): Value =>
  reshapeTo(net.g, rows, [-1, numSteps, size]);
