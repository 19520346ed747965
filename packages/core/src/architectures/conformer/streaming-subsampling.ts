import type { SubsamplingSpec } from "../../config/spec.ts";
import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { div, sub } from "../../onnx/ops.ts";
import type { Net } from "../net.ts";
import { convStages, type Sequence, subsample } from "./subsampling.ts";

/** The frames of one chunk of each stream. */
export interface ChunkFrames {
  /** `[batch, frame, mel]` */
  readonly frames: Value;
  /** int64 `[batch]`: frames `[begin, end)` of each row are of the recording. */
  readonly frameBegin: Value;
  readonly frameEnd: Value;
}

/**
 * `pre_encode` of a chunk: the frames that its steps hear → its steps, times `scale`.
 *
 * Convolutions get every frame that reaches into the chunk (2 · (factor − 1) before a causal chunk's own last ones), so
 * they need no padding in time. What is padding in the whole recording, before its first frame and behind its last, lies
 * in the chunk as frames outside of `[begin, end)`: each stage's output there is zeroed, as NeMo pads each stage with
 * zeros.
 */
export function subsampleChunk(
  net: Net,
  spec: SubsamplingSpec,
  { frames, frameBegin, frameEnd }: ChunkFrames,
  numMels: number,
  scale: number,
): Sequence {
  if (spec.kind !== "striding" && spec.kind !== "dw_striding") {
    return subsample(net, spec, { x: frames, lengths: frameEnd }, numMels, scale);
  }
  const { g } = net;
  return convStages(net, "encoder.pre_encode", spec, frames, numMels, scale, {
    valid: { begin: frameBegin, end: frameEnd },
    next: ({ begin, end }) => ({ begin: halfBegin(g, begin as Value), end: div(g, end, g.int(2)) }),
    pads: [0, 0],
  });
}

/** Output `j` of a stage hears inputs `2j … 2j + 2` and stands on the middle one; the first that counts. */
function halfBegin(g: GraphBuilder, begin: Value): Value {
  return g.op("Max", [div(g, sub(g, begin, g.int(1)), g.int(2)), g.int(0)]);
}
