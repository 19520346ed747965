import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import { beforeAll, describe, expect, test } from "vitest";
import {
  garden,
  isBuilt,
  jsonLines,
  lines,
  morning,
  packageFolder,
  program,
  run,
  runBuilt,
  runProcess,
  scratch,
  standaloneTest,
} from "./harness.ts";

let text: string;
beforeAll(async () => {
  text = (await run("transcribe", morning)).out;
});

// The built program as a shell starts it; `npm run build` makes it.
describe.skipIf(!isBuilt)("the program as a process", () => {
  test("standard input: a file with a header, and samples without", async () => {
    const wav = readFileSync(morning);
    const ran = await runBuilt(["transcribe", "-", "--json"], { input: wav });
    expect(jsonLines(ran.out)[0]).toMatchObject({ name: "stdin", channels: [{ text: text.trim() }] });
    // Nothing on standard error: no progress bar where there is no terminal.
    const raw = await runBuilt(["transcribe", "--raw-encoding", "s16le", "-", "-"], { input: wav.subarray(44) });
    expect(raw).toEqual({ status: 0, signal: null, out: text, err: "" });
    expect(await runBuilt(["transcribe", "-"])).toMatchObject({
      status: 65,
      out: "",
      err: "nemo-stt: standard input: expected a recording, got an empty file. Record it again. (AUDIO_INVALID)\n",
    });
  });

  test("a reader that has seen enough is no error", async () => {
    const line = `'${process.execPath}' '${program}' models | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { out, err } = await runProcess("bash", ["-c", line]);
    expect(lines(out)).toEqual(["On this machine:", "0"]);
    expect(err).toBe("");
  });

  test.skipIf(!existsSync("/dev/full"))("a standard output that cannot be written", async () => {
    const { status, err } = await runProcess("sh", ["-c", `'${process.execPath}' '${program}' --help > /dev/full`]);
    expect(err).toMatch(/^nemo-stt: standard output: ENOSPC.*\n$/);
    expect(status).toBe(73);
  });

  test("an interrupt ends it at once, as a signal does, and nothing is printed", async () => {
    const ran = await runBuilt(["transcribe", "-"], { signal: "SIGINT" });
    expect(ran).toEqual({ status: null, signal: "SIGINT", out: "", err: "" });
  });

  test("statuses of the process", async () => {
    expect((await runBuilt(["no-such-command"])).status).toBe(64);
    expect((await runBuilt(["inspect", "missing.nemo"])).status).toBe(66);
  });
});

test("the command that npm links is there before the program is built, and says what is missing", async () => {
  const { bin } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"));
  const linked = join(packageFolder, bin["nemo-stt"]);
  const copy = join(scratch, "unbuilt", "bin", "nemo-stt.mjs");
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(linked, copy);
  expect(await runProcess(process.execPath, [copy, "--version"])).toMatchObject({
    status: 69,
    out: "",
    err: "nemo-stt: expected the program to be built, got no dist folder. Run: npm run build\n",
  });
  if (isBuilt) expect((await runProcess(linked, ["--version"])).status).toBe(0);
});

describe.skipIf(!isBuilt)("run_nemo_test.sh", () => {
  const test1 = (...args: string[]) => runProcess("bash", [standaloneTest, ...args]);
  let exported: string;
  let raw: string;
  beforeAll(async () => {
    exported = join(scratch, "exported", "conformer_ctc.onnx");
    await run("export", BUNDLED_MODELS.speech, exported);
    raw = join(scratch, "morning.raw");
    writeFileSync(raw, readFileSync(morning).subarray(44));
  });

  test("a .nemo and a WAV file: the text alone", async () => {
    expect(await test1("--nemo-model", BUNDLED_MODELS.speech, "--audio-file", morning)).toMatchObject({
      status: 0,
      out: text,
      err: "",
    });
  });

  test("--verbose with an exported .onnx and a .raw: names, shapes, times and the real-time factor", async () => {
    const { status, out, err } = await test1("--nemo-model", exported, "--audio-file", raw, "--verbose");
    expect([status, out]).toEqual([0, text]);
    const ms = String.raw`\d+\.\d ms`;
    const expected = [
      /^model {6}.*exported \(EncDec\w+\), loaded in \d+ ms$/,
      /^graph 1 {4}in {2}audio_signal float32 \[\?, 80, \?\], length int64 \[\?\], att_context int64 \[2\]$/,
      /^ {11}out encoded float32 \[\?, \d+, \?\], encoded_lengths int64 \[\?\], log_probs float32 \[\?, \?, \d+\]/,
      /^graph 2 {4}in {2}tokens int32 \[\?\], state float32 \[\?, \d+\]$/,
      /^ {11}out prediction /,
      /^graph 3 {4}in {2}encoder float32/,
      /^ {11}out logits float32 \[\?, \d+\]$/,
      /^audio {6}.*morning\.raw: 7\.78 s, 124480 samples at 16000 Hz, read in \d+ ms$/,
      new RegExp(`^features {3}\\[80 mel, 779 frame\\] in ${ms}$`),
      new RegExp(`^encoder {4}\\[\\d+ model, \\d+ step\\] of 80 ms, in ${ms}$`),
      new RegExp(`^ctc {8}\\d+ tokens in ${ms}$`),
      new RegExp(`^transducer \\d+ tokens in ${ms}$`),
      new RegExp(`^total {6}${ms} for 7\\.78 s of sound: real-time factor 0\\.\\d{4} \\(\\d+ × real time\\)$`),
    ];
    expect(lines(err)).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
  });

  test("fails loudly, without a text", async () => {
    const sound = join(scratch, "sound.wav");
    writeFileSync(sound, "no sound");
    const model = ["--nemo-model", BUNDLED_MODELS.speech];
    const wrong: [string[], number, RegExp][] = [
      [[], 64, /required option '-m, --nemo-model <model>' not specified/],
      [model, 64, /required option '-a, --audio-file <audio>' not specified/],
      [[...model, "--audio-file", "missing.wav"], 66, /missing\.wav: expected a readable file, got nothing/],
      [[...model, "--audio-file", sound], 65, /sound\.wav: expected WAV.*\(AUDIO_UNSUPPORTED\)/],
      [["--nemo-model", garden, "--audio-file", morning], 65, /garden-slt\.wav: expected a tar archive/],
      [["--nemo-model", "gone.nemo", "--audio-file", morning], 66, /gone\.nemo: expected a \.nemo file/],
      [["--nemo-model", BUNDLED_MODELS.vad, "--audio-file", morning], 69, /expected a model that writes text/],
    ];
    for (const [args, status, message] of wrong) {
      const ran = await run("try", ...args);
      expect(ran.err).toMatch(message);
      expect([ran.status, ran.out], args.join(" ")).toEqual([status, ""]);
    }
    expect(await test1(...model, "--audio-file", sound)).toMatchObject({ status: 65, out: "" });
  });

  test("says so when the program is not built", async () => {
    const copy = join(scratch, "run_nemo_test.sh");
    writeFileSync(copy, readFileSync(standaloneTest));
    const { status, err } = await runProcess("bash", [copy]);
    expect(err).toContain("expected the program to be built, got no");
    expect(status).toBe(69);
  });
});
