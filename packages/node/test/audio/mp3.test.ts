import { describe, expect, test } from "vitest";
import { findMpegFrame } from "../../src/audio/mpeg-frame.ts";
import { decodeAll, fixtureBytes, fixturePath, joinBytes, largestDifference } from "./fixtures.ts";

/** What 16 bits leave of libsndfile's floats. */
const ROUNDING = 0.6 / 32_768;

describe("MP3", () => {
  test("has the samples that libsndfile gives, without the encoder's delay", async () => {
    const mp3 = await decodeAll(fixturePath("speech.mp3"));
    const expected = await decodeAll(fixturePath("speech.mp3.expected.flac"));
    expect(mp3).toMatchObject({ format: "MP3", sampleRateHz: 16_000, numChannels: 2, durationSec: 0.5, warnings: [] });
    expect(largestDifference(mp3.channels, expected.channels)).toBeLessThan(ROUNDING);
  });

  test("has one channel where the file has one", async () => {
    const mono = await decodeAll(fixturePath("mono-24k.mp3"));
    expect(mono).toMatchObject({ numChannels: 1, durationSec: 0.5, warnings: [] });
    expect(mono.channels.map((channel) => channel.length)).toEqual([12_000]);
  });

  test("is found behind tags and junk, and ends before a tag", async () => {
    const bytes = await fixtureBytes("speech.mp3");
    const tag = joinBytes("ID3\x04\x00\x00\x00\x00\x02\x00", new Uint8Array(256).fill(0xff));
    const back = joinBytes("TAG", new Uint8Array(125));
    const expected = await decodeAll(bytes);
    for (const front of [tag, joinBytes(tag, tag), joinBytes("no frame", new Uint8Array(1000))]) {
      const { channels, warnings } = await decodeAll(joinBytes(front, bytes, back));
      expect(warnings).toEqual([]);
      expect(largestDifference(channels, expected.channels)).toBe(0);
    }
  });

  test("says that it is cut off", async () => {
    const bytes = await fixtureBytes("speech.mp3");
    const { channels, warnings } = await decodeAll(bytes.subarray(0, 1500));
    expect(channels[0].length).toBeGreaterThan(2000);
    expect(warnings).toEqual([
      expect.stringMatching(/^It is cut off: 0\.\d\d s of the 0\.50 s that its header tells of\.$/),
    ]);
  });

  test("refuses a recording that changes its sample rate", async () => {
    const bytes = await fixtureBytes("speech.mp3");
    const long = joinBytes(...Array.from({ length: 40 }, () => bytes));
    await expect(decodeAll(joinBytes(long, await fixtureBytes("mono-24k.mp3")))).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message: expect.stringMatching(/^recording: expected 16000 Hz and 2 channels throughout, got a part of 24000 Hz/),
    });
  });

  test("refuses a tag with nothing behind it", async () => {
    const tag = joinBytes("ID3\x04\x00\x00\x00\x00\x02\x00", new Uint8Array(2000));
    await expect(decodeAll(tag)).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "recording: expected MPEG audio frames after the tag, got none in 1744 bytes. The file is damaged.",
    });
  });

  test("frames are found only where several follow each other", () => {
    const header = [0xff, 0xfb, 0x90, 0x64]; // MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes
    const frames = new Uint8Array(3 * 417);
    for (let i = 0; i < 3; i++) frames.set(header, 417 * i);
    expect(findMpegFrame(frames)).toEqual({
      start: 0,
      sizeBytes: 417,
      layer: 3,
      sampleRateHz: 44_100,
      numChannels: 2,
      numSamples: 1152,
      sideInfoBytes: 32,
    });
    expect(findMpegFrame(joinBytes("xx", frames))?.start).toBe(2);
    expect(findMpegFrame(frames.subarray(0, 417))).toBeUndefined();
    frames[417] = 0;
    expect(findMpegFrame(frames)).toBeUndefined();
  });
});
