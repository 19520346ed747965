import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { encodeSamples } from "@nemo-stt/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAudio } from "../../src/index.ts";
import { decodeAll, fixtureBytes, fixturePath, floatWav, joinBytes, largestDifference } from "./fixtures.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nemo-stt-audio-"));
});
afterAll(() => rm(folder, { recursive: true }));

const DATA_LIKE =
  "Much of it is as loud or as rough as data that are no sound; it may be compressed, of another encoding than was read, or overdriven.";

/** A quiet tone, which nothing is wrong with. */
const tone = (numSamples: number) => Float32Array.from({ length: numSamples }, (_, i) => 0.2 * Math.sin(i / 5));
const wav = (samples: Float32Array, sampleRateHz = 16_000) => floatWav([samples], sampleRateHz);

async function named(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

describe("openAudio", () => {
  test("reads WAV from a path, bytes and a stream alike", async () => {
    const path = fixturePath("speech.wav");
    const bytes = await fixtureBytes("speech.wav");
    const stream = Readable.from([bytes.subarray(0, 7), bytes.subarray(7, 5000), bytes.subarray(5000)]);
    const expected = await decodeAll(path);
    expect(expected).toMatchObject({
      format: "WAV",
      sampleRateHz: 16_000,
      numChannels: 2,
      durationSec: 0.5,
      warnings: [],
    });
    for (const input of [bytes, stream]) {
      const audio = await openAudio(input);
      expect(largestDifference(await audio.channels(), expected.channels)).toBe(0);
      await audio.close();
    }
  });

  test("reads the call that comes with the project", async () => {
    const path = fileURLToPath(new URL("../../../../examples/audio/call-ulaw-8k.wav", import.meta.url));
    const { channels, ...shape } = await decodeAll(path);
    expect(shape).toEqual({ format: "WAV", sampleRateHz: 8000, numChannels: 2, durationSec: 18.4, warnings: [] });
    expect(largestDifference(channels, [...channels].reverse())).toBeGreaterThan(0.3);
  });

  test("leaves no temporary file of a stream behind", async () => {
    const count = async () => (await readdir(tmpdir())).filter((name) => /^nemo-stt-.{6}$/.test(name)).length;
    const before = await count();
    const audio = await openAudio(Readable.from([wav(tone(10))]));
    await audio.close();
    await audio.close();
    await expect(openAudio(Readable.from([Buffer.from("no recording")]))).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
    });
    expect(await count()).toBe(before);
  });

  test("gives blocks of bounded size, again from the start each time", async () => {
    const audio = await openAudio(wav(tone(200_000)));
    for (let round = 0; round < 2; round++) {
      const sizes: number[] = [];
      for await (const [block] of audio.blocks()) sizes.push(block.length);
      expect(sizes.reduce((sum, size) => sum + size)).toBe(200_000);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(65_536);
    }
    await audio.close();
  });

  test("believes the content, not the name, and says so", async () => {
    const flacAsWav = await named("lie.wav", await fixtureBytes("speech.flac"));
    expect(await decodeAll(flacAsWav)).toMatchObject({
      format: "FLAC",
      warnings: ["It is named .wav, but it is FLAC and was read as that."],
    });
    const wavAsRaw = await named("lie.raw", await fixtureBytes("speech.wav"));
    expect(await decodeAll(wavAsRaw)).toMatchObject({
      format: "WAV",
      numChannels: 2,
      warnings: ["It was named as samples without a header, but it is WAV and was read as that."],
    });
  });

  test("names what is no recording at all", async () => {
    const things = [
      ["text", "This is a text that somebody took for a recording, or renamed by mistake.\n"],
      ["a web page", "<!DOCTYPE html><html><body>not found</body></html>"],
      [
        "a Git LFS pointer (fetch the file itself with `git lfs pull`)",
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
      ],
      ["a zip archive", "PK\x03\x04 and so on"],
      ["a PNG picture", "\x89PNG\r\n"],
    ];
    for (const [what, content] of things) {
      for (const name of ["thing.wav", "thing.raw"]) {
        await expect(decodeAll(await named(name, joinBytes(content)))).rejects.toMatchObject({
          code: "AUDIO_INVALID",
          message: `${name}: expected a recording, got ${what}. Name a file with sound.`,
        });
      }
    }
    await expect(decodeAll(await named("thing.bin", Uint8Array.of(1, 2, 3, 0xff)))).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: expect.stringContaining("got bytes that begin with 010203ff. Name it .raw, .ulaw or .alaw if"),
    });
  });

  test("refuses an empty file, and warns of one without samples", async () => {
    await expect(decodeAll(await named("empty.wav", new Uint8Array(0)))).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "empty.wav: expected a recording, got an empty file. Record it again.",
    });
    const none = await decodeAll(wav(new Float32Array(0)));
    expect(none).toMatchObject({ durationSec: 0, channels: [new Float32Array(0)], warnings: ["It holds no samples."] });
  });

  test("names a path that does not exist and a folder", async () => {
    await expect(openAudio(join(folder, "absent.wav"))).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(openAudio(folder)).rejects.toThrow("expected a file, got a folder. Name a file in it.");
  });

  describe("samples without a header", () => {
    const samples = tone(1000);

    test.each([
      ["a.raw", "s16le", 16_000],
      ["a.PCM", "s16le", 16_000],
      ["a.ulaw", "ulaw", 8000],
      ["a.alaw", "alaw", 8000],
    ] as const)("named %s are %s at %d Hz", async (name, encoding, sampleRateHz) => {
      const path = await named(name, encodeSamples([samples], encoding));
      const { format, channels, warnings, ...shape } = await decodeAll(path);
      expect({ format, ...shape, warnings }).toEqual({
        format: `${encoding} without a header`,
        sampleRateHz,
        numChannels: 1,
        durationSec: 1000 / sampleRateHz,
        warnings: [],
      });
      expect(largestDifference(channels, [samples])).toBeLessThan(encoding === "s16le" ? 1e-4 : 0.01);
    });

    test("are read as the options say, from any name", async () => {
      const bytes = encodeSamples([samples, tone(1000).reverse()], "s24be");
      const raw = { encoding: "s24be", sampleRateHz: 44_100, numChannels: 2 } as const;
      const read = await decodeAll(await named("a.bin", bytes), { raw });
      expect(read).toMatchObject({ sampleRateHz: 44_100, numChannels: 2, warnings: [] });
      expect(largestDifference(read.channels, [samples, tone(1000).reverse()])).toBeLessThan(1e-6);
      const onlyRate = await decodeAll(await named("b.raw", encodeSamples([samples], "s16le")), {
        raw: { sampleRateHz: 8000 },
      });
      expect(onlyRate.durationSec).toBe(1000 / 8000);
    });

    test("that end inside a sample lose its bytes", async () => {
      const bytes = joinBytes(encodeSamples([samples], "s16le"), "x");
      expect((await decodeAll(bytes, { name: "a.raw" })).warnings).toEqual([
        "It ends inside a sample: its last 1 bytes were left out.",
      ]);
      await expect(decodeAll(Uint8Array.of(1), { name: "a.raw" })).rejects.toThrow(
        "a.raw: expected samples of 2 bytes, got 1 bytes. Check the encoding.",
      );
    });

    test("of another encoding than was read are told by their noise", async () => {
      const bytes = await fixtureBytes("speech.wav");
      const pcm = bytes.subarray(44);
      const loud = joinBytes(pcm, pcm, pcm);
      expect((await decodeAll(loud, { name: "a.raw", raw: { numChannels: 2 } })).warnings).toEqual([]);
      for (const encoding of ["s16be", "ulaw", "u8"] as const) {
        expect((await decodeAll(loud, { name: "a.raw", raw: { encoding } })).warnings).toEqual([DATA_LIKE]);
      }
      const random = fc.sample(fc.uint8Array({ minLength: 40_000, maxLength: 40_000 }), { seed: 5, numRuns: 1 })[0];
      expect((await decodeAll(random, { name: "a.raw" })).warnings).toEqual([DATA_LIKE]);
      const telephone = encodeSamples([Float32Array.from(tone(20_000), (x, i) => x * Math.sin(i / 500))], "ulaw");
      expect((await decodeAll(telephone, { name: "a.raw" })).warnings).toEqual([DATA_LIKE]);
    });

    test("cannot be asked for in an encoding that there is not", async () => {
      await expect(decodeAll(new Uint8Array(4), { raw: { encoding: "s17le" as "s16le" } })).rejects.toThrow(
        /^options\.raw\.encoding: expected one of u8, s8, s16le, .*, got s17le\. Leave it out, or give one\.$/,
      );
    });
  });

  test("warns of silence, wrong scale and values that are no numbers", async () => {
    expect((await decodeAll(wav(new Float32Array(1000)))).warnings).toEqual(["It is silent from beginning to end."]);
    const scaled = tone(1000).map((x) => x * 32_768);
    expect((await decodeAll(wav(scaled))).warnings).toContain(
      "Its loudest sample is 6.55e+3, where 1 is full scale; its samples may be scaled wrongly.",
    );
    const broken = tone(1000).fill(Number.NaN, 10, 20).fill(Number.NEGATIVE_INFINITY, 30, 31);
    const { channels, warnings } = await decodeAll(wav(broken));
    expect(warnings).toEqual(["11 of 1000 samples are no numbers and were taken as silence."]);
    expect(channels[0].subarray(10, 20)).toEqual(new Float32Array(10));
    await expect(decodeAll(wav(tone(1000).fill(Number.NaN, 0, 600)))).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "recording: expected samples of sound, got 60 % that are no numbers. The file is damaged.",
    });
  });

  test("refuses shapes that no recording has", async () => {
    const manyChannels = floatWav(
      Array.from({ length: 40 }, () => tone(10)),
      16_000,
    );
    await expect(decodeAll(manyChannels)).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: expect.stringContaining("expected 1 to 32 channels, got 40"),
    });
    await expect(decodeAll(new Uint8Array(10), { raw: { sampleRateHz: 10 } })).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "recording: expected a sample rate of 1000 to 768000 Hz, got 10 Hz. The file is corrupt.",
    });
  });
});
