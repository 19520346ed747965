import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConformerSpec, ModelSpec } from "../../src/config/spec.ts";
import { type StreamMode, streamGeometry, streamMode } from "../../src/config/streaming.ts";
import { buildGraphs } from "../../src/export/graphs.ts";
import type { Graph } from "../../src/onnx/graph.ts";
import { createCachePool } from "../../src/streaming/cache-pool.ts";
import { createFrameBuffer, type FrameBuffer } from "../../src/streaming/frame-buffer.ts";
import { nextChunk } from "../../src/streaming/lane.ts";
import {
  createStreamEncoder,
  type StreamChunk,
  type StreamEncoder,
  totalSteps,
} from "../../src/streaming/stream-encoder.ts";
import { float32 } from "../../src/tensor.ts";
import { difference, propertyRuns, stepsOf, TOLERANCE } from "../reference/compare.ts";
import { conformer } from "../reference/conformer.ts";
import { type ConformerCase, conformerCase, conformerTensors } from "../reference/conformer-geometry.ts";
import type { Matrix } from "../reference/matrix.ts";
import { type Params, randomParams, randomRows, uniform } from "../reference/params.ts";
import { hasRuntime, loadGraph } from "../reference/run-graph.ts";

const MAX_STREAMS = 4;

/** One stream: which context it has, how many frames, how many of them come at a time, how many chunks a call takes. */
interface StreamPlan {
  readonly context: number;
  /** Left steps less than the context's own. */
  readonly less: number;
  readonly numFrames: number;
  readonly arrivals: readonly number[];
  readonly chunks: readonly number[];
}

interface StreamCase {
  readonly spec: ConformerSpec;
  readonly useBias: boolean;
  readonly seed: number;
  readonly plans: readonly StreamPlan[];
}

const plan: fc.Arbitrary<StreamPlan> = fc.record({
  context: fc.nat(2),
  less: fc.constantFrom(0, 0, 1, 2, 5),
  numFrames: fc.integer({ min: 1, max: 260 }),
  arrivals: fc.array(fc.integer({ min: 0, max: 130 }), { minLength: 1, maxLength: 4 }),
  chunks: fc.array(fc.integer({ min: 0, max: 16 }), { minLength: 1, maxLength: 4 }),
});

const contexts = (maxRight: number) =>
  fc.array(fc.record({ left: fc.integer({ min: 0, max: 12 }), right: fc.integer({ min: 0, max: maxRight }) }), {
    minLength: 1,
    maxLength: 3,
  });

const attention: fc.Arbitrary<Pick<ConformerSpec["attention"], "style" | "contexts">> = fc.oneof(
  contexts(5).map((list) => ({ style: "chunked_limited" as const, contexts: list })),
  contexts(0).map((list) => ({ style: "regular" as const, contexts: list })),
);

const streamCase: fc.Arbitrary<StreamCase> = fc
  .record({
    any: conformerCase,
    attention,
    kind: fc.constantFrom<ConformerSpec["subsampling"]["kind"]>(
      "striding",
      "dw_striding",
      "feature_stacking",
      "linear",
    ),
    factor: fc.constantFrom(4, 8),
    isCausal: fc.boolean(),
    convLeft: fc.integer({ min: 0, max: 4 }),
    convNorm: fc.constantFrom({ kind: "layer_norm" as const }, { kind: "batch_norm" as const }),
    plans: fc.array(plan, { minLength: 1, maxLength: MAX_STREAMS }),
  })
  .map(({ any, attention: chosen, kind, factor, isCausal, convLeft, convNorm, plans }) => {
    const isLinear = kind === "linear";
    const subsampling = { ...any.spec.subsampling, kind, factor: isLinear ? 1 : factor, isCausal, isMasked: true };
    const spec: ConformerSpec = {
      ...any.spec,
      subsampling,
      attention: { ...any.spec.attention, kind: "rel_pos", globalTokens: 0, ...chosen },
      convKernel: convLeft + 1,
      convContext: { left: convLeft, right: 0 },
      convNorm,
      reduction: undefined,
    };
    return { spec, useBias: any.useBias, seed: any.seed, plans };
  });

const FEATURES = { kind: "mel", normalize: { kind: "none" }, hopSamples: 160, sampleRateHz: 16_000 };

/** A model that is an encoder and nothing else. */
const modelOf = (encoder: ConformerSpec): ModelSpec =>
  ({ encoder, heads: {}, features: FEATURES }) as unknown as ModelSpec;

/** Runs something with the streaming encoder of a model of invented weights. */
async function withEncoder(
  { spec, useBias, seed }: Pick<ConformerCase, "spec" | "useBias" | "seed">,
  use: (encoder: StreamEncoder, params: Params) => Promise<void>,
): Promise<void> {
  const params = randomParams(conformerTensors(spec, useBias), seed);
  const graph = buildGraphs(modelOf(spec), params.weights).streaming as Graph;
  const session = await loadGraph(graph);
  try {
    await use(createStreamEncoder(modelOf(spec), session, createCachePool(spec, MAX_STREAMS)), params);
  } finally {
    await session.close();
  }
}

interface OpenStream {
  readonly plan: StreamPlan;
  readonly mode: StreamMode;
  readonly slot: StreamChunk["slot"];
  readonly x: Matrix;
  readonly frames: FrameBuffer;
  readonly found: Matrix;
}

function openStream(encoder: StreamEncoder, spec: ConformerSpec, one: StreamPlan, next: () => number): OpenStream {
  const { left, right } = spec.attention.contexts[one.context % spec.attention.contexts.length];
  const mode = streamMode(modelOf(spec), [Math.max(0, left - one.less), right]);
  return {
    plan: one,
    mode,
    slot: encoder.pool.take(),
    x: randomRows(one.numFrames, spec.numMels, next),
    frames: createFrameBuffer(spec.numMels),
    found: [],
  };
}

/** What a stream gives to the next call: nothing where its plan has it wait, or too little has come. */
function chunkOf(stream: OpenStream, spec: ConformerSpec, turn: number): StreamChunk | undefined {
  const { plan: one, x, frames, slot, mode } = stream;
  // Plans of nothing but zeros come to an end all the same.
  const of = (list: readonly number[]) => list[turn % list.length] + (turn > 400 ? 16 : 0);
  const end = Math.min(x.length, frames.endFrame + of(one.arrivals));
  while (frames.endFrame < end) frames.push(Float32Array.from(x[frames.endFrame]));
  const endFrame = end === x.length ? end : undefined;
  const lane = { slot, mode } as Parameters<typeof nextChunk>[0];
  const intake = { frames, endFrame } as Parameters<typeof nextChunk>[1];
  const chunk = nextChunk(lane, intake, modelOf(spec), streamGeometry(spec));
  const numSteps = Math.min(chunk?.numSteps ?? 0, of(one.chunks) * mode.chunkSteps);
  return chunk && numSteps > 0 ? { ...chunk, numSteps } : undefined;
}

/** Streams side by side, until all steps of all are found. */
async function run(encoder: StreamEncoder, spec: ConformerSpec, streams: readonly OpenStream[]): Promise<void> {
  const size = spec.outSize ?? spec.modelSize;
  const isDone = ({ frames, slot, plan: { numFrames } }: OpenStream) =>
    frames.endFrame === numFrames && slot.numSteps === totalSteps(modelOf(spec), streamGeometry(spec), numFrames);
  for (let turn = 0; !streams.every(isDone); turn++) {
    const ready = streams.flatMap((stream) => {
      const chunk = chunkOf(stream, spec, turn);
      return chunk ? [{ stream, chunk }] : [];
    });
    if (ready.length === 0) continue;
    const { encoded, numSteps } = await encoder.encode(ready.map(({ chunk }) => chunk));
    const batch = float32(encoded, [ready.length, size, numSteps]);
    for (const [row, { stream, chunk }] of ready.entries()) {
      stream.found.push(...stepsOf(batch, row).slice(0, chunk.numSteps));
    }
  }
}

async function check(c: StreamCase): Promise<void> {
  await withEncoder(c, async (encoder, params) => {
    const next = uniform(c.seed + 1);
    const streams = c.plans.map((one) => openStream(encoder, c.spec, one, next));
    await run(encoder, c.spec, streams);
    for (const { x, mode, found } of streams) {
      const expected = conformer(params, c.spec, { x, length: x.length }, mode.attContext);
      expect(found.length).toBe(expected.length);
      expect(difference(found, expected.x, expected.length)).toBeLessThan(TOLERANCE);
    }
  });
}

/** Heads so wide and a left context so long that the runtime adds up the values of all keys in more than one go. */
const WIDE: ConformerSpec = {
  kind: "conformer",
  numMels: 8,
  modelSize: 128,
  numLayers: 1,
  numHeads: 1,
  feedForwardSize: 128,
  outSize: undefined,
  subsampling: { kind: "linear", factor: 1, convChannels: 4, isCausal: true, isMasked: true },
  attention: {
    kind: "rel_pos",
    style: "chunked_limited",
    contexts: [
      { left: 120, right: 3 },
      { left: 120, right: 0 },
    ],
    globalTokens: 0,
    globalTokensSpacing: 1,
    globalAttnSeparate: false,
    chunkContexts: [],
    untieBiases: true,
  },
  xscaling: false,
  convKernel: 3,
  convContext: { left: 2, right: 0 },
  convNorm: { kind: "layer_norm" },
  reduction: undefined,
};

/**
 * One head, whose products with a ring the runtime might take for products of all rows of a batch, and hidden rows of whole
 * pages, which are filled up.
 */
const ONE_HEAD: ConformerSpec = {
  ...WIDE,
  modelSize: 32,
  feedForwardSize: 1024,
  attention: {
    ...WIDE.attention,
    contexts: [
      { left: 18, right: 2 },
      { left: 18, right: 0 },
    ],
  },
};

describe.skipIf(!hasRuntime)("streamingConformer", () => {
  test("gives the steps of the whole recording: any context, geometry, company, and chunks a call", async () => {
    await fc.assert(fc.asyncProperty(streamCase, check), propertyRuns(25));
  });

  test.skipIf(process.arch !== "x64" || process.env.GRAPH_RUNTIME === "wasm")(
    "gives the same bits however much sound waits, heads of 128 over more than 128 keys too",
    async () => {
      await withEncoder({ spec: WIDE, useBias: true, seed: 3 }, async (encoder) => {
        for (const context of [0, 1]) {
          const found = async (framesAtOnce: number) => {
            const one = { context, less: 0, numFrames: 320, arrivals: [framesAtOnce], chunks: [16] };
            const stream = openStream(encoder, WIDE, one, uniform(5));
            await run(encoder, WIDE, [stream]);
            encoder.pool.release(stream.slot);
            return stream.found;
          };
          const { chunkSteps } = streamMode(modelOf(WIDE), [120, context === 0 ? 3 : 0]);
          const alone = await found(chunkSteps);
          expect(alone.length).toBe(320);
          expect(difference(await found(320), alone)).toBe(0);
        }
      });
    },
  );

  test.skipIf(process.arch !== "x64" || process.env.GRAPH_RUNTIME === "wasm").each([1, 4])(
    "gives the same bits whoever is in the batch and however many chunks a call has, with %d heads",
    async (numHeads) => {
      const spec = { ...ONE_HEAD, numHeads };
      await withEncoder({ spec, useBias: true, seed: 4 }, async (encoder) => {
        for (const context of [0, 1]) {
          const found = async (chunks: readonly number[], numMates: number) => {
            const one = { context, less: 0, numFrames: 96, arrivals: [96], chunks };
            const next = uniform(5);
            const streams = Array.from({ length: 1 + numMates }, () => openStream(encoder, spec, one, next));
            await run(encoder, spec, streams);
            for (const { slot } of streams) encoder.pool.release(slot);
            return streams[0].found;
          };
          const alone = await found([1], 0);
          expect(alone.length).toBe(96);
          expect(difference(await found([1], 3), alone)).toBe(0);
          expect(difference(await found([3], 0), alone)).toBe(0);
          expect(difference(await found([2, 5, 1], 2), alone)).toBe(0);
        }
      });
    },
  );
});
