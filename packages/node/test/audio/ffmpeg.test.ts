import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeAll, fixtureBytes, fixturePath, joinBytes } from "./fixtures.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nemo-stt-ffmpeg-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A program that behaves as its lines of JavaScript say. */
async function program(...lines: string[]): Promise<string> {
  const path = join(folder, `fake-${lines.join("").length}.mjs`);
  await writeFile(path, ["#!/usr/bin/env node", ...lines].join("\n"));
  await chmod(path, 0o755);
  return path;
}

/** Two channels at 8 kHz: 1, -0.5; 0.25, 0. */
const AU = `
const au = Buffer.alloc(28 + 16);
au.write(".snd");
[28, 0xffffffff, 6, 8000, 2].forEach((value, i) => au.writeUInt32BE(value, 4 + 4 * i));
[1, -0.5, 0.25, 0].forEach((value, i) => au.writeFloatBE(value, 28 + 4 * i));`;

const hasFfmpeg = spawnSync("ffmpeg", ["-version"]).status === 0;

describe("a format that needs ffmpeg", () => {
  test.skipIf(!hasFfmpeg)("is read by it, from a path and from bytes", async () => {
    for (const input of [fixturePath("speech.m4a"), await fixtureBytes("speech.m4a")]) {
      const { format, sampleRateHz, numChannels, channels } = await decodeAll(input);
      expect({ format, sampleRateHz, numChannels }).toEqual({
        format: "MP4 (by ffmpeg)",
        sampleRateHz: 16_000,
        numChannels: 2,
      });
      // AAC comes in frames of 1024, and versions of ffmpeg leave out more or less of the padding.
      expect(Math.abs(channels[0].length - 8000)).toBeLessThan(2048);
      expect(Math.max(...channels[0])).toBeGreaterThan(0.3);
    }
  });

  test("is named when ffmpeg is not installed", async () => {
    await expect(decodeAll(fixturePath("speech.m4a"), { ffmpeg: "no-such-program" })).rejects.toMatchObject({
      code: "AUDIO_UNSUPPORTED",
      message:
        "speech.m4a: expected WAV, FLAC, MP3, OGG or WebM with Opus, got MP4, which needs ffmpeg, and that is not installed. Install ffmpeg, or convert the file.",
    });
  });

  // A script starts as a program by its first line only where the system knows of such lines.
  describe.skipIf(process.platform === "win32")("with a program in ffmpeg's place", () => {
    test("has the samples that it writes, however they are cut", async () => {
      const ffmpeg = await program(AU, "for (const byte of au) { process.stdout.write(Uint8Array.of(byte)); }");
      const { sampleRateHz, channels, warnings } = await decodeAll(fixturePath("speech.m4a"), { ffmpeg });
      expect({ sampleRateHz, channels, warnings }).toEqual({
        sampleRateHz: 8000,
        channels: [Float32Array.of(1, 0.25), Float32Array.of(-0.5, 0)],
        warnings: [],
      });
    });

    test("is called with the file, its format and nothing to guess", async () => {
      const ffmpeg = await program("process.stderr.write(process.argv.slice(2).join(' '));");
      const path = fixturePath("speech.m4a");
      await expect(decodeAll(path, { ffmpeg })).rejects.toThrow(
        `-nostdin -hide_banner -v error -protocol_whitelist file,pipe -f mov -i file:${path} -map 0:a:0 -c:a pcm_f32be -f au pipe:1`,
      );
    });

    test("is refused when that writes no sound", async () => {
      const ffmpeg = await program("console.error('one\\ntwo: moov atom not found'); process.exitCode = 1;");
      await expect(decodeAll(fixturePath("speech.m4a"), { ffmpeg })).rejects.toMatchObject({
        code: "AUDIO_INVALID",
        message:
          "speech.m4a: expected MP4 with sound, got an error of ffmpeg: two: moov atom not found. The file is damaged or has no sound.",
      });
    });

    test("keeps the sound before a failure, with a warning", async () => {
      const ffmpeg = await program(
        AU,
        "process.stdout.write(au); console.error('broken at 3 s.'); process.exitCode = 1;",
      );
      const { channels, warnings } = await decodeAll(fixturePath("speech.m4a"), { ffmpeg });
      expect(channels[0].length).toBe(2);
      expect(warnings).toEqual(["Parts of it are damaged and were left out (ffmpeg: broken at 3 s)."]);
    });

    test("is asked for WAV of encodings that are not read here", async () => {
      const ffmpeg = await program("process.stderr.write(process.argv.slice(2).join(' '));", "//");
      const bytes = await fixtureBytes("speech.wav");
      bytes[20] = 2; // Microsoft ADPCM
      await expect(decodeAll(bytes, { ffmpeg })).rejects.toThrow(
        /WAV of a rare encoding with sound, .* -f wav -i file:/,
      );
    });
  });

  test("is told from its content", async () => {
    const heads = [
      ["AIFF", joinBytes("FORM\0\0\0\0AIFF")],
      ["AMR", joinBytes("#!AMR\n")],
      ["NIST SPHERE", joinBytes("NIST_1A\n   1024\n")],
      [
        "AAC",
        joinBytes(
          Uint8Array.of(0xff, 0xf1, 0x50, 0x80, 1, 0, 0xfc, 0),
          Uint8Array.of(0xff, 0xf1, 0x50, 0x80, 1, 0, 0xfc),
        ),
      ],
    ] as const;
    for (const [name, bytes] of heads) {
      await expect(decodeAll(bytes, { ffmpeg: "no-such-program" })).rejects.toThrow(`got ${name}, which needs ffmpeg`);
    }
  });
});
