import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { A_LAW_VALUES, aLawByte, MU_LAW_VALUES, muLawByte } from "../../src/audio/g711.ts";
import {
  createSampleDecoder,
  decodeSamples,
  encodeSamples,
  SAMPLE_ENCODINGS,
  type SampleEncoding,
  sampleBytes,
} from "../../src/audio/pcm.ts";

describe("G.711", () => {
  test.each([
    ["µ-law", MU_LAW_VALUES, [-32124, -31100, -30076, -29052], [32124, 31100], -0, 0],
    ["A-law", A_LAW_VALUES, [-5504, -5248, -6016, -5760], [5504, 5248], -848, 848],
  ] as const)("has libsndfile's %s values", (_, values, first, positive, last, end) => {
    expect(Array.from(values.subarray(0, 4))).toEqual(first);
    expect(Array.from(values.subarray(128, 130))).toEqual(positive);
    expect(values[127] + 0).toBe(last + 0);
    expect(values[255]).toBe(end);
  });

  test.each([
    ["µ-law", MU_LAW_VALUES, muLawByte],
    ["A-law", A_LAW_VALUES, aLawByte],
  ] as const)("%s bytes stand for a neighbouring value, and values for themselves", (_, values, byteOf) => {
    for (const value of values) expect(values[byteOf(value)]).toBe(value);
    const sorted = [...new Set(values)].sort((a, b) => a - b);
    let last = sorted[0];
    for (let value = -32768; value < 32768; value += 7) {
      const chosen = values[byteOf(value)];
      const above = sorted.find((each) => each >= value) ?? sorted[sorted.length - 1];
      const below = sorted.findLast((each) => each <= value) ?? sorted[0];
      expect([above, below]).toContain(chosen);
      expect(chosen).toBeGreaterThanOrEqual(last);
      last = chosen;
    }
  });
});

describe("decodeSamples", () => {
  const cases: [SampleEncoding, number[], number[]][] = [
    ["u8", [0, 128, 255], [-1, 0, 127 / 128]],
    ["s8", [0x80, 0, 0x7f], [-1, 0, 127 / 128]],
    ["s16le", [0x00, 0x80, 0x01, 0x00, 0xff, 0x7f], [-1, 1 / 32768, 32767 / 32768]],
    ["s16be", [0x80, 0x00, 0x00, 0x01, 0x7f, 0xff], [-1, 1 / 32768, 32767 / 32768]],
    ["s24le", [0x00, 0x00, 0x80, 0x01, 0x00, 0x00], [-1, 2 ** -23]],
    ["s24be", [0x80, 0x00, 0x00, 0xff, 0xff, 0xff], [-1, -(2 ** -23)]],
    ["s32le", [0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x40], [-1, 0.5]],
    ["s32be", [0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01], [-1, 2 ** -31]],
    ["f32le", [0x00, 0x00, 0x00, 0x3f, 0x00, 0x00, 0xc0, 0xbf], [0.5, -1.5]],
    ["f32be", [0x3f, 0x00, 0x00, 0x00], [0.5]],
    ["f64le", [0, 0, 0, 0, 0, 0, 0xd0, 0x3f], [0.25]],
    ["f64be", [0x3f, 0xd0, 0, 0, 0, 0, 0, 0], [0.25]],
    ["ulaw", [0x00, 0xff, 0x80], [-32124 / 32768, 0, 32124 / 32768]],
    ["alaw", [0xd5, 0x55], [8 / 32768, -8 / 32768]],
  ];
  test.each(cases)("scales %s as libsndfile", (encoding, bytes, expected) => {
    expect(Array.from(decodeSamples(Uint8Array.from(bytes), encoding)[0])).toEqual(expected.map(Math.fround));
  });

  test("covers every encoding", () => {
    expect(cases.map(([encoding]) => encoding).sort()).toEqual([...SAMPLE_ENCODINGS].sort());
  });

  test.each(SAMPLE_ENCODINGS)("gives back what was encoded as %s", (encoding) => {
    const step = { u8: 2 ** -7, s8: 2 ** -7, ulaw: 2 ** -5, alaw: 2 ** -5, s16le: 2 ** -15, s16be: 2 ** -15 };
    const tolerance = (step as Record<string, number>)[encoding] ?? 2 ** -22;
    const channels = [Float32Array.of(0, 0.5, -0.99, 0.125), Float32Array.of(-0.25, 0.75, 0.001, -1)];
    const decoded = decodeSamples(encodeSamples(channels, encoding), encoding, 2);
    for (const [c, channel] of channels.entries()) {
      for (const [i, value] of channel.entries())
        expect(Math.abs(decoded[c][i] - value)).toBeLessThanOrEqual(tolerance);
    }
  });

  test("reads bytes at odd offsets and leaves an incomplete sample out", () => {
    const bytes = Uint8Array.of(9, 1, 0, 2, 0, 3, 0, 4).subarray(1);
    expect(decodeSamples(bytes, "s16le", 2)).toEqual([Float32Array.of(1 / 32768), Float32Array.of(2 / 32768)]);
  });
});

describe("encodeSamples", () => {
  test("limits to full scale and takes what is no number as zero", () => {
    const bytes = encodeSamples([Float32Array.of(2, -2, Number.NaN, Number.POSITIVE_INFINITY)], "s16le");
    expect(Array.from(new Int16Array(bytes.buffer))).toEqual([32767, -32768, 0, 32767]);
  });

  test("refuses channels of different lengths", () => {
    expect(() => encodeSamples([new Float32Array(2), new Float32Array(3)], "s16le")).toThrow(
      new RangeError("encodeSamples: expected channels of one length, got 2, 3."),
    );
  });
});

describe("createSampleDecoder", () => {
  test("gives the same samples for any cuts of the bytes", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SAMPLE_ENCODINGS),
        fc.integer({ min: 1, max: 3 }),
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.nat(200), { maxLength: 8 }),
        (encoding, numChannels, bytes, cuts) => {
          const decoder = createSampleDecoder(encoding, numChannels);
          const channels = Array.from({ length: numChannels }, () => [] as number[]);
          const points = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
          for (let i = 1; i < points.length; i++) {
            const packet = decoder.feed(bytes.slice(points[i - 1], points[i]));
            for (const [c, samples] of packet.entries()) channels[c].push(...samples);
          }
          const whole = decodeSamples(bytes, encoding, numChannels);
          expect(channels.map((channel) => Float32Array.from(channel))).toEqual(whole);
          expect(decoder.numPendingBytes).toBe(bytes.length % (sampleBytes(encoding) * numChannels));
        },
      ),
      { seed: 5, numRuns: 100 },
    );
  });
});
