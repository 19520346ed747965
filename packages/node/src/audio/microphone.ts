import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { SpeechError } from "@nemo-stt/core";

/** A program that records, and what it is told: 16 bits, mono, without a header, to its standard output. */
interface Recorder {
  readonly program: string;
  readonly args: readonly string[];
}

/** Sound of a recorder, and how to end it. */
export interface Microphone {
  readonly program: string;
  readonly sound: AsyncIterable<Uint8Array>;
  /** Idempotent. */
  stop(): void;
}

/** The recorders that are looked for, in this order. */
function recorders(rateHz: number, platform: NodeJS.Platform): Recorder[] {
  const rate = `${rateHz}`;
  const input = platform === "darwin" ? ["-f", "avfoundation", "-i", ":default"] : ["-f", "alsa", "-i", "default"];
  const ffmpegOut = ["-f", "s16le", "-ar", rate, "-ac", "1", "-"];
  return [
    { program: "arecord", args: ["-q", "-t", "raw", "-f", "S16_LE", "-r", rate, "-c", "1"] },
    { program: "parec", args: ["--raw", "--format=s16le", `--rate=${rate}`, "--channels=1", "--latency-msec=20"] },
    { program: "sox", args: ["-q", "-d", "-t", "raw", "-r", rate, "-e", "signed", "-b", "16", "-L", "-c", "1", "-"] },
    { program: "ffmpeg", args: ["-nostdin", "-loglevel", "error", ...input, ...ffmpegOut] },
  ];
}

/**
 * Records from the default microphone with the first recorder that is installed.
 * @throws SpeechError `NOT_FOUND` where there is none; the sound ends in the same when the recorder fails
 */
export async function openMicrophone(rateHz: number): Promise<Microphone> {
  const known = recorders(rateHz, process.platform);
  for (const { program, args } of known) {
    const path = await findProgram(program);
    if (path !== undefined) return record(program, path, args);
  }
  const names = known.map(({ program }) => program).join(", ");
  throw new SpeechError(
    "NOT_FOUND",
    `microphone: expected one of ${names} on the search path, got none. Install one, or pipe sound in and name -.`,
  );
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter).filter((entry) => entry !== "")) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** What a recorder says before it fails stands in its last words. */
const MAX_SAID = 400;

function record(program: string, path: string, args: readonly string[]): Microphone {
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let isStopped = false;
  child.stderr.on("data", (bytes: Buffer) => {
    said = `${said}${bytes}`.slice(-MAX_SAID);
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code === 0 ? undefined : `${signal ?? `exit status ${code}`}`));
  });
  async function* sound(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const bytes of child.stdout) yield bytes;
    const failure = await ended;
    if (failure === undefined || isStopped) return;
    const words = said.trim().replaceAll(/\s+/g, " ");
    throw new SpeechError(
      "NOT_FOUND",
      `microphone: expected sound from ${program}, got ${failure}${words ? ` (${words})` : ""}. Check that a microphone is connected, or pipe sound in and name -.`,
    );
  }
  return {
    program,
    sound: sound(),
    stop() {
      isStopped = true;
      child.kill();
    },
  };
}
