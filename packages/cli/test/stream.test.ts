import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeSamples } from "@nemo-stt/core";
import { BUNDLED_MODELS, openAudio } from "@nemo-stt/node";
import { beforeAll, describe, expect, test } from "vitest";
import { contextNote, latencyNote, nearestMode } from "../src/actions/latency.ts";
import { endpointOf, engineOptionsOf } from "../src/stream-options.ts";
import {
  call,
  garden,
  isBuilt,
  jsonLines,
  lines,
  morning,
  program,
  run,
  runBuilt,
  runProcess,
  scratch,
} from "./harness.ts";

const text =
  "she opened the window and looked out upon the garden i do not know what you said the girl and she began to laugh";
const words = (out: string) => out.trim().split(/\s+/);
// The checkpoint is exported once, before anything is timed.
beforeAll(() => run("stream", morning, "--latency", "1.12s"));

describe("stream", () => {
  test("a line an utterance, its figures on standard error", async () => {
    const { status, out, err, bars } = await run("stream", garden, "--endpoint", "none");
    expect([status, out]).toEqual([0, `${text}\n`]);
    expect(lines(err)).toEqual([
      expect.stringMatching(/^\[70,13\] 1120 ms, 8\.5 s, \d+ × real time, real-time factor \d\.\d{3}$/),
    ]);
    expect(bars).toEqual([]);
  });

  test("words are those of transcribe with the same context and head, endpoints or not", async () => {
    const flags = ["--att-context", "70,1", "--head", "ctc"];
    const { out } = await run("transcribe", garden, ...flags);
    const cut = await run("stream", garden, ...flags, "--min-silence", "0.2");
    expect(lines(cut.out).length).toBeGreaterThan(1);
    expect(words(cut.out)).toEqual(words(out));
  });

  test("--json: start, interims whose stable text only grows, finals with times, end", async () => {
    const { out } = await run(
      ...["stream", garden, "--json", "--att-context", "70,6", "--max-utterance", "3", "--endpoint", "none"],
    );
    const events = jsonLines(out);
    const [start, ...rest] = events;
    expect(start).toEqual({
      type: "start",
      name: garden,
      model: "nemo-stt-en-tiny.nemo",
      attContext: [70, 6],
      chunkSec: 0.56,
      format: "WAV",
      sampleRateHz: 16_000,
      numStreams: 1,
    });
    expect(rest.at(-1)).toMatchObject({ type: "end", audioSec: 8.505, isInterrupted: false });
    expect(rest.at(-1).realTimeFactor).toBeGreaterThan(0);
    const finals = events.filter(({ type }) => type === "final");
    expect(finals.map((final) => final.text).join(" ")).toBe(text);
    expect(finals.map(({ reason }) => reason)).toEqual([...finals.slice(1).map(() => "max-utterance"), "end"]);
    const { out: whole } = await run("transcribe", garden, "--json", "--att-context", "70,6");
    const times = (words: { text: string; startSec: number; endSec: number }[]) =>
      words.map((word) => [word.text, word.startSec, word.endSec]);
    expect(times(finals.flatMap((final) => final.words))).toEqual(times(jsonLines(whole)[0].channels[0].words));
    for (const final of finals) {
      const interims = events.filter((event) => event.type === "interim" && event.utterance === final.utterance);
      for (const [i, interim] of interims.entries()) {
        expect(interim.text.startsWith(interim.stableText)).toBe(true);
        expect(interim.stableText.startsWith(interims[i - 1]?.stableText ?? "")).toBe(true);
      }
      expect(final.startSec).toBe(final.words[0].startSec);
    }
  });

  test("two speeds: finals of the slow mode, what is tentative from the fast one", async () => {
    const slow = jsonLines((await run("stream", garden, "--json", "--latency", "1120ms")).out);
    const { out } = await run("stream", garden, "--json", "--latency", "1120ms", "--fast-att-context", "70,0");
    const both = jsonLines(out);
    expect(both[0]).toMatchObject({ attContext: [70, 13], fastAttContext: [70, 0] });
    const finals = (events: { type: string; text: string }[]) => events.filter(({ type }) => type === "final");
    expect(finals(both).map((final) => final.text)).toEqual(finals(slow).map((final) => final.text));
    const firstHeard = (events: { type: string; heardSec: number }[]) =>
      events.find(({ type }) => type === "interim")?.heardSec ?? 0;
    expect(firstHeard(slow)).toBeGreaterThan(1);
    expect(firstHeard(both)).toBeLessThan(firstHeard(slow));
  });

  test("--channels: a stream for each, one of them, or the mix", async () => {
    const split = lines((await run("stream", call, "--channels", "split")).out);
    const ofChannel = (n: number) => split.filter((line) => line.startsWith(`${n}: `)).map((line) => line.slice(3));
    expect(ofChannel(1).length + ofChannel(2).length).toBe(split.length);
    const { out } = await run("transcribe", call, "--channels", "2");
    expect(words(ofChannel(2).join(" "))).toEqual(words(out));
    expect(await run("stream", call, "--channels", "3")).toMatchObject({
      status: 65,
      err: expect.stringMatching(/expected a recording with a channel 3, got one of 2\..*\(AUDIO_UNSUPPORTED\)/),
    });
  });

  test("in windows that are told, with the same words whatever ends utterances", async () => {
    const windows = ["--att-context", "70,0", "--left", "4", "--chunk", "0.4", "--right", "0.8"];
    const vad = ["--endpoint", "vad", "--vad", BUNDLED_MODELS.vad, "--min-silence", "0.2"];
    const { out } = await run("stream", garden, ...windows, "--json", ...vad, "--onset", "0.6", "--offset", "0.4");
    const events = jsonLines(out);
    expect(events[0]).toMatchObject({ attContext: [70, 0], chunkSec: 0.4, method: "windows" });
    const finals = events.filter(({ type }) => type === "final");
    expect(finals.filter(({ reason }) => reason === "silence").length).toBeGreaterThan(0);
    const plain = await run("stream", garden, ...windows, "--endpoint", "none");
    expect(finals.map((final) => final.text).join(" ")).toBe(plain.out.trim());
    expect(plain.err).toMatch(/^\[70,0\] 400 ms and 800 ms behind, 8\.5 s/);
  });

  test("flags of endpoints and windows reach the engine, and nothing that was not told", async () => {
    expect(endpointOf({ endpoint: "decoder" })).toEqual({ silence: "decoder" });
    const told = { endpoint: "vad", minSilence: 1, maxUtterance: 2, minSpeech: 0, onset: 0.4, offset: 0 } as const;
    expect(endpointOf(told)).toEqual({
      silence: "vad",
      minSilenceSec: 1,
      maxUtteranceSec: 2,
      minSpeechSec: 0,
      onset: 0.4,
      offset: 0,
    });
    expect(await engineOptionsOf({ endpoint: "none" })).toEqual({});
    expect(await engineOptionsOf({ endpoint: "none", left: 0, right: 3, vad: "own.nemo" })).toEqual({
      vad: "own.nemo",
      method: "buffered",
      buffered: { leftSec: 0, rightSec: 3 },
    });
  });

  test("--calibration takes the place of the model's own", async () => {
    const file = join(scratch, "half.json");
    const own = JSON.parse(readFileSync(BUNDLED_MODELS.speech.replace(/nemo$/, "calibration.json"), "utf8"));
    const flat = JSON.stringify(own, (key, value) => (key === "a" || key === "b" || key === "c" ? 0 : value));
    writeFileSync(file, flat);
    const { out, err } = await run("stream", garden, "--json", "--calibration", file);
    expect(err).toBe("");
    const finals = jsonLines(out).filter(({ type }) => type === "final");
    expect(new Set(finals.map(({ confidence }) => confidence))).toEqual(new Set([0.5]));
  });

  test("--realtime takes as long as the sound, and tells the latency", async () => {
    const short = join(scratch, "short.raw");
    writeFileSync(short, readFileSync(garden).subarray(44, 44 + 32_000));
    const started = performance.now();
    const { out } = await run("stream", short, "--realtime", "--json", "--latency", "80ms");
    expect(performance.now() - started).toBeGreaterThan(1000);
    const end = jsonLines(out).at(-1);
    expect(end).toMatchObject({ type: "end", audioSec: 1 });
    expect(end.latencySec.p99).toBeGreaterThanOrEqual(end.latencySec.p50);
  });

  test.skipIf(process.platform === "win32")("a named pipe is read as it comes", async () => {
    const pipe = join(scratch, "sound.fifo");
    execFileSync("mkfifo", [pipe]);
    const writing = writeFile(pipe, readFileSync(garden));
    const { out, status } = await run("stream", pipe, "--att-context", "70,6", "--json");
    await writing;
    expect(status).toBe(0);
    const finals = jsonLines(out).filter(({ type }) => type === "final");
    expect(finals.map((final) => final.text).join(" ")).toBe(text);
  });

  test("what cannot be done is refused by name", async () => {
    const refused: [string[], number, RegExp][] = [
      [[garden, "--latency", "soon"], 64, /Expected a time such as 80ms or 1\.12s, got soon\./],
      [[garden, "--latency", "80ms", "--att-context", "70,1"], 64, /cannot be used with option/],
      [[garden, "--att-context", "70,5"], 69, /attention context: expected one of \[70,13\] .*, got \[70,5\]\. /],
      [[garden, "--endpoint", "maybe"], 64, /Allowed choices are decoder, vad, energy, none/],
      [[garden, "--onset", "2"], 64, /Expected a number in \[0, 1\), got 2\./],
      [[garden, "--onset", "0.4"], 64, /--onset: expected --endpoint vad with it, got decoder/],
      [[garden, "--min-speech", "1"], 64, /--min-speech: expected --endpoint vad or energy with it, got decoder/],
      [
        [garden, "--endpoint", "vad", "--onset", "0.2", "--offset", "0.5"],
        64,
        /--offset: expected at most the onset \(0\.2\), got 0\.5/,
      ],
      [
        [garden, "--latency", "80ms", "--fast-att-context", "70,13"],
        69,
        /fastAttContext: expected a mode of shorter chunks than \[70,0\], got \[70,13\]/,
      ],
      [[garden, "--calibration", "none.json"], 66, /none\.json: expected a calibration that can be read/],
      [["missing.wav"], 66, /missing\.wav: expected a readable file/],
      [[garden, "-m", BUNDLED_MODELS.vad], 69, /expected a model that writes text, .*\(MODEL_UNSUPPORTED\)/],
    ];
    for (const [args, status, message] of refused) {
      const ran = await run("stream", ...args);
      expect(ran.err).toMatch(message);
      expect([ran.status, ran.out], args.join(" ")).toEqual([status, ""]);
    }
  });
});

test("a stream that cannot have the model's default context says so, and what gives the same words", () => {
  const [first, second] = [
    [20, 0],
    [20, 1],
  ].map((attContext) => ({ attContext, chunkSec: 0.08 }));
  expect(contextNote({ modes: [first, second], defaultContext: [20, 1] })).toBeUndefined();
  expect(contextNote({ modes: [first], defaultContext: [20, 1] })).toBe(
    "attention context [20,1], the model's default: looks ahead beyond any chunk, so the stream is in [20,0], as `transcribe --att-context 20,0`. With --chunk it goes in windows, in [20,1].",
  );
});

describe("--latency", () => {
  const modes = [1.12, 0.56, 0.16, 0.08].map((chunkSec) => ({
    attContext: [70, Math.round(chunkSec / 0.08) - 1],
    chunkSec,
  }));

  test.each([
    [0.08, 0],
    [1.12, 13],
    [0.48, 6],
    [1.04, 13],
    [0.001, 0],
    [60, 13],
    [0.12, 0],
    [0.36, 1],
  ])(
    "of %d s: a chunk or a look-ahead of this length, else the nearest chunk, of two as near the shorter",
    (sec, right) => {
      expect(nearestMode(modes, sec).attContext[1]).toBe(right);
    },
  );

  test("says which where it is another", () => {
    expect(latencyNote(modes, modes[3], 0.08)).toBeUndefined();
    expect(latencyNote(modes, modes[1], 0.48)).toBeUndefined();
    expect(latencyNote(modes, modes[1], 0.5)).toBe(
      "--latency 500 ms: no mode has it; the nearest is [70,6] 560 ms. The model has [70,13] 1120 ms, [70,6] 560 ms, [70,1] 160 ms, [70,0] 80 ms.",
    );
  });
});

// The built program as a shell starts it; `npm run build` makes it.
describe.skipIf(!isBuilt)("the program as a process", () => {
  const wav = readFileSync(garden);

  test("standard input: WAV, and samples without a header at another rate", async () => {
    const ran = await runBuilt(["stream", "-", "--endpoint", "none"], { input: wav });
    expect(ran).toMatchObject({ status: 0, out: `${text}\n` });
    const audio = await openAudio(call);
    const [, customer] = await audio.channels();
    await audio.close();
    const raw = encodeSamples([customer.subarray(0, 48_000)], "ulaw");
    const file = join(scratch, "customer.ulaw");
    writeFileSync(file, raw);
    const options = ["--raw-encoding", "ulaw", "--raw-rate", "8000"];
    const { out } = await runBuilt(["stream", ...options], { input: raw });
    expect(words(out).length).toBeGreaterThan(3);
    expect(words(out)).toEqual(words((await run("transcribe", file)).out));
    expect(await runBuilt(["stream", "-"])).toMatchObject({ status: 65, out: "" });
  });

  test("standard input that is a file is no live sound: its speed is told, a pipe's latency", async () => {
    const asIs = await runProcess("bash", ["-c", `'${process.execPath}' '${program}' stream - < '${garden}'`]);
    expect(asIs.err).toMatch(/8\.5 s, \d+ × real time/);
    expect((await runBuilt(["stream", "-"], { input: wav })).err).toMatch(/8\.5 s, latency \d+ ms/);
  });

  test("Ctrl-C writes what was heard to its end and is no error", async () => {
    const child = spawn(process.execPath, [program, "stream", "-", "--latency", "80ms", "--json"]);
    let out = "";
    child.stdout.on("data", (bytes: Buffer) => {
      out += bytes;
      // Its input stays open: without the interrupt it would wait for more.
      if (child.signalCode === null && !child.killed && out.includes("she opened the window")) child.kill("SIGINT");
    });
    child.stdin.write(wav.subarray(0, 90_000));
    const status = await new Promise((resolve) => child.on("close", resolve));
    const events = jsonLines(out);
    expect(events.at(-2)).toMatchObject({ type: "final", reason: "end" });
    expect(events.at(-2).text).toMatch(/^she opened the window/);
    expect(events.at(-1)).toMatchObject({ type: "end", isInterrupted: true });
    expect(status).toBe(0);
  });

  test("a reader that has seen enough is no error", async () => {
    const line = `'${process.execPath}' '${program}' stream '${garden}' --json | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { out, err } = await runProcess("bash", ["-c", line]);
    expect(lines(out).at(-1)).toBe("0");
    expect(err).toBe("");
  });

  describe("the microphone", () => {
    const folder = join(scratch, "recorders");
    const recorder = (name: string, script: string) => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(folder, name), 0o755);
    };
    const record = (path: string) =>
      runProcess("/bin/sh", [
        "-c",
        `PATH='${path}' exec '${process.execPath}' '${program}' stream mic --latency 560ms`,
      ]);

    test("by an installed recorder, in the model's rate", async () => {
      recorder("arecord", `echo "$@" > '${folder}/args'; exec /usr/bin/tail -c +45 '${garden}'`);
      const { status, out } = await record(folder);
      expect([status, words(out).join(" ")]).toEqual([0, text]);
      expect(readFileSync(join(folder, "args"), "utf8")).toBe("-q -t raw -f S16_LE -r 16000 -c 1\n");
    });

    test("one that fails, and none at all", async () => {
      recorder("arecord", "echo 'no such device' >&2; exit 1");
      expect(await record(folder)).toMatchObject({
        status: 66,
        err: expect.stringContaining(
          "microphone: expected sound from arecord, got exit status 1 (no such device). Check that a microphone is connected",
        ),
      });
      expect(await record(join(scratch, "nowhere"))).toMatchObject({
        status: 66,
        err: expect.stringContaining("expected one of arecord, parec, sox, ffmpeg on the search path, got none."),
      });
    });
  });
});
