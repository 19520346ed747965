import { createResampler, mixChannels } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { modelInputBlocks, openAudio, toModelInput } from "../../src/index.ts";
import { fixturePath, floatWav, largestDifference } from "./fixtures.ts";

const left = Float32Array.from({ length: 100_000 }, (_, i) => 0.3 * Math.sin(i / 9));
const right = Float32Array.from({ length: 100_000 }, (_, i) => 0.2 * Math.cos(i / 30));
const call = () => openAudio(floatWav([left, right], 44_100));
const toModelRate = createResampler(44_100, 16_000);

describe("toModelInput", () => {
  test("mixes the channels, in blocks or whole to the same samples", async () => {
    const audio = await call();
    const mixed = await toModelInput(audio, 16_000);
    expect(largestDifference(mixed, [toModelRate.resample(mixChannels([left, right]))])).toBe(0);
    await audio.close();
  });

  test("splits the channels, or takes one", async () => {
    const audio = await call();
    const split = await toModelInput(audio, 16_000, { channels: "split" });
    expect(largestDifference(split, [toModelRate.resample(left), toModelRate.resample(right)])).toBe(0);
    expect(largestDifference(await toModelInput(audio, 16_000, { channels: 1 }), split.slice(1))).toBe(0);
    await audio.close();
  });

  test("leaves samples of the model's rate as they are", async () => {
    const audio = await openAudio(fixturePath("speech.wav"));
    const channels = await audio.channels();
    expect(largestDifference(await toModelInput(audio, 16_000, { channels: "split" }), channels)).toBe(0);
    await audio.close();
  });

  test("gives blocks that the caller may keep", async () => {
    const audio = await call();
    const kept: Float32Array[] = [];
    for await (const [block] of modelInputBlocks(audio, 16_000, { channels: 0 })) kept.push(block);
    const joined = Float32Array.from(kept.flatMap((block) => [...block]));
    expect(kept.length).toBeGreaterThan(1);
    expect(largestDifference([joined], [toModelRate.resample(left)])).toBe(0);
    await audio.close();
  });

  test("refuses a channel that there is not", async () => {
    const audio = await openAudio(fixturePath("speech.wav"));
    for (const channels of [2, -1, 0.5]) {
      await expect(toModelInput(audio, 16_000, { channels })).rejects.toThrow(
        new RangeError(
          `options.channels: expected "mix", "split" or a channel of speech.wav from 0 to 1, got ${channels}. Leave it out, or give one.`,
        ),
      );
    }
    await audio.close();
  });
});
