import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fixedStreamingConformer } from "../../src/architectures/conformer/fixed-streaming.ts";
import { createNet } from "../../src/architectures/net.ts";
import type { ConformerSpec } from "../../src/config/spec.ts";
import { fixedModeOf } from "../../src/export/sherpa-streaming.ts";
import { GraphBuilder } from "../../src/onnx/graph.ts";
import { float32, int64, type Tensor } from "../../src/tensor.ts";
import { batchFeatures, difference, propertyRuns, stepsOf, TOLERANCE } from "../reference/compare.ts";
import { conformer } from "../reference/conformer.ts";
import { type ConformerCase, conformerCase, conformerTensors } from "../reference/conformer-geometry.ts";
import { type Params, randomParams, randomRows, uniform } from "../reference/params.ts";
import { hasRuntime, loadGraph } from "../reference/run-graph.ts";
import type { Row } from "../reference/subsampling.ts";

const streamCase = fc
  .record({
    any: conformerCase,
    kind: fc.constantFrom<"striding" | "dw_striding">("striding", "dw_striding"),
    factor: fc.constantFrom(4, 8),
    right: fc.integer({ min: 0, max: 3 }),
    leftChunks: fc.integer({ min: 1, max: 4 }),
    /** Left steps that make no whole chunk. */
    more: fc.integer({ min: 0, max: 3 }),
    convLeft: fc.integer({ min: 1, max: 4 }),
    numChunks: fc.integer({ min: 1, max: 6 }),
  })
  .map(({ any, kind, factor, right, leftChunks, more, convLeft, numChunks }) => {
    const left = leftChunks * (right + 1) + Math.min(more, right);
    const spec: ConformerSpec = {
      ...any.spec,
      subsampling: { ...any.spec.subsampling, kind, factor, isCausal: true, isMasked: true },
      attention: {
        ...any.spec.attention,
        kind: "rel_pos",
        style: "chunked_limited",
        contexts: [{ left, right }],
        globalTokens: 0,
      },
      convKernel: convLeft + 1,
      convContext: { left: convLeft, right: 0 },
      convNorm: { kind: "layer_norm" },
      reduction: undefined,
    };
    return { ...any, spec, context: [left, right] as [number, number], numChunks };
  });

type StreamCase = ConformerCase & { readonly context: readonly [number, number]; readonly numChunks: number };

function graphOf({ spec, context }: StreamCase, params: Params) {
  const mode = fixedModeOf(spec, context);
  const g = new GraphBuilder("streaming");
  const out = fixedStreamingConformer(createNet(g, params.weights), spec, mode, {
    features: g.input("features", "float32", ["batch", spec.numMels, mode.windowFrames]),
    lengths: g.input("lengths", "int64", ["batch"]),
    lastChannel: g.input("channel", "float32", ["batch", spec.numLayers, mode.cachedSteps, spec.modelSize]),
    lastTime: g.input("time", "float32", ["batch", spec.numLayers, spec.modelSize, spec.convContext.left]),
    lastChannelLen: g.input("len", "int64", ["batch"]),
  });
  g.output("encoded", out.encoded, "float32", ["batch", spec.outSize ?? spec.modelSize, mode.chunkSteps]);
  g.output("steps", out.lengths, "int64", ["batch"]);
  g.output("next_channel", out.lastChannel, "float32", ["batch", spec.numLayers, mode.cachedSteps, spec.modelSize]);
  g.output("next_time", out.lastTime, "float32", ["batch", spec.numLayers, spec.modelSize, spec.convContext.left]);
  g.output("next_len", out.lastChannelLen, "int64", ["batch"]);
  return { mode, graph: g.finish() };
}

/** Two recordings in one batch, chunk after chunk, against the whole recordings without their first two steps. */
async function check(c: StreamCase): Promise<void> {
  const params = randomParams(conformerTensors(c.spec, c.useBias), c.seed);
  const { mode, graph } = graphOf(c, params);
  const next = uniform(c.seed + 1);
  const numFrames = mode.shiftFrames * (c.numChunks - 1) + mode.windowFrames;
  const rows = [0, 1].map((): Row => ({ x: randomRows(numFrames, c.spec.numMels, next), length: numFrames }));
  const expected = rows.map((row) => conformer(params, c.spec, row, c.context, mode.droppedSteps));
  const zeros = (dims: readonly number[]) =>
    float32(new Float32Array(dims.reduce((product, n) => product * n, 1)), dims);
  let caches: Record<string, Tensor> = {
    channel: zeros([2, c.spec.numLayers, mode.cachedSteps, c.spec.modelSize]),
    time: zeros([2, c.spec.numLayers, c.spec.modelSize, c.spec.convContext.left]),
    len: int64([0, 0]),
  };
  const loaded = await loadGraph(graph);
  try {
    for (let chunk = 0; chunk < c.numChunks; chunk++) {
      const start = chunk * mode.shiftFrames;
      const window = rows.map(({ x }) => ({ x: x.slice(start, start + mode.windowFrames), length: mode.windowFrames }));
      const lengths = int64([mode.windowFrames, mode.windowFrames]);
      const out = await loaded.run({ features: batchFeatures(window), lengths, ...caches });
      caches = { channel: out.next_channel, time: out.next_time, len: out.next_len };
      expect(Array.from(out.steps.data, Number)).toEqual([mode.chunkSteps, mode.chunkSteps]);
      for (const [b, whole] of expected.entries()) {
        const first = chunk * mode.chunkSteps;
        const own = whole.x.slice(first, first + mode.chunkSteps);
        expect(difference(stepsOf(out.encoded, b), own)).toBeLessThan(TOLERANCE);
      }
    }
    const kept = Math.min(mode.cachedSteps, c.numChunks * mode.chunkSteps);
    expect(Array.from(caches.len.data, Number)).toEqual([kept, kept]);
  } finally {
    await loaded.close();
  }
}

describe.skipIf(!hasRuntime)("fixedStreamingConformer", () => {
  test("gives the steps of the whole recording, from its third on, chunk by chunk", async () => {
    await fc.assert(fc.asyncProperty(streamCase, check), propertyRuns(40));
  });
});
