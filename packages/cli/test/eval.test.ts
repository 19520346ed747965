import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { calibrate, compareWords, errorRate } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { call, examples, garden, jsonLines, lines, morning, run, scratch } from "./harness.ts";

const manifest = join(examples, "manifest.jsonl");

function manifestOf(name: string, entries: readonly unknown[]): string {
  const path = join(scratch, name);
  writeFileSync(
    path,
    entries.map((entry) => `${typeof entry === "string" ? entry : JSON.stringify(entry)}\n`).join(""),
  );
  return path;
}

describe("eval", () => {
  test("rates per source and in all, and the worst recordings aligned", async () => {
    const { status, out, err, bars } = await run("eval", manifest, "--worst", "1");
    const [title, header, flite, all, blank, worst, reference, hypothesis] = lines(out);
    expect(title).toBe("nemo-stt-en-tiny.nemo, normalizer manifest");
    expect(header).toBe("source           files   words        WER       CER   sub / del / ins");
    expect(flite).toMatch(/^flite {16}2 {6}49 +\d+\.\d\d % +\d+\.\d\d % {3}\d+ \/ \d+ \/ \d+$/);
    expect(all.slice(16)).toBe(flite.slice(16));
    expect(blank).toBe("");
    expect(worst).toMatch(/^(garden-slt|morning-rms)\.wav {2}\d+\.\d\d %$/);
    expect(reference).toMatch(/^ {2}ref {2}/);
    expect(hypothesis).toMatch(/^ {2}hyp {2}/);
    expect(lines(out)).toHaveLength(8);
    expect([status, err, bars]).toEqual([0, "", ["eval"]]);
  });

  test("--json: the texts that transcribe gives, and their rates", async () => {
    const { out } = await run("eval", manifest, "--json", "--head", "ctc");
    const found = JSON.parse(out);
    const texts = jsonLines((await run("transcribe", morning, garden, "--json", "--head", "ctc")).out);
    const own = texts.map((row) => row.channels[0].text);
    expect(found.recordings.map((r: { hypothesis: string }) => r.hypothesis)).toEqual(own);
    const errors = found.recordings.map((r: { text: string }, i: number) => compareWords(r.text, own[i], "manifest"));
    expect(found.recordings[0].errors).toBe(Math.round(errorRate(errors[0]) * errors[0].numReference));
    expect(found).toMatchObject({ normalizer: "manifest", head: "ctc", failures: [], words: { numReference: 49 } });
  });

  test("--calibrate: maps of confidences, fitted on every second recording, for transcribe and streams", async () => {
    const [right] = jsonLines((await run("transcribe", garden, "--json")).out);
    const text = right.channels[0].text;
    const entries = [text, text, "none of it", "none of it"].map((reference) => ({
      audio_filepath: garden,
      text: reference,
    }));
    const path = manifestOf("calibrate.jsonl", entries);
    const file = join(scratch, "tiny.calibration.json");
    const { status, err } = await run("eval", path, "--calibrate", file);
    expect(status).toBe(0);
    expect(lines(err)[0]).toMatch(
      /^transducer words: \d+ not fitted, 50\.00 % right; expected calibration error \d+\.\d\d %, calibrated \d+\.\d\d %; ranking 0\.500$/,
    );
    const { transducer } = JSON.parse(readFileSync(file, "utf8")).heads;
    const [mapped] = jsonLines((await run("transcribe", garden, "--json", "--calibration", file)).out);
    mapped.channels[0].words.forEach(({ confidence }: { confidence: number }, i: number) => {
      expect(confidence).toBeCloseTo(calibrate(transducer.word, right.channels[0].words[i].confidence), 2);
    });
    // The maps of the other head stay.
    await run("eval", path, "--calibrate", file, "--head", "ctc");
    expect(JSON.parse(readFileSync(file, "utf8")).heads).toMatchObject({ transducer, ctc: { word: {} } });
    const few = await run("eval", manifest, "--calibrate", file, "--limit", "1");
    expect(few.err).toContain("calibration: expected at least 20 right and 20 wrong answers");
    expect((await run("transcribe", garden, "--calibration", "none.json")).err).toContain(
      "none.json: expected a calibration that can be read",
    );
  });

  test("sources apart, characters and words, texts as they are", async () => {
    const path = manifestOf("sources.jsonl", [
      { audio_filepath: morning, text: "HE SAID THAT", source: "loud" },
      { audio_filepath: garden, text: "she opened the window", source: "low" },
      { audio_filepath: call, text: "" },
      { audio_filepath: "beyond the limit", text: "" },
    ]);
    const { out } = await run("eval", path, "--json", "--normalizer", "none", "--limit", "3");
    const { sources } = JSON.parse(out);
    expect(Object.keys(sources)).toEqual(["loud", "low", "all"]);
    expect(sources.loud.words.substitutions).toBe(3);
    expect(sources.low.chars.numReference).toBe(21);
    const { out: text } = await run("eval", path, "--limit", "3");
    expect(text).toMatch(/^all +1 +0 +no words +no words {3}0 \/ 0 \/ \d+$/m);
  });

  test("recordings that cannot be read leave the others, and end in status 1", async () => {
    const path = manifestOf("gap.jsonl", [
      { audio_filepath: "gone.wav", text: "nothing" },
      { audio_filepath: morning, text: "he said that" },
    ]);
    const { status, out, err } = await run("eval", path, "--json");
    expect(lines(err)).toEqual([
      `nemo-stt: ${join(scratch, "gone.wav")}: expected a readable file, got nothing. Check the path. (NOT_FOUND)`,
      "nemo-stt: 1 of 2 recordings failed.",
    ]);
    expect(JSON.parse(out)).toMatchObject({
      recordings: [{ name: morning }],
      failures: [expect.stringContaining("gone.wav")],
    });
    expect(status).toBe(1);
  });

  test.each([
    [
      "not json",
      "line.jsonl:2: expected a JSON object with audio_filepath and text, got not json. Write one object a line. (FORMAT_INVALID)",
    ],
    [
      '{"audio_filepath": "a.wav"}',
      'line.jsonl:2: expected a JSON object with audio_filepath and text, got {"audio_filepath": "a.wav"}. Write one object a line. (FORMAT_INVALID)',
    ],
    [
      "null",
      "line.jsonl:2: expected a JSON object with audio_filepath and text, got null. Write one object a line. (FORMAT_INVALID)",
    ],
  ])("a bad line: %s", async (line, message) => {
    const path = manifestOf("line.jsonl", [{ audio_filepath: morning, text: "he" }, line]);
    const { status, err } = await run("eval", path);
    expect(err).toBe(`nemo-stt: ${scratch}/${message}\n`);
    expect(status).toBe(65);
  });

  test("no manifest, an empty one, a folder", async () => {
    expect(await run("eval", join(scratch, "none.jsonl"))).toMatchObject({
      status: 66,
      err: `nemo-stt: ${join(scratch, "none.jsonl")}: expected a manifest, got nothing of that name. Check the path. (NOT_FOUND)\n`,
    });
    expect((await run("eval", manifestOf("empty.jsonl", []))).err).toContain("got an empty file");
    expect((await run("eval", scratch)).err).toMatch(/expected a manifest, got EISDIR.*\(NOT_FOUND\)/);
  });
});
