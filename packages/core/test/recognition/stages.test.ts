import { describe, expect, test } from "vitest";
import type { ModelSpec } from "../../src/config/spec.ts";
import { createFeatureExtractor } from "../../src/features/extractor.ts";
import type { AcousticModel } from "../../src/recognition/acoustic.ts";
import { computeStages } from "../../src/recognition/stages.ts";
import { STREAMING_MEL } from "../features/specs.ts";

describe("computeStages", () => {
  const acoustic = {
    spec: { encoder: { kind: "graph" }, heads: {} } as unknown as ModelSpec,
    encode: async (batch: { numFrames: number; lengths: readonly number[] }) => ({
      ...{ numSteps: batch.numFrames, lengths: batch.lengths, encoded: new Float32Array(batch.numFrames) },
    }),
  } as unknown as AcousticModel;

  test("says what a recording without a frame lacks, and runs the first that has one", async () => {
    const extractor = createFeatureExtractor({ ...STREAMING_MEL, exactPad: true });
    const { hopSamples } = extractor.spec;
    await expect(computeStages(acoustic, extractor, [new Float32Array(hopSamples - 1)])).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: `features: expected at least ${hopSamples} samples, which one frame needs, got ${hopSamples - 1}. Give a longer recording.`,
    });
    const { features } = await computeStages(acoustic, extractor, [new Float32Array(hopSamples)]);
    expect(features).toMatchObject({ numFrames: 1, lengths: [0] });
  });

  test("keeps the column that NeMo has for a recording shorter than a hop", async () => {
    const { features } = await computeStages(acoustic, createFeatureExtractor(STREAMING_MEL), [new Float32Array(1)]);
    expect(features).toMatchObject({ numFrames: 1, lengths: [0] });
  });
});
