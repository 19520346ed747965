import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { call, jsonLines, lines, morning, run, scratch } from "./harness.ts";

describe("vad", () => {
  test("start and end of every stretch of speech", async () => {
    const { status, out, err } = await run("vad", morning);
    const times = lines(out).map((line) => line.split("\t").map(Number));
    expect(times.length).toBeGreaterThan(0);
    for (const [start, end] of times) expect(end).toBeGreaterThan(start);
    expect(times.at(-1)?.[1]).toBeLessThanOrEqual(7.79);
    expect([status, err]).toEqual([0, ""]);
  });

  test("several recordings: a JSON line or prefixed rows each, errors apart", async () => {
    const bad = join(scratch, "bad.wav");
    writeFileSync(bad, "no sound");
    const { status, out, err } = await run("vad", morning, bad, call, "--json", "--probabilities");
    const [first, second, third] = jsonLines(out);
    expect(first).toMatchObject({
      file: morning,
      hopSec: 0.02,
      speech: [{ startSec: expect.any(Number) }, expect.anything()],
    });
    expect(first.probability.length).toBeCloseTo(7.78 / 0.02, -1);
    expect(second).toMatchObject({ file: bad, error: { code: "AUDIO_UNSUPPORTED" } });
    expect(third.file).toBe(call);
    expect(lines(err).at(-1)).toBe("nemo-stt: 1 of 3 recordings failed.");
    expect(status).toBe(1);
    const { out: text } = await run("vad", morning, call);
    expect(lines(text).every((line) => /^.*\.wav\t\d+\.\d\d\t\d+\.\d\d$/.test(line))).toBe(true);
  });

  test("thresholds count", async () => {
    const speech = async (...options: string[]) =>
      jsonLines((await run("vad", morning, "--json", ...options)).out)[0].speech;
    expect(await speech("--min-silence", "30")).toHaveLength(1);
    expect(await speech("--min-speech", "30")).toHaveLength(0);
    const { err, status } = await run("vad", morning, "--onset", "2");
    expect(err).toContain("Expected a number in [0, 1), got 2.");
    expect(status).toBe(64);
  });

  test("silence has none, whatever its length", async () => {
    for (const [name, bytes] of [
      ["long.raw", 64_000],
      ["short.raw", 20],
    ] as const) {
      writeFileSync(join(scratch, name), new Uint8Array(bytes));
      expect(await run("vad", join(scratch, name))).toMatchObject({ status: 0, out: "no speech\n" });
    }
  });
});
