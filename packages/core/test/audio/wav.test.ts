import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeSamples, type SampleEncoding, sampleBytes } from "../../src/audio/pcm.ts";
import { openWav } from "../../src/audio/wav.ts";
import { encodeWav, type WavOptions, wavHeader } from "../../src/audio/wav-writer.ts";
import { memorySource } from "../../src/bytes.ts";

const TAGS: Partial<Record<SampleEncoding, number>> = { ulaw: 7, alaw: 6, f32le: 3, f64le: 3, f32be: 3, f64be: 3 };

interface Layout {
  readonly encoding: SampleEncoding;
  readonly numChannels: number;
  readonly sampleRateHz: number;
  readonly isExtensible: boolean;
  readonly fileId: string;
  /** Chunks before the samples: their lengths. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** What the header says of the samples' bytes; the truth unless told. */
  readonly declaredBytes?: number;
}

const PLAIN: Layout = {
  encoding: "s16le",
  numChannels: 1,
  sampleRateHz: 16000,
  isExtensible: false,
  fileId: "RIFF",
  before: [],
  after: [],
};

/** Writes a WAV file of any kind. */
function wavFile(layout: Layout, channels: readonly Float32Array[]): Uint8Array {
  const isLittle = layout.fileId !== "RIFX";
  const parts: number[] = [];
  const number = (value: number, bytes: number) => {
    const digits = Array.from({ length: bytes }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
    parts.push(...(isLittle ? digits : digits.reverse()));
  };
  const text = (value: string) => parts.push(...Array.from(value, (character) => character.charCodeAt(0)));
  const filler = (id: string, length: number) => {
    text(id);
    number(length, 4);
    for (let i = 0; i < length + (length % 2); i++) parts.push(i & 0x7f);
  };
  const { encoding, numChannels, sampleRateHz } = layout;
  const samples = encodeSamples(channels, encoding);
  const frameBytes = sampleBytes(encoding) * numChannels;
  const is64 = layout.fileId === "RF64" || layout.fileId === "BW64";
  text(layout.fileId);
  number(is64 ? 0xffffffff : 1000, 4);
  text("WAVE");
  if (is64) {
    text("ds64");
    number(28, 4);
    number(1000, 8);
    number(layout.declaredBytes ?? samples.length, 8);
    number(0, 8);
    number(0, 4);
  }
  for (const length of layout.before) filler("LIST", length);
  const tag = TAGS[encoding] ?? 1;
  text("fmt ");
  number(layout.isExtensible ? 40 : 16, 4);
  number(layout.isExtensible ? 0xfffe : tag, 2);
  number(numChannels, 2);
  number(sampleRateHz, 4);
  number(sampleRateHz * frameBytes, 4);
  number(frameBytes, 2);
  number(8 * sampleBytes(encoding), 2);
  if (layout.isExtensible) {
    number(22, 2);
    number(8 * sampleBytes(encoding), 2);
    number(0, 4);
    number(tag, 2);
    parts.push(0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71);
  }
  text("data");
  number(is64 ? 0xffffffff : (layout.declaredBytes ?? samples.length), 4);
  parts.push(...samples);
  if (samples.length % 2 === 1 && layout.after.length > 0) parts.push(0);
  for (const length of layout.after) filler("id3 ", length);
  return Uint8Array.from(parts);
}

const open = (bytes: Uint8Array) => openWav(memorySource(bytes, "talk.wav"));

/** Channels whose values survive every encoding: multiples of a quarter below one, except for G.711. */
function channelsOf(numChannels: number, numSamples: number): Float32Array[] {
  return Array.from({ length: numChannels }, (_, c) =>
    Float32Array.from({ length: numSamples }, (_, i) => (((i * 3 + c) % 7) - 3) / 4),
  );
}

describe("openWav", () => {
  const layouts = fc.record({
    isLittle: fc.boolean(),
    kind: fc.constantFrom("u8", "s16", "s24", "s32", "f32", "f64", "ulaw", "alaw"),
    numChannels: fc.integer({ min: 1, max: 6 }),
    sampleRateHz: fc.integer({ min: 1, max: 400_000 }),
    isExtensible: fc.boolean(),
    is64: fc.constantFrom("RIFF", "RF64", "BW64"),
    before: fc.array(fc.nat(50), { maxLength: 3 }),
    after: fc.array(fc.nat(50), { maxLength: 2 }),
    numSamples: fc.integer({ min: 1, max: 40 }),
  });

  test("reads any header and any range of samples", async () => {
    await fc.assert(
      fc.asyncProperty(layouts, fc.nat(), fc.nat(), async (random, a, b) => {
        const order = random.isLittle ? "le" : "be";
        const encoding = (/^[sf]/.test(random.kind) ? `${random.kind}${order}` : random.kind) as SampleEncoding;
        const layout = { ...random, encoding, fileId: random.isLittle ? random.is64 : "RIFX" };
        const channels = channelsOf(random.numChannels, random.numSamples);
        const wav = await open(wavFile(layout, channels));
        expect(wav.warnings).toEqual([]);
        expect(wav).toMatchObject({
          encoding,
          numChannels: random.numChannels,
          sampleRateHz: random.sampleRateHz,
          numSamples: random.numSamples,
        });
        const [start, end] = [a % (random.numSamples + 1), b % (random.numSamples + 1)].sort((x, y) => x - y);
        const read = await wav.read(start, end);
        const tolerance = /law/.test(encoding) ? 0.02 : 0;
        for (const [c, channel] of channels.entries()) {
          expect(read[c].length).toBe(end - start);
          for (const [i, value] of read[c].entries()) {
            expect(Math.abs(value - channel[start + i])).toBeLessThanOrEqual(tolerance);
          }
        }
      }),
      { seed: 6, numRuns: 200 },
    );
  });

  test.each([
    ["0xffffffff", 0xffffffff],
    ["the largest that fits 31 bits", 0x7fffffff],
  ])("reads a stream whose writer put %s for its size to the end", async (_, declaredBytes) => {
    const wav = await open(wavFile({ ...PLAIN, declaredBytes }, channelsOf(1, 9)));
    expect(wav).toMatchObject({ numSamples: 9, warnings: [] });
  });

  test("reads a stream whose writer left its size at zero to the end and says so", async () => {
    const wav = await open(wavFile({ ...PLAIN, declaredBytes: 0 }, channelsOf(1, 9)));
    expect(wav).toMatchObject({
      numSamples: 9,
      warnings: ["Its header says that it has no samples; it was read to its end."],
    });
  });

  test("takes a file without samples for what it is", async () => {
    expect(await open(wavFile(PLAIN, [new Float32Array(0)]))).toMatchObject({ numSamples: 0, warnings: [] });
    const tagged = wavFile({ ...PLAIN, after: [20] }, [new Float32Array(0)]);
    expect(await open(tagged)).toMatchObject({ numSamples: 0, warnings: [] });
  });

  test("reads what a truncated file has and says so", async () => {
    const whole = wavFile({ ...PLAIN, numChannels: 2 }, channelsOf(2, 100));
    const wav = await open(whole.subarray(0, whole.length - 103));
    expect(wav.numSamples).toBe(74);
    expect(wav.warnings).toEqual([
      "It is truncated: 297 of 400 bytes of samples are there.",
      "It ends inside a sample: its last 1 bytes were left out.",
    ]);
    expect((await wav.read(0, 74))[1]).toEqual(channelsOf(2, 74)[1]);
  });

  test("reads 24 bits at the upper end of 32", async () => {
    const bytes = wavFile({ ...PLAIN, encoding: "s32le" }, [Float32Array.of(0.5, -0.25)]);
    bytes[34] = 24;
    const wav = await open(bytes);
    expect(await wav.read(0, 2)).toEqual([Float32Array.of(0.5, -0.25)]);
  });

  test("reads only the header and what is asked for", async () => {
    const bytes = wavFile({ ...PLAIN, before: [4000] }, channelsOf(1, 20_000));
    let numBytesRead = 0;
    const source = memorySource(bytes);
    const counting = {
      ...source,
      read: (start: number, end: number) => {
        numBytesRead += end - start;
        return source.read(start, end);
      },
    };
    const wav = await openWav(counting);
    await wav.read(10_000, 10_010);
    expect(numBytesRead).toBeLessThan(200);
  });

  const change = (at: number, values: readonly number[]) => {
    const bytes = wavFile(PLAIN, channelsOf(1, 4));
    bytes.set(values, at);
    return bytes;
  };
  const expectedFormats = "8-, 16-, 24- or 32-bit PCM, 32- or 64-bit float, µ-law or A-law";
  test.each([
    [
      "AUDIO_INVALID",
      new Uint8Array(0),
      "expected a file that begins with RIFF, RIFX, RF64 or BW64 and WAVE, got an empty one",
    ],
    ["AUDIO_INVALID", change(0, [0x4f, 0x67]), "got 4f674646e803000057415645. It is no WAV file, or a damaged one."],
    ["AUDIO_INVALID", wavFile(PLAIN, channelsOf(1, 4)).subarray(0, 36), "expected samples (a `data` chunk), got none"],
    ["AUDIO_INVALID", change(12, [0x78]), "expected a format chunk (`fmt `), got none"],
    [
      "AUDIO_INVALID",
      change(16, [4]),
      "expected a format chunk of 16 bytes or more, got 4. The WAV header is damaged.",
    ],
    ["AUDIO_INVALID", change(22, [0, 0]), "expected 1 to 256 channels, got 0. The WAV header is damaged."],
    ["AUDIO_INVALID", change(22, [0, 2]), "expected 1 to 256 channels, got 512."],
    ["AUDIO_INVALID", change(24, [0, 0, 0, 0]), "expected a sample rate, got 0 Hz."],
    [
      "AUDIO_UNSUPPORTED",
      change(20, [0x55]),
      `expected ${expectedFormats}, got format tag 0x0055 (MP3). Convert it to 16-bit PCM.`,
    ],
    ["AUDIO_UNSUPPORTED", change(20, [0x11]), "got format tag 0x0011 (IMA ADPCM)."],
    ["AUDIO_UNSUPPORTED", change(20, [0x31]), "got format tag 0x0031 (GSM 6.10)."],
    ["AUDIO_UNSUPPORTED", change(20, [0x99, 0x99]), "got format tag 0x9999 with 16 bits."],
    ["AUDIO_UNSUPPORTED", change(34, [64]), "got format tag 0x0001 with 64 bits."],
    ["AUDIO_INVALID", change(20, [0xfe, 0xff]), "expected an extensible format chunk of 40 bytes, got 16."],
  ])("ends in %s for a damaged or compressed file (%#)", async (code, bytes, message) => {
    await expect(open(bytes)).rejects.toMatchObject({ code, message: expect.stringContaining(`talk.wav: `) });
    await expect(open(bytes)).rejects.toThrow(message);
  });

  test("refuses extensible formats it does not know", async () => {
    const bytes = wavFile({ ...PLAIN, isExtensible: true }, channelsOf(1, 4));
    bytes[50] = 7;
    await expect(open(bytes)).rejects.toThrow("got one that ends in 000000000700800000aa00389b71.");
  });

  test("does not walk through endless chunks", async () => {
    const bytes = new Uint8Array(12 + 8 * 5000);
    bytes.set(wavFile(PLAIN, channelsOf(1, 1)).subarray(0, 12));
    for (let at = 12; at < bytes.length; at += 8) bytes.set([0x4c, 0x49, 0x53, 0x54], at);
    await expect(open(bytes)).rejects.toThrow("talk.wav: expected samples within 1000 chunks, got none.");
  });

  test("refuses ranges outside the recording", async () => {
    const wav = await open(wavFile(PLAIN, channelsOf(1, 4)));
    await expect(wav.read(2, 5)).rejects.toThrow(
      new RangeError("talk.wav: expected samples within [0, 4), got [2, 5)."),
    );
  });
});

describe("encodeWav", () => {
  test.each(["alaw", "f32le", "toString", undefined])("refuses %s, which it does not write", (encoding) => {
    const options = { sampleRateHz: 8000, encoding } as unknown as WavOptions;
    expect(() => encodeWav(channelsOf(1, 4), options)).toThrow(
      new RangeError(
        `wavHeader: expected the encoding s16le or ulaw, got ${encoding}. Choose one of them, or write a raw file.`,
      ),
    );
  });

  test.each(["s16le", "ulaw"] as const)("writes %s files that read back", async (encoding) => {
    for (const numSamples of [0, 1, 2, 17]) {
      for (const numChannels of [1, 2]) {
        const bytes = encodeWav(channelsOf(numChannels, numSamples), { sampleRateHz: 8000, encoding });
        expect(bytes.length % 2).toBe(0);
        expect(new DataView(bytes.buffer).getUint32(4, true)).toBe(bytes.length - 8);
        const wav = await open(bytes);
        expect(wav).toMatchObject({ encoding, numChannels, numSamples, sampleRateHz: 8000, warnings: [] });
        const read = await wav.read(0, numSamples);
        for (const [c, channel] of channelsOf(numChannels, numSamples).entries()) {
          for (const [i, value] of channel.entries()) expect(Math.abs(read[c][i] - value)).toBeLessThan(0.02);
        }
      }
    }
  });

  test("writes the header of a stream whose length is not known", async () => {
    const header = wavHeader({ sampleRateHz: 16000, encoding: "s16le" }, 1);
    const samples = encodeSamples(channelsOf(1, 5), "s16le");
    const wav = await open(Uint8Array.from([...header, ...samples]));
    expect(wav).toMatchObject({ numSamples: 5, warnings: [] });
  });

  test("refuses more than the format can tell", () => {
    expect(() => wavHeader({ sampleRateHz: 16000, encoding: "s16le" }, 2, 2 ** 30)).toThrow(
      new RangeError("wavHeader: expected at most 4 GB of samples, got 4294967296 bytes."),
    );
  });
});

const audio = new URL("../../../../../shared/audio/", import.meta.url);

describe.skipIf(!existsSync(audio))("recordings", () => {
  test.each([
    ["misc/ibm-culture-2min-8k.wav", "s16le", 1, 8000, 138.057125],
    ["call/two-party-ulaw-8k.wav", "ulaw", 2, 8000, 71.94],
    ["misc/jfk.wav", "s16le", 1, 16000, 11],
  ])("opens %s", async (path, encoding, numChannels, sampleRateHz, durationSec) => {
    const wav = await openWav(memorySource(new Uint8Array(readFileSync(new URL(path, audio))), path));
    expect(wav).toMatchObject({ encoding, numChannels, sampleRateHz, warnings: [] });
    expect(wav.numSamples / wav.sampleRateHz).toBe(durationSec);
  });

  test("decodes each side of the µ-law call as its own file has it", async () => {
    const bytes = (path: string) => new Uint8Array(readFileSync(new URL(path, audio)));
    const wav = await openWav(memorySource(bytes("call/two-party-ulaw-8k.wav")));
    const [agent] = await wav.read(0, wav.numSamples);
    const raw = bytes("call/agent-ulaw-8k.raw");
    expect(encodeSamples([agent], "ulaw").subarray(0, 8000)).toEqual(raw.subarray(0, 8000));
  });
});
