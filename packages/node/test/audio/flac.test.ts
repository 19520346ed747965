import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeSamples } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { decodeAll, fixtureBytes, fixturePath, joinBytes, largestDifference } from "./fixtures.ts";

const shared = fileURLToPath(new URL("../../../../../shared/audio/", import.meta.url));
const SHARED_FOLDERS = ["librispeech", "speechocean", "kathleen", "ljspeech"];
const sharedFiles = SHARED_FOLDERS.flatMap((folder) =>
  existsSync(shared) ? readdirSync(join(shared, folder)).map((name) => join(shared, folder, name)) : [],
);

/** Positions of `fixtures/speech.flac`'s frames, whose sync code with their block size begins them all. */
function frameStarts(bytes: Uint8Array): number[] {
  const [first, second, third] = bytes.subarray(audioStart(bytes));
  const starts: number[] = [];
  for (let at = audioStart(bytes); at < bytes.length; at++) {
    const isNext = bytes[at] === first && bytes[at + 1] === second && bytes[at + 2] === third;
    if (isNext && bytes[at + 4] === starts.length) starts.push(at);
  }
  return starts;
}

function audioStart(bytes: Uint8Array): number {
  let at = 4;
  for (let isLast = false; !isLast; ) {
    isLast = (bytes[at] & 0x80) !== 0;
    at += 4 + bytes[at + 1] * 65_536 + bytes[at + 2] * 256 + bytes[at + 3];
  }
  return at;
}

/** The checksum of the samples that the encoder wrote down (RFC 9639, section 8.2). */
function expectedMd5(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(26, 42)).toString("hex");
}

function md5Of(channels: readonly Float32Array[]): string {
  return createHash("md5").update(encodeSamples(channels, "s16le")).digest("hex");
}

describe("FLAC", () => {
  test("has exactly the samples that were encoded", async () => {
    const flac = await decodeAll(fixturePath("speech.flac"));
    const wav = await decodeAll(fixturePath("speech.wav"));
    expect(largestDifference(flac.channels, wav.channels)).toBe(0);
    expect(flac).toMatchObject({
      format: "FLAC",
      sampleRateHz: 16_000,
      numChannels: 2,
      durationSec: 0.5,
      warnings: [],
    });
    expect(md5Of(flac.channels)).toBe(expectedMd5(await fixtureBytes("speech.flac")));
  });

  test("has exactly the samples of 24 bits, from the lowest to the highest", async () => {
    const { channels } = await decodeAll(fixturePath("ramp24.flac"));
    const ramp = Float32Array.from(
      { length: 4097 },
      (_, i) => (i === 4096 ? 2 ** 23 - 1 : -(2 ** 23) + 4096 * i) / 2 ** 23,
    );
    expect(largestDifference(channels, [ramp])).toBe(0);
  });

  test.skipIf(sharedFiles.length === 0)("has the checksum of the encoder on every shared recording", async () => {
    for (const path of sharedFiles.filter((_, i) => i % 10 === 0)) {
      const { channels } = await decodeAll(path);
      expect({ path, md5: md5Of(channels) }).toEqual({ path, md5: expectedMd5(await readFile(path)) });
    }
  });

  test("takes a damaged frame as silence, and keeps the times after it", async () => {
    const bytes = await fixtureBytes("speech.flac");
    const starts = frameStarts(bytes);
    expect(starts.length).toBeGreaterThan(3);
    bytes[starts[1] + 40] ^= 0xff;
    const whole = await decodeAll(fixturePath("speech.flac"));
    const damaged = await decodeAll(bytes);
    expect(damaged.warnings).toEqual(["Parts of it are damaged and were taken as silence."]);
    const block = 1152;
    whole.channels[0].fill(0, block, 2 * block);
    whole.channels[1].fill(0, block, 2 * block);
    expect(largestDifference(damaged.channels, whole.channels)).toBe(0);
  });

  test("takes missing frames as silence", async () => {
    const bytes = await fixtureBytes("speech.flac");
    const starts = frameStarts(bytes);
    const damaged = await decodeAll(joinBytes(bytes.subarray(0, starts[1]), bytes.subarray(starts[3])));
    expect(damaged.channels[0].length).toBe(8000);
    const { channels: whole } = await decodeAll(fixturePath("speech.flac"));
    for (const channel of whole) channel.fill(0, 1152, 3 * 1152);
    expect(largestDifference(damaged.channels, whole)).toBe(0);
    expect(damaged.warnings).toEqual(["Parts of it are damaged and were taken as silence."]);
  });

  test("says that it is cut off, and gives what is there", async () => {
    const bytes = await fixtureBytes("speech.flac");
    const { channels, warnings } = await decodeAll(bytes.subarray(0, frameStarts(bytes)[3] + 100));
    expect(channels[0].length).toBe(3 * 1152);
    expect(warnings).toEqual(["It is cut off: 0.22 s of the 0.50 s that its header tells of."]);
  });

  test("is found behind an ID3 tag and ends before one", async () => {
    const front = joinBytes("ID3\x03\x00\x00\x00\x00\x01\x00", new Uint8Array(128));
    const back = joinBytes("TAG", new Uint8Array(125));
    const { channels, warnings } = await decodeAll(joinBytes(front, await fixtureBytes("speech.flac"), back));
    expect(channels[0].length).toBe(8000);
    expect(warnings).toEqual([]);
  });

  test("refuses a head that is cut off or makes no sense", async () => {
    const bytes = await fixtureBytes("speech.flac");
    await expect(decodeAll(bytes.subarray(0, 30))).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message:
        "recording: expected FLAC to begin with its STREAMINFO block, got the end of the file. The file is damaged.",
    });
    bytes.fill(0, 18, 21); // The sample rate.
    await expect(decodeAll(bytes)).rejects.toMatchObject({
      code: "AUDIO_INVALID",
      message: "recording: expected a sample rate of 1000 to 768000 Hz, got 0 Hz. The file is corrupt.",
    });
  });
});
