import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { formatTranscript, type Recognizer, type TranscribeResult, transcriptJson } from "@nemo-stt/core";
import { loadModel, openAudio, toModelInput } from "@nemo-stt/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, garden, jsonLines, lines, morning, run, scratch } from "./harness.ts";

let recognizer: Recognizer;
/** What the library gives, which the command must print. */
const expected = new Map<string, TranscribeResult[]>();

beforeAll(async () => {
  recognizer = await loadModel();
  for (const path of [morning, garden, call]) {
    const audio = await openAudio(path);
    const channels = await toModelInput(audio, recognizer.spec.sampleRateHz, { channels: "split" });
    const mixed = await toModelInput(audio, recognizer.spec.sampleRateHz);
    await audio.close();
    expected.set(path, await recognizer.transcribe(channels));
    expected.set(`${path} mixed`, await recognizer.transcribe(mixed));
  }
});
afterAll(() => recognizer.close());

const textOf = (path: string) => (expected.get(`${path} mixed`) as TranscribeResult[])[0].text;
const samplesOf = (path: string) => readFileSync(path).subarray(44);

function folder(name: string): string {
  const path = join(scratch, name);
  mkdirSync(path, { recursive: true });
  return path;
}

describe("transcribe: what is printed", () => {
  test("one recording: its text and nothing else", async () => {
    const ran = await run("transcribe", morning);
    expect(ran).toMatchObject({ status: 0, out: `${textOf(morning)}\n`, err: "" });
    expect(textOf(morning)).toMatch(/^[a-z' ]{20,}$/);
  });

  test.each(["srt", "ctm"] as const)("--format %s as the library writes it", async (format) => {
    const { out, status } = await run("transcribe", garden, "--format", format);
    const [transcript] = expected.get(`${garden} mixed`) as TranscribeResult[];
    expect(out).toBe(formatTranscript({ name: garden, channels: [{ transcript }] }, format));
    expect(status).toBe(0);
  });

  test("--json: an object a line and recording", async () => {
    const { out } = await run("transcribe", garden, morning, "--json");
    const [first] = expected.get(`${garden} mixed`) as TranscribeResult[];
    expect(jsonLines(out).map((row) => row.name)).toEqual([garden, morning]);
    expect(jsonLines(out)[0]).toEqual(
      JSON.parse(JSON.stringify(transcriptJson({ name: garden, channels: [{ transcript: first }] }))),
    );
  });

  test("several recordings: the name before each text, in the order of the arguments, each recording once", async () => {
    const { out } = await run("transcribe", morning, garden, morning);
    expect(lines(out)).toEqual([`${morning}: ${textOf(morning)}`, `${garden}: ${textOf(garden)}`]);
  });

  test("--channels split: a text for each channel of a call, in order of time", async () => {
    const whole = expected.get(call) as TranscribeResult[];
    expect(whole).toHaveLength(2);
    const { out } = await run("transcribe", call, "--channels", "split", "--json");
    expect(jsonLines(out)[0].channels.map((c: { channel: number; text: string }) => [c.channel, c.text])).toEqual([
      [1, whole[0].text],
      [2, whole[1].text],
    ]);
    const { out: text } = await run("transcribe", call, morning, "--channels", "split");
    expect(lines(text).every((line) => line.startsWith(`${call}: `) || line.startsWith(`${morning}: `))).toBe(true);
    expect(text).toContain(`${call}: 2: `);
  });

  test("--head, --att-context and --timestamps reach the library; --verbose tells the cost", async () => {
    const contexts = recognizer.spec.encoder.kind === "conformer" ? recognizer.spec.encoder.attention.contexts : [];
    const { left, right } = contexts[contexts.length - 1];
    const audio = await openAudio(morning);
    const waveforms = await toModelInput(audio, recognizer.spec.sampleRateHz);
    await audio.close();
    const [own] = await recognizer.transcribe(waveforms, {
      head: "ctc",
      attContext: [left, right],
      timestamps: "nemo",
    });
    const { out, err } = await run(
      "transcribe",
      morning,
      "--json",
      "--verbose",
      "--head",
      "ctc",
      "--att-context",
      `${left},${right}`,
      "--timestamps",
      "nemo",
    );
    expect(jsonLines(out)[0].channels[0]).toMatchObject({ text: own.text, head: "ctc" });
    expect(jsonLines(out)[0].channels[0].words).toEqual(JSON.parse(JSON.stringify(own.words)));
    expect(err).toMatch(
      /: 1 of 1 recordings, 7\.8 s of sound in [\d.]+ s \(\d+ × real time\), model loaded in [\d.]+ s\.\n$/,
    );
  });

  test("--workers: the same texts in the same order, errors apart as well", async () => {
    // More recordings than parts, so that a part has several.
    const copies = [call, garden, morning].map((path, i) => {
      const copy = join(folder("copies"), `${i}.wav`);
      copyFileSync(path, copy);
      return [copy, textOf(path)];
    });
    const known = [...copies, ...[call, garden, morning].map((path) => [path, textOf(path)])];
    const paths = [join(scratch, "gone.wav"), ...known.map(([path]) => path)];
    const { status, out, err } = await run("transcribe", ...paths, "--workers", "2");
    expect(lines(out)).toEqual(known.map(([path, text]) => `${path}: ${text}`));
    expect(lines(err)).toHaveLength(2);
    expect(status).toBe(1);
  });
});

describe("transcribe: what is read", () => {
  test("a folder: its recordings and those of its subfolders, sorted, neither hidden nor other files", async () => {
    const top = folder("folder");
    folder("folder/b");
    copyFileSync(garden, join(top, "b", "two.WAV"));
    symlinkSync(morning, join(top, "a one.wav"));
    copyFileSync(garden, join(top, ".hidden.wav"));
    writeFileSync(join(top, "notes.txt"), "nothing to hear");
    const { out, status } = await run("transcribe", top);
    expect(lines(out)).toEqual([
      `${join(top, "a one.wav")}: ${textOf(morning)}`,
      `${join(top, "b", "two.WAV")}: ${textOf(garden)}`,
    ]);
    expect(status).toBe(0);
  });

  test("names with control characters stay on one line", async () => {
    const odd = join(folder("odd"), "new\nline\x1b[31m.wav");
    copyFileSync(morning, odd);
    const { out } = await run("transcribe", odd, garden);
    expect(lines(out)[0]).toBe(`${join(scratch, "odd", "new\\x0aline\\x1b[31m.wav")}: ${textOf(morning)}`);
  });

  test("--raw-*: two channels of another encoding, under a name that says nothing", async () => {
    const samples = samplesOf(morning);
    const floats = new Float32Array(samples.length);
    for (let i = 0; i < samples.length / 2; i++) floats[2 * i + 1] = samples.readInt16LE(2 * i) / 32768;
    const raw = join(scratch, "samples.bin");
    writeFileSync(raw, new Uint8Array(floats.buffer));
    const options = ["--raw-encoding", "f32le", "--raw-rate", "16000", "--raw-channels", "2"];
    const { out } = await run("transcribe", raw, ...options, "--channels", "2");
    expect(out).toBe(`${textOf(morning)}\n`);
  });

  test("silence gives an empty text and says so", async () => {
    const silent = join(scratch, "silent.raw");
    writeFileSync(silent, new Uint8Array(32_000));
    const ran = await run("transcribe", silent);
    expect(ran).toMatchObject({ status: 0, out: "\n", err: `${silent}: It is silent from beginning to end.\n` });
  });
});

describe("transcribe: what goes wrong", () => {
  const text = join(scratch, "text.wav");
  beforeAll(() => writeFileSync(text, "no sound"));

  test("errors of recordings leave the others, and end in status 1", async () => {
    const empty = folder("empty");
    const ran = await run("transcribe", text, morning, join(scratch, "missing.wav"), empty, "--json");
    expect(ran.status).toBe(1);
    const rows = jsonLines(ran.out);
    expect(rows[1].channels[0].text).toBe(textOf(morning));
    expect(rows.map((row) => row.error?.code)).toEqual(["AUDIO_UNSUPPORTED", undefined, "NOT_FOUND", "NOT_FOUND"]);
    expect(rows[0].name).toBe(text);
    expect(lines(ran.err)).toEqual([
      expect.stringMatching(/^nemo-stt: text\.wav: expected WAV, .* \(AUDIO_UNSUPPORTED\)$/),
      `nemo-stt: ${join(scratch, "missing.wav")}: expected a recording or a folder, got nothing of that name. Check the path. (NOT_FOUND)`,
      `nemo-stt: ${empty}: expected recordings (.wav, .wave, .flac, .mp3, .ogg, .oga, …), got a folder without any. Name another folder. (NOT_FOUND)`,
      "nemo-stt: 3 of 4 recordings failed.",
    ]);
  });

  test("a recording that is alone gives its own status, told once", async () => {
    const ran = await run("transcribe", text);
    expect(ran).toMatchObject({ status: 65, out: "" });
    expect(lines(ran.err)).toHaveLength(1);
  });

  test("a channel that a recording does not have", async () => {
    const { status, err } = await run("transcribe", morning, "--channels", "3");
    expect(err).toBe(
      "nemo-stt: morning-rms.wav: expected a recording with a channel 3, got one of 1. Choose another channel, or mix. (AUDIO_UNSUPPORTED)\n",
    );
    expect(status).toBe(65);
  });

  test("an attention context that the model was not trained with", async () => {
    const { status, err, out } = await run("transcribe", morning, "--att-context", "5,5");
    expect(err).toMatch(
      /^nemo-stt: attention context: expected one of \[.*\], which the model was trained with, got \[5,5\]\. Choose one of these\. \(MODEL_UNSUPPORTED\)\n$/,
    );
    expect([status, out]).toEqual([69, ""]);
  });

  test.each([
    [
      ["--head", "rnn"],
      "error: option '--head <head>' argument 'rnn' is invalid. Allowed choices are ctc, transducer.",
    ],
    [
      ["--att-context", "70"],
      "error: option '--att-context <L,R>' argument '70' is invalid. Expected L,R in encoder steps such as 70,13, got 70.",
    ],
    [
      ["--channels", "0"],
      "error: option '--channels <channels>' argument '0' is invalid. Expected mix, split or a channel's number from 1 up, got 0.",
    ],
    [
      ["--threads", "1e3"],
      "error: option '--threads <n>' argument '1e3' is invalid. Expected a whole number from 1 up, got 1e3.",
    ],
    [["--json", "--format", "srt"], "error: option '--json' cannot be used with option '-f, --format <format>'"],
  ])("a command line that is wrong: %j", async (options, message) => {
    const { status, err, out } = await run("transcribe", morning, ...options);
    expect(lines(err)).toEqual([message, "(nemo-stt transcribe --help shows its options and examples)"]);
    expect([status, out]).toEqual([64, ""]);
  });

  test("subtitles of several recordings need files of their own", async () => {
    const { status, err } = await run("transcribe", morning, garden, "--format", "vtt");
    expect(err).toBe(
      "nemo-stt: --format vtt: expected --out with 2 recordings, got none: they could not be told apart. Name a folder.\n",
    );
    expect(status).toBe(64);
  });
});

describe("transcribe --out", () => {
  test("a file for each, skipped the next time, made again when the recording is newer", async () => {
    const source = folder("calls");
    copyFileSync(morning, join(source, "one.wav"));
    copyFileSync(garden, join(source, "two.wav"));
    const out = join(scratch, "texts");
    const first = await run("transcribe", source, "--out", out);
    expect(first).toMatchObject({ status: 0, out: "" });
    expect(readFileSync(join(out, "one.wav.txt"), "utf8")).toBe(`${textOf(morning)}\n`);
    expect(readFileSync(join(out, "two.wav.txt"), "utf8")).toBe(`${textOf(garden)}\n`);

    const again = await run("transcribe", source, "--out", out, "--model", "is/not-needed");
    expect(again).toMatchObject({ status: 0, out: "", err: "2 of 2 recordings are done already.\n" });

    const later = new Date(Date.now() + 60_000);
    utimesSync(join(source, "two.wav"), later, later);
    writeFileSync(join(out, "one.wav.txt"), "kept\n");
    const third = await run("transcribe", source, "--out", out);
    expect(lines(third.err)[0]).toBe("1 of 2 recordings are done already.");
    expect(readFileSync(join(out, "one.wav.txt"), "utf8")).toBe("kept\n");
  });

  test("recordings of one name in different folders do not share a file", async () => {
    for (const [name, source] of Object.entries({ left: morning, right: garden })) {
      copyFileSync(source, join(folder(`same/${name}`), "call.wav"));
    }
    const out = join(scratch, "apart");
    const files = ["left", "right"].map((name) => join(scratch, "same", name, "call.wav"));
    expect((await run("transcribe", ...files, "--out", out, "--format", "vtt")).status).toBe(0);
    for (const [name, source] of Object.entries({ left: morning, right: garden })) {
      const [transcript] = expected.get(`${source} mixed`) as TranscribeResult[];
      const vtt = formatTranscript({ name, channels: [{ transcript }] }, "vtt");
      expect(readFileSync(join(out, name, "call.wav.vtt"), "utf8")).toBe(vtt);
    }
    const kept = join(scratch, "kept");
    await run("transcribe", join(scratch, "same"), "--out", kept, "--format", "tsv");
    expect(readFileSync(join(kept, "left", "call.wav.tsv"), "utf8")).toContain(`\t${textOf(morning).slice(0, 20)}`);
    expect(existsSync(join(kept, "right", "call.wav.tsv"))).toBe(true);
  });

  test("no file for a recording that failed, so that the next run tries again", async () => {
    const text = join(scratch, "bad.wav");
    writeFileSync(text, "no sound");
    const out = join(scratch, "partial");
    expect((await run("transcribe", text, morning, "--out", out)).status).toBe(1);
    expect(existsSync(join(out, "bad.wav.txt"))).toBe(false);
    expect(statSync(join(out, "morning-rms.wav.txt")).size).toBeGreaterThan(1);
  });

  test("a place that cannot be written", async () => {
    const file = join(scratch, "file");
    writeFileSync(file, "");
    const { status, err } = await run("transcribe", morning, "--out", file);
    expect(err).toMatch(
      /^nemo-stt: .*file\/morning-rms\.wav\.txt: expected to write here, got E.*\. Name another place\. \(WRITE_FAILED\)\n$/,
    );
    expect(status).toBe(73);
  });
});
