import { afterAll, describe, expect, test } from "vitest";
import type { ModelSpec } from "../../src/config/spec.ts";
import { type AcousticModel, type FeatureBatch, openAcousticModel } from "../../src/recognition/acoustic.ts";
import { classifyRecordings, classifyWindows } from "../../src/recognition/classifier.ts";
import type { ModelPackage } from "../../src/recognition/package.ts";
import { uniform } from "../reference/params.ts";
import { bundled, recording, testRuntime } from "./bundled.ts";

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, v) => sum + v, 0) / values.length;

describe("the bundled voice activity detector", async () => {
  const model = await bundled("vad");
  const acoustic = await openAcousticModel(model, await testRuntime());
  afterAll(() => acoustic.close());
  const probabilityOf = async (waveform: Float32Array) => {
    const { probability, hopSec, numPositions, probabilities } = await classifyWindows(model, acoustic, waveform);
    expect(probability).toHaveLength(numPositions);
    for (let i = 0; i < numPositions; i++) expect(probabilities[2 * i] + probabilities[2 * i + 1]).toBeCloseTo(1, 5);
    expect(Math.abs(numPositions * hopSec - waveform.length / 16000)).toBeLessThan(0.05);
    return probability as Float32Array;
  };

  test("hears speech in speech, and none in silence and a tone", async () => {
    const speech = mean(await probabilityOf(await recording("morning-rms")));
    const silence = mean(await probabilityOf(new Float32Array(32000)));
    const tone = mean(
      await probabilityOf(
        Float32Array.from({ length: 32000 }, (_, i) => 0.2 * Math.sin((2 * Math.PI * 440 * i) / 16000)),
      ),
    );
    expect(speech).toBeGreaterThan(0.6);
    expect(silence).toBeLessThan(0.3);
    expect(tone).toBeLessThan(0.3);
  });

  test("answers for recordings of any length", async () => {
    for (const numSamples of [0, 1, 159, 160, 161, 1000]) {
      const { probability, numPositions } = await classifyWindows(model, acoustic, new Float32Array(numSamples));
      expect(probability).toHaveLength(numPositions);
      expect(numPositions).toBeLessThanOrEqual(Math.ceil(numSamples / 320) + 1);
    }
  });
});

/** A classifier of whole recordings whose logits are the number of frames and minus that. */
function pooled(
  labels: readonly string[],
  rest: object = {},
): { model: ModelPackage; acoustic: AcousticModel; rows: number[] } {
  const rows: number[] = [];
  const features = { ...vad.spec.features, numMels: 80 };
  const classifier = { kind: "pooled", labels, numClasses: labels.length, softmax: false, ...rest };
  const spec = { ...vad.spec, features, heads: { classifier } } as unknown as ModelSpec;
  const acoustic = {
    spec,
    networks: undefined,
    close: async () => {},
    async encode(batch: FeatureBatch) {
      rows.push(batch.lengths.length);
      const logits = batch.lengths.flatMap((length) => labels.map((_, k) => (k === 0 ? length : -length) / 50));
      return {
        numSteps: 1,
        lengths: batch.lengths.map(() => 1),
        encoded: new Float32Array(0),
        logits: Float32Array.from(logits),
      };
    },
  };
  return { model: { ...vad, spec }, acoustic, rows };
}
const vad = await bundled("vad");

describe("classes of whole recordings", () => {
  const next = uniform(1);
  const noise = (numSamples: number) => Float32Array.from({ length: numSamples }, () => next() - 0.5);

  test("are softmax of the logits, each recording alone", async () => {
    const { model, acoustic, rows } = pooled(["yes", "no"]);
    const found = await classifyRecordings(model, acoustic, [noise(8000), noise(1600), noise(8000)]);
    expect(rows).toEqual([1, 1, 1]);
    const expected = (numFrames: number) => 1 / (1 + Math.exp((-2 * numFrames) / 50));
    for (const [i, numFrames] of [50, 10, 50].entries()) {
      expect(found[i][0]).toBeCloseTo(expected(numFrames), 5);
      expect(found[i][0] + found[i][1]).toBeCloseTo(1, 6);
    }
  });

  test("stay as they are where the model gives probabilities", async () => {
    const { model, acoustic } = pooled(["yes", "no"], { softmax: true });
    const [row] = await classifyRecordings(model, acoustic, [noise(8000)]);
    expect([...row]).toEqual([1, -1]);
  });

  test("are found in windows of 0.63 s every 0.08 s, in batches of 64", async () => {
    const { model, acoustic, rows } = pooled(["background", "Speech"]);
    const { numPositions, probability, hopSec, windowSec } = await classifyWindows(model, acoustic, noise(16000 * 7));
    expect({ numPositions, hopSec, windowSec }).toEqual({ numPositions: 80, hopSec: 0.08, windowSec: 0.63 });
    expect(rows.reduce((sum, n) => sum + n)).toBe(80);
    expect(Math.max(...rows)).toBeLessThanOrEqual(64);
    expect(probability?.every((p) => Math.abs(p - 1 / (1 + Math.exp((2 * 63) / 50))) < 1e-6)).toBe(true);
    expect((await classifyWindows(model, acoustic, noise(10_079))).numPositions).toBe(0);
    expect((await classifyWindows(model, acoustic, noise(10_080))).numPositions).toBe(1);
  });

  test("have no speech where no label says so", async () => {
    const { model, acoustic } = pooled(["yes", "no"]);
    expect((await classifyWindows(model, acoustic, noise(16000))).probability).toBeUndefined();
  });
});
