import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeSamples } from "../../src/audio/pcm.ts";
import { openWav } from "../../src/audio/wav.ts";
import { createWavStream } from "../../src/audio/wav-stream.ts";
import { encodeWav } from "../../src/audio/wav-writer.ts";
import { memorySource } from "../../src/bytes.ts";

const left = Float32Array.from({ length: 500 }, (_, i) => Math.sin(i / 7) / 2);
const right = Float32Array.from({ length: 500 }, (_, i) => Math.cos(i / 5) / 3);

/** A stereo file of 16 bits with a chunk of 5 bytes before its samples. */
function withList(declaredBytes?: number): Uint8Array {
  const wav = encodeWav([left, right], { sampleRateHz: 8000, encoding: "s16le" });
  const list = Uint8Array.from([0x4c, 0x49, 0x53, 0x54, 5, 0, 0, 0, 1, 2, 3, 4, 5, 0]);
  const bytes = new Uint8Array(wav.length + list.length);
  const begin = wav.length - 2000 - 8;
  bytes.set(wav.subarray(0, begin));
  bytes.set(list, begin);
  bytes.set(wav.subarray(begin), begin + list.length);
  if (declaredBytes !== undefined) new DataView(bytes.buffer).setUint32(begin + list.length + 4, declaredBytes, true);
  return bytes;
}

/** Feeds a file in pieces of the given sizes, the last again and again. */
function fed(bytes: Uint8Array, sizes: readonly number[]) {
  const stream = createWavStream("pipe");
  const channels: number[][] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)];
    for (const [c, samples] of stream.feed(bytes.subarray(at, at + size)).entries()) {
      channels[c] = [...(channels[c] ?? []), ...samples];
    }
    at += size;
  }
  stream.finish();
  return { stream, channels: channels.map((samples) => Float32Array.from(samples)) };
}

describe("createWavStream", () => {
  test("gives what `openWav` gives, however the file is cut", async () => {
    const bytes = withList();
    const expected = await (await openWav(memorySource(bytes, "file"))).read(0, 500);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 700 })), {
          minLength: 1,
          maxLength: 12,
        }),
        (sizes) => {
          const { stream, channels } = fed(bytes, sizes);
          expect(channels).toEqual(expected);
          expect(stream.format).toMatchObject({ encoding: "s16le", numChannels: 2, sampleRateHz: 8000 });
          expect(stream.warnings).toEqual([]);
        },
      ),
      { numRuns: 100, examples: [[[1]], [[58, 1]]] },
    );
  });

  test.each([0, 0xffffffff, 0x7ffff000])("a size of %d is one that nobody knew: it is read to its end", (declared) => {
    const { stream, channels } = fed(withList(declared), [333]);
    expect([channels[0].length, stream.warnings]).toEqual([500, []]);
  });

  test("what stands behind the samples is left out; what is missing is told", () => {
    expect(fed(withList(1000), [64]).channels[1]).toHaveLength(250);
    const { stream, channels } = fed(withList().subarray(0, -3), [50]);
    expect(channels[0]).toHaveLength(499);
    expect(stream.warnings).toEqual([
      "It is truncated: 1997 of 2000 bytes of samples are there.",
      "It ends inside a sample: its last 1 bytes were left out.",
    ]);
  });

  test("refuses what is no WAV file, in words that name what was found", () => {
    const raw = encodeSamples([left], "s16le");
    expect(() => fed(raw, [100])).toThrow(
      /^pipe: expected a stream that begins with RIFF, RIFX, RF64 or BW64 and WAVE/,
    );
    const header = withList().subarray(0, 20);
    expect(() => fed(header, [7])).toThrow("pipe: expected a format chunk (`fmt `), got none.");
    const noFormat = withList();
    noFormat.set([0x78], 12);
    expect(() => fed(noFormat, [100])).toThrow(
      "expected a format chunk (`fmt `) before the samples, got samples first.",
    );
    expect(() => fed(withList().subarray(0, 50), [100])).toThrow("expected samples (a `data` chunk), got none.");
  });
});
