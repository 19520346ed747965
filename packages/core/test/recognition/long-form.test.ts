import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { ConformerSpec, ModelSpec } from "../../src/config/spec.ts";
import { buildGraphs } from "../../src/export/graphs.ts";
import { createFeatureExtractor } from "../../src/features/extractor.ts";
import { maxWholeSteps, planLongForm } from "../../src/recognition/long-form.ts";
import { featureBatch, openRecognizer } from "../../src/recognition/recognizer.ts";
import { openTranscription } from "../../src/streaming/transcription.ts";
import { float32, int64 } from "../../src/tensor.ts";
import { difference, propertyRuns, stepsOf } from "../reference/compare.ts";
import { conformerTensors } from "../reference/conformer-geometry.ts";
import type { Matrix } from "../reference/matrix.ts";
import { randomParams, uniform } from "../reference/params.ts";
import { hasRuntime, type LoadedGraph, loadGraph } from "../reference/run-graph.ts";
import { bundled, recording, testRuntime } from "./bundled.ts";

const speech = await bundled("speech");
const numMels = 6;

/** A recognition model of one small Conformer, on the front end of the bundled model. */
function modelOf(encoder: Partial<ConformerSpec>): ModelSpec {
  const spec: ConformerSpec = {
    kind: "conformer",
    numMels,
    modelSize: 8,
    numLayers: 2,
    numHeads: 2,
    feedForwardSize: 16,
    outSize: undefined,
    subsampling: { kind: "dw_striding", factor: 4, convChannels: 4, isCausal: true, isMasked: true },
    attention: {
      kind: "rel_pos",
      contexts: [{ left: 8, right: 0 }],
      style: "chunked_limited",
      globalTokens: 0,
      globalTokensSpacing: 1,
      globalAttnSeparate: false,
      chunkContexts: [],
      untieBiases: true,
    },
    xscaling: false,
    convKernel: 5,
    convContext: { left: 4, right: 0 },
    convNorm: { kind: "batch_norm" },
    reduction: undefined,
    ...encoder,
  };
  return { ...speech.spec, features: { ...speech.spec.features, numMels }, encoder: spec, heads: {} };
}

const boundedModel = fc
  .record({
    style: fc.constantFrom("chunked_limited", "chunked_limited", "regular", "local"),
    right: fc.constantFrom(0, 1, 2, 3, 7),
    numLayers: fc.integer({ min: 2, max: 4 }),
    factor: fc.constantFrom(2, 4, 8),
    isCausal: fc.boolean(),
    conv: fc.constantFrom({ left: 4, right: 0 }, { left: 2, right: 2 }, { left: 1, right: 1 }),
    kind: fc.constantFrom<"dw_striding" | "striding">("dw_striding", "striding"),
    norm: fc.constantFrom<"batch_norm" | "layer_norm">("batch_norm", "layer_norm"),
  })
  .map(({ style, right, factor, isCausal, conv, kind, norm, numLayers }) => {
    const left = 8 - (style === "chunked_limited" ? 8 % (right + 1) : 0);
    const { attention } = modelOf({}).encoder as ConformerSpec;
    return modelOf({
      numLayers,
      subsampling: { kind, factor, convChannels: 4, isCausal, isMasked: true },
      attention: {
        ...attention,
        kind: style === "local" ? "rel_pos_local_attn" : "rel_pos",
        style: style === "chunked_limited" ? style : "regular",
        contexts: [{ left, right }],
      },
      convKernel: conv.left + conv.right + 1,
      convContext: conv,
      convNorm: { kind: norm },
    });
  });

const contextOf = (spec: ModelSpec) => {
  const { left, right } = (spec.encoder as ConformerSpec).attention.contexts[0];
  return [left, right];
};

/** `[step][model]` of one waveform. */
async function encode(graph: LoadedGraph, spec: ModelSpec, waveform: Float32Array): Promise<Matrix> {
  const batch = featureBatch(createFeatureExtractor({ ...spec.features, padTo: 0 }, {}), [waveform]);
  const { encoded, encoded_lengths } = await graph.run({
    audio_signal: float32(batch.data, [1, numMels, batch.numFrames]),
    length: int64(batch.lengths),
    att_context: int64(contextOf(spec)),
  });
  return stepsOf(encoded, 0).slice(0, Number((encoded_lengths.data as BigInt64Array)[0]));
}

describe.skipIf(!hasRuntime)("exact windows", () => {
  const cases = fc.record({
    spec: boundedModel,
    numSamples: fc.integer({ min: 40_000, max: 90_000 }),
    chunkSec: fc.double({ min: 0.05, max: 1, noNaN: true }),
    seed: fc.nat(),
  });

  test("give every step of the whole recording", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ spec, numSamples, chunkSec, seed }) => {
        const params = randomParams(conformerTensors(spec.encoder as ConformerSpec, true), seed);
        const next = uniform(seed);
        const waveform = Float32Array.from({ length: numSamples }, () => 0.2 * next() - 0.1);
        const plan = planLongForm(spec, contextOf(spec), numSamples, { maxWholeSec: 0.1, chunkSec });
        expect(plan.method).toBe("exact-windows");
        const graph = await loadGraph(buildGraphs(spec, params.weights).encoder);
        try {
          const whole = await encode(graph, spec, waveform);
          const joined: Matrix = [];
          for (const w of plan.windows) {
            expect(w.startStep).toBe(joined.length);
            const steps = await encode(graph, spec, waveform.subarray(w.startSample, w.endSample));
            joined.push(...steps.slice(w.firstStep, w.endStep));
          }
          expect(joined.length).toBe(whole.length);
          expect(difference(joined, whole)).toBeLessThan(1e-4);
        } finally {
          await graph.close();
        }
      }),
      propertyRuns(25),
    );
  });
});

describe("planLongForm", () => {
  const planned = (spec: ModelSpec, context: readonly number[], numSec: number) =>
    planLongForm(spec, context, numSec * 16000, { maxWholeSec: 20, chunkSec: 10 });

  test("leaves recordings whole up to the limit, and cuts the next longer one", () => {
    const spec = modelOf({});
    const samplesOf = (numSteps: number) => numSteps * 4 * 160;
    const limit = maxWholeSteps(spec);
    // Two heads of 5792 × 11584 scores of four bytes are 512 MiB.
    expect(limit).toBe(5792);
    expect(maxWholeSteps(spec, 20)).toBe(20 / 0.04);
    expect(planLongForm(spec, [-1, 0], samplesOf(limit)).method).toBe("whole");
    expect(planLongForm(spec, [-1, 0], samplesOf(limit) + 1).method).toBe("windows");
    // Where windows give the same numbers, a recording is cut as soon as it is longer than one.
    expect(planLongForm(spec, [8, 0], samplesOf(2000)).method).toBe("whole");
    expect(planLongForm(spec, [8, 0], samplesOf(2000) + 1).method).toBe("exact-windows");
    expect(planLongForm(spec, [8, 0], samplesOf(limit), { maxWholeSec: 600 }).method).toBe("whole");
    expect(planned(spec, [8, 0], 20)).toEqual({
      method: "whole",
      windows: [{ startSample: 0, endSample: 320_000, firstStep: 0, endStep: undefined, startStep: 0 }],
    });
    expect(planned(spec, [8, 0], 20.001).method).toBe("exact-windows");
  });

  test.each([
    { context: [8, 0], what: "exact" },
    { context: [-1, -1], what: "with full attention" },
  ])("has windows of 2000 steps at most, or chunks of 60 s: $what", ({ context }) => {
    for (const numLayers of [2, 120, 240]) {
      const { windows } = planLongForm(modelOf({ numLayers }), context, 16000 * 3600);
      const longest = Math.max(...windows.map((w) => (w.endSample - w.startSample) / 640));
      const { startStep: chunk } = windows[1];
      expect(longest <= 2000 || chunk === 60 / 0.04).toBe(true);
      expect(chunk).toBeGreaterThanOrEqual(60 / 0.04);
    }
  });

  test("is exact only where steps hear no more than a bounded stretch", () => {
    const { attention } = modelOf({}).encoder as ConformerSpec;
    const bounded = modelOf({});
    const methodOf = (spec: ModelSpec, context: readonly number[] = [8, 0]) => planned(spec, context, 60).method;
    expect(methodOf(bounded)).toBe("exact-windows");
    expect(methodOf(bounded, [-1, 0])).toBe("windows");
    expect(methodOf(bounded, [8, -1])).toBe("windows");
    expect(methodOf(modelOf({ attention: { ...attention, kind: "abs_pos" } }))).toBe("windows");
    expect(methodOf(modelOf({ attention: { ...attention, globalTokens: 1 } }))).toBe("windows");
    expect(methodOf(modelOf({ convNorm: { kind: "instance_norm" } }))).toBe("windows");
    expect(methodOf({ ...bounded, features: { ...bounded.features, normalize: { kind: "per_feature" } } })).toBe(
      "windows",
    );
    // 400 layers of 12 steps of 40 ms are 192 s: more context than any chunk.
    expect(methodOf(modelOf({ numLayers: 400 }))).toBe("windows");
  });

  test("keeps every step once where the windows only come near", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16000 * 400 }), fc.integer({ min: 1, max: 60 }), (numSamples, chunkSec) => {
        const { windows } = planLongForm(modelOf({}), [-1, -1], numSamples, { maxWholeSec: 20, chunkSec });
        let next = 0;
        for (const [i, w] of windows.entries()) {
          expect(w.startStep).toBe(next);
          expect(w.startSample).toBe((w.startStep - w.firstStep) * 640);
          const isLast = i === windows.length - 1;
          expect(w.endStep === undefined).toBe(isLast);
          next += (w.endStep ?? Math.ceil((numSamples - w.startSample) / 640)) - w.firstStep;
          // Ten seconds are heard on either side, where there are as many.
          if (windows.length > 1) expect(w.firstStep).toBe(Math.min(250, w.startStep));
          if (!isLast) expect(w.endSample).toBe(w.startSample + ((w.endStep as number) + 250) * 640);
        }
        expect(next).toBe(Math.ceil(numSamples / 640));
        expect(windows.at(-1)?.endSample).toBe(numSamples);
      }),
      { seed: 3, numRuns: 200 },
    );
  });

  test.each([
    [
      { maxWholeSec: 0 },
      "longForm.maxWholeSec: expected a number of seconds above 0, got 0. Leave it out, or give one.",
    ],
    [
      { chunkSec: Number.NaN },
      "longForm.chunkSec: expected a number of seconds above 0, got NaN. Leave it out, or give one.",
    ],
  ])("refuses %o", (limits, message) => {
    expect(() => planLongForm(modelOf({}), [8, 0], 1, limits)).toThrow(new RangeError(message));
  });
});

describe("a long recording", async () => {
  const recognizer = await openRecognizer(speech, await testRuntime());
  afterAll(() => recognizer.close());
  const parts = await Promise.all([recording("morning-rms"), recording("garden-slt")]);
  const looped = new Float32Array(16000 * 150);
  for (let at = 0, i = 0; at < looped.length; i++) {
    const part = parts[i % 2];
    looped.set(part.subarray(0, looped.length - at), at);
    at += part.length;
  }

  test.each([
    { head: "ctc", attContext: [70, 13] },
    { head: "transducer", attContext: [70, 1] },
  ] as const)("has the tokens of the whole: $head, $attContext", async (choice) => {
    const [whole] = await recognizer.transcribe([looped], choice);
    const [cut] = await recognizer.transcribe([looped], { ...choice, longForm: { maxWholeSec: 60, chunkSec: 60 } });
    expect(whole.longForm).toBe("whole");
    expect(cut.longForm).toBe("exact-windows");
    expect(whole.words.length).toBeGreaterThan(300);
    const facts = ({ tokens }: typeof whole) => tokens.map(({ id, startStep, endStep }) => [id, startStep, endStep]);
    expect(facts(cut)).toEqual(facts(whole));
    expect(cut.text).toBe(whole.text);
  });

  const packets = [1, 7777, 160_000, 400_001];
  test.each([
    { longForm: { maxWholeSec: 30, chunkSec: 20 }, numSamples: 16000 * 100, method: "exact-windows" },
    { longForm: { maxWholeSec: 30, chunkSec: 20 }, numSamples: 16000 * 30, method: "whole" },
    { longForm: {}, numSamples: 50, method: "whole" },
    { longForm: {}, numSamples: 0, method: "whole" },
  ])(
    "is transcribed the same while it is read: $method, $numSamples samples",
    async ({ longForm, numSamples, method }) => {
      const waveform = looped.subarray(0, numSamples);
      const [expected] = await recognizer.transcribe([waveform], { longForm, head: "ctc" });
      const transcription = openTranscription(recognizer, { longForm, head: "ctc" });
      for (let at = 0, i = 0; at < numSamples; i++) {
        const size = packets[i % packets.length];
        await transcription.feed(waveform.subarray(at, at + size));
        at += size;
      }
      expect(await transcription.finish()).toEqual(expected);
      expect(expected.longForm).toBe(method);
    },
  );

  test("that is read refuses what the model does not have, and stops when it is told", async () => {
    expect(() => openTranscription(recognizer, { attContext: [1, 2, 3] })).toThrow(/att/);
    const signal = { aborted: false, reason: new Error("enough") };
    const transcription = openTranscription(recognizer, { longForm: { maxWholeSec: 1, chunkSec: 1 }, signal });
    signal.aborted = true;
    await expect(transcription.feed(looped.subarray(0, 16000 * 60))).rejects.toThrow("enough");
  });
});
