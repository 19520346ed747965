import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFeatureExtractor, type FeatureExtractor } from "../../src/features/extractor.ts";
import type { FrameCounts } from "../../src/features/geometry.ts";
import { createFeatureStream, type FeatureStreamState } from "../../src/features/stream.ts";
import { caseSpec, reference, STREAMING_MEL } from "./specs.ts";
import { referenceWaveform } from "./waveform.ts";

/** Every front end of the reference that streams, without repetition. */
const STREAMABLE = [...new Map(reference.cases.map((c) => [JSON.stringify([c.kind, c.changes]), c])).values()]
  .map(caseSpec)
  .filter((spec) => !["per_feature", "all_features"].includes(spec.normalize.kind))
  .filter((spec) => spec.kind !== "mfcc" || spec.mfccLog);

interface Streamed extends FrameCounts {
  readonly frames: Float32Array[];
}

/** Streams a waveform cut at the given points; saves and restores the stream at the cuts where `isPaused` says so. */
function streamed(
  extractor: FeatureExtractor,
  waveform: Float32Array,
  cuts: readonly number[],
  isPaused = false,
): Streamed {
  const frames: Float32Array[] = [];
  const sink = (frame: Float32Array, index: number) => {
    expect(index).toBe(frames.length);
    frames.push(frame.slice());
  };
  let stream = createFeatureStream(extractor);
  const points = [0, ...[...cuts].sort((a, b) => a - b), waveform.length];
  for (const [i, end] of points.entries()) {
    if (i === 0) continue;
    stream.feed(waveform.subarray(points[i - 1], end), sink);
    if (isPaused) {
      const state: FeatureStreamState = structuredClone(stream.save());
      // What was saved goes on, too.
      if (i % 3 > 0) stream = createFeatureStream(extractor, state);
    }
  }
  expect(stream.numSamples).toBe(waveform.length);
  return { ...stream.finish(sink), frames };
}

function expectOffline(extractor: FeatureExtractor, waveform: Float32Array, got: Streamed): void {
  const offline = extractor.extract(waveform);
  expect({ numFrames: got.numFrames, validFrames: got.validFrames }).toEqual({
    numFrames: offline.numFrames,
    validFrames: offline.validFrames,
  });
  expect(got.frames.length).toBe(offline.numFrames);
  const columns = new Float32Array(offline.data.length);
  for (const [t, frame] of got.frames.entries()) {
    for (const [m, value] of frame.entries()) columns[m * offline.numFrames + t] = value;
  }
  expect(columns).toEqual(offline.data);
}

describe("createFeatureStream", () => {
  test.each(STREAMABLE.map((spec) => [JSON.stringify(spec), spec] as const))(
    "gives the frames of the whole signal for any cuts: %s",
    (_, spec) => {
      const extractor = createFeatureExtractor(spec);
      const length = fc.oneof(fc.nat(5 * spec.fftSize), fc.integer({ min: 0, max: 3 }));
      const cut = fc.tuple(
        length,
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        fc.boolean(),
      );
      fc.assert(
        fc.property(cut, ([numSamples, parts, isPaused]) => {
          const waveform = referenceWaveform(numSamples);
          const cuts = parts.map((part) => Math.floor(part * numSamples));
          expectOffline(extractor, waveform, streamed(extractor, waveform, cuts, isPaused));
        }),
        { seed: 3, numRuns: 12 },
      );
    },
  );

  test("gives the same frames for packets of one sample and of ten seconds", () => {
    const extractor = createFeatureExtractor(STREAMING_MEL);
    const short = referenceWaveform(1500);
    const everySample = Array.from(short, (_, i) => i);
    expectOffline(extractor, short, streamed(extractor, short, everySample));
    const long = referenceWaveform(330_000);
    expectOffline(extractor, long, streamed(extractor, long, [160_000, 320_000]));
  });

  test("hands a frame out with the sample that completes it", () => {
    const stream = createFeatureStream(createFeatureExtractor(STREAMING_MEL));
    const ignore = () => {};
    expect(stream.feed(new Float32Array(199), ignore)).toBe(0);
    expect(stream.feed(new Float32Array(1), ignore)).toBe(1);
    expect(stream.feed(new Float32Array(159), ignore)).toBe(0);
    expect(stream.feed(new Float32Array(1), ignore)).toBe(1);
    expect(stream.numFrames).toBe(2);
  });

  test("begins a new signal after its end", () => {
    const extractor = createFeatureExtractor(STREAMING_MEL);
    const waveform = referenceWaveform(1000);
    const stream = createFeatureStream(extractor);
    stream.feed(referenceWaveform(777), () => {});
    stream.finish(() => {});
    const frames: Float32Array[] = [];
    stream.feed(waveform, (frame) => frames.push(frame.slice()));
    const counts = stream.finish((frame) => frames.push(frame.slice()));
    expectOffline(extractor, waveform, { ...counts, frames });
  });

  test("keeps streams of one extractor apart", () => {
    const extractor = createFeatureExtractor(STREAMING_MEL);
    const [a, b] = [referenceWaveform(2000), referenceWaveform(2000).map((x) => -x / 2)];
    const streams = [a, b].map((waveform) => ({
      waveform,
      stream: createFeatureStream(extractor),
      frames: [] as Float32Array[],
    }));
    for (let from = 0; from < 2000; from += 77) {
      for (const { waveform, stream, frames } of streams) {
        stream.feed(waveform.subarray(from, from + 77), (frame) => frames.push(frame.slice()));
      }
    }
    for (const { waveform, stream, frames } of streams) {
      const counts = stream.finish((frame) => frames.push(frame.slice()));
      expectOffline(extractor, waveform, { ...counts, frames });
    }
  });

  test.each([
    [{ normalize: { kind: "per_feature" } }, "normalize: per_feature"],
    [{ normalize: { kind: "all_features" } }, "normalize: all_features"],
    [{ kind: "mfcc", mfccLog: false }, "MFCC of decibels (log: false)"],
  ] as const)("refuses front ends whose frames need the whole recording: %o", (changes, obstacle) => {
    const extractor = createFeatureExtractor({ ...STREAMING_MEL, ...changes });
    expect(() => createFeatureStream(extractor)).toThrow(
      expect.objectContaining({
        code: "MODEL_UNSUPPORTED",
        message: `features: expected a front end whose frames stand alone, got ${obstacle}, which needs the whole recording. Compute features of buffered windows instead.`,
      }),
    );
  });
});
