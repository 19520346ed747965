import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

// The samples as their users start them: what was built, each a process of its own. `npm test` builds first.
const root = fileURLToPath(new URL("..", import.meta.url));
const isBuilt = existsSync(join(root, "examples/dist/file-to-text.js"));
const audio = join(root, "examples/audio");
const folder = mkdtempSync(join(tmpdir(), "nemo-stt-samples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sample(name: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`examples/dist/${name}.js`, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  return { status, lines: stdout.trimEnd().split("\n"), stderr };
}

const GARDEN =
  "she opened the window and looked out upon the garden i do not know what you said the girl and she began to laugh";

describe.skipIf(!isBuilt)("samples", () => {
  test("each fits a page and is started by one command", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const names = readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts"));
    expect(names.length).toBe(5);
    for (const name of names) {
      const text = readFileSync(join(root, "examples", name), "utf8");
      expect([name, text.split("\n").length <= 61]).toEqual([name, true]);
      const [, command] = /npm run (sample:\w+)/.exec(text) ?? [];
      expect([name, scripts[command]]).toEqual([name, expect.stringContaining(name.replace(".ts", ".js"))]);
    }
  });

  test("a file to text, and what is no file", () => {
    const { status, lines, stderr } = sample("file-to-text");
    expect([status, lines.join(" ")]).toEqual([0, GARDEN]);
    expect(stderr).toMatch(/^8\.5 s of sound, \d+ × real time\n$/);
    expect(sample("file-to-text", ["nothing.wav"])).toMatchObject({
      status: 1,
      stderr: "nothing.wav: expected a readable file, got nothing. Check the path.\n",
    });
  });

  test("a folder to texts: a recording that is none is told, the others have theirs", () => {
    const [recordings, texts] = [join(folder, "recordings"), join(folder, "texts")];
    mkdirSync(recordings);
    for (const name of ["garden-slt.wav", "morning-rms.wav"]) cpSync(join(audio, name), join(recordings, name));
    writeFileSync(join(recordings, "broken.wav"), "no recording");
    const { status, lines, stderr } = sample("folder-to-texts", [recordings, texts]);
    expect(status).toBe(1);
    expect(lines.sort()).toEqual([
      expect.stringMatching(/^2 of 3 recordings, texts in /),
      "garden-slt.wav: 24 words",
      "morning-rms.wav: 24 words",
    ]);
    expect(stderr).toMatch(/^broken\.wav: expected WAV, FLAC, .*got bytes that begin with 6e6f/);
    expect(readdirSync(texts).sort()).toEqual(["garden-slt.wav.txt", "morning-rms.wav.txt"]);
    expect(readFileSync(join(texts, "garden-slt.wav.txt"), "utf8").trim().replaceAll("\n", " ")).toBe(GARDEN);
  });

  test("a call's two sides with roles, in the order of speaking", () => {
    const { status, lines } = sample("live-call", [join(audio, "call-ulaw-8k.wav"), "fast"]);
    expect(status).toBe(0);
    expect(lines.map((line) => /^ +([\d.]+)–[\d.]+ {2}(caller|agent): \S/.exec(line)?.[2])).toEqual(
      "caller agent caller agent caller agent".split(" "),
    );
  });

  test("many calls until the engine takes no more, with a table", () => {
    // The first seconds of the call only: it is played in real time. The sizes in the header stay too large.
    const short = join(folder, "short.wav");
    writeFileSync(short, readFileSync(join(audio, "call-ulaw-8k.wav")).subarray(0, 60_000));
    const { status, lines, stderr } = sample("many-calls", [short, "4"]);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining("garbage")]);
    expect(lines[0].trim().split(/ +/)).toEqual(["calls", "texts", "rtf", "p50", "p95"]);
    expect(lines.length).toBeGreaterThan(4);
    for (const row of lines.slice(1, -1)) expect(row).toMatch(/^ +[0-2] +\d+ +0\.\d{4} +\d+ ms +\d+ ms$/);
    expect(lines.at(-1)).toMatch(/^2 calls at a time, \d+ in all, \d+ texts\. engine: expected at most 4 streams/);
  });

  test("the microphone, with a recorder that plays a recording, and without any", () => {
    const path = join(folder, "bin");
    mkdirSync(path);
    expect(sample("microphone", [], { PATH: path })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /^microphone: expected one of arecord, parec, sox, ffmpeg on the search path, got none/,
      ),
    });
    const recorder = join(path, "arecord");
    writeFileSync(recorder, `#!/bin/sh\nexec /usr/bin/tail -c +45 '${join(audio, "garden-slt.wav")}'\n`);
    chmodSync(recorder, 0o755);
    const { status, lines, stderr } = sample("microphone", [], { PATH: path });
    expect([status, stderr]).toEqual([0, "listening with arecord\n"]);
    expect(lines.join(" ")).toMatch(/^she opened the window and looked out upon the garden/);
  });
});
