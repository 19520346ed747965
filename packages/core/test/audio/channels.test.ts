import { describe, expect, test } from "vitest";
import { mixChannels, splitChannels } from "../../src/audio/channels.ts";
import { inspectSamples } from "../../src/audio/inspect.ts";

describe("splitChannels", () => {
  test("takes interleaved samples apart", () => {
    expect(splitChannels(Float32Array.of(1, 2, 3, 4, 5, 6, 7), 3)).toEqual([
      Float32Array.of(1, 4),
      Float32Array.of(2, 5),
      Float32Array.of(3, 6),
    ]);
  });
});

describe("mixChannels", () => {
  test("averages channels and leaves them alone", () => {
    const channels = [Float32Array.of(1, 0.5), Float32Array.of(0, -1), Float32Array.of(0.5, 2)];
    expect(mixChannels(channels)).toEqual(Float32Array.of(0.5, 0.5));
    expect(channels[0]).toEqual(Float32Array.of(1, 0.5));
  });

  test("gives a copy of a single channel", () => {
    const channel = Float32Array.of(0.1, 0.2);
    const mixed = mixChannels([channel]);
    expect(mixed).toEqual(channel);
    expect(mixed).not.toBe(channel);
  });

  test.each([
    [[], "[]"],
    [[new Float32Array(1), new Float32Array(2)], "[1, 2]"],
  ])("refuses channels that do not fit", (channels, lengths) => {
    expect(() => mixChannels(channels)).toThrow(
      new RangeError(`mixChannels: expected one or more channels of one length, got ${lengths}.`),
    );
  });
});

describe("inspectSamples", () => {
  test("counts what is no number and finds the peak of the rest", () => {
    const samples = Float32Array.of(0.25, Number.NaN, -0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    expect(inspectSamples(samples)).toEqual({ numSamples: 5, numNonFinite: 3, peak: 0.5, isSilent: false });
  });

  test("calls silent what is quieter than -80 dB", () => {
    expect(inspectSamples(Float32Array.of(0.00009, -0.00009)).isSilent).toBe(true);
    expect(inspectSamples(Float32Array.of(0, -0.0002)).isSilent).toBe(false);
    expect(inspectSamples(new Float32Array(0))).toEqual({ numSamples: 0, numNonFinite: 0, peak: 0, isSilent: true });
  });
});
