import { describe, expect, test } from "vitest";
import { createFeatureExtractor } from "../../src/features/extractor.ts";
import { caseSpec, reference } from "./specs.ts";
import { referenceWaveform } from "./waveform.ts";

// NeMo's own float32 noise on these waveforms, relative to 1 + |value|.
const TOLERANCE = 2e-5;

describe("createFeatureExtractor", () => {
  for (const recorded of reference.cases) {
    const { kind, changes, numSamples } = recorded;
    test(`gives NeMo's ${kind} features of ${numSamples} samples with ${JSON.stringify(changes)}`, () => {
      const features = createFeatureExtractor(caseSpec(recorded)).extract(referenceWaveform(numSamples));
      const { numMels, numFrames, validFrames } = features;
      expect({ numMels, numFrames, validFrames }).toEqual({
        numMels: recorded.numMels,
        numFrames: recorded.numFrames,
        validFrames: recorded.validFrames,
      });
      expect(features.data.length).toBe(recorded.data.length);
      let worst = 0;
      for (const [i, expected] of recorded.data.entries()) {
        worst = Math.max(worst, Math.abs(features.data[i] - expected) / (1 + Math.abs(expected)));
      }
      expect(worst).toBeLessThan(TOLERANCE);
    });
  }
});
