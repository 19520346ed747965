import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import type { Readable } from "node:stream";
import { SpeechError } from "@nemo-stt/core";
import { checkShape, type DecodedAudio, type Warn } from "./decoded.ts";

/** What ffmpeg is asked to read. */
export interface FfmpegInput {
  /** For messages. */
  readonly name: string;
  readonly path: string;
  /** What the content was recognised as, for messages. */
  readonly formatName: string;
  /** ffmpeg's name of that format; it guesses nothing, so a playlist cannot make it open other files. */
  readonly demuxer: string;
  /** The program; `ffmpeg` from the search path unless told. */
  readonly program?: string;
}

/** ffmpeg decodes an hour in seconds; so long without a byte means that it hangs. */
const TIMEOUT_MS = 30_000;
const MAX_ERROR_CHARS = 2000;
const AU_HEADER_BYTES = 24;
const AU_FLOAT32 = 6;

type Ffmpeg = ChildProcessByStdio<null, Readable, Readable>;

/**
 * Opens a recording through an installed ffmpeg: the first sound track, all its channels, at its own rate.
 * @throws SpeechError `AUDIO_UNSUPPORTED` when ffmpeg is not installed, `AUDIO_INVALID` when it cannot read the file.
 */
export async function openWithFfmpeg(input: FfmpegInput): Promise<DecodedAudio> {
  const run = startFfmpeg(input);
  const { sampleRateHz, numChannels } = await run.header().finally(() => run.stop());
  checkShape(input.name, sampleRateHz, numChannels);
  return {
    format: `${input.formatName} (by ffmpeg)`,
    sampleRateHz,
    numChannels,
    blocks: (warn) => decodeAll(input, warn),
  };
}

async function* decodeAll(input: FfmpegInput, warn: Warn): AsyncGenerator<Float32Array[], void, undefined> {
  const run = startFfmpeg(input);
  try {
    const { numChannels } = await run.header();
    const frameBytes = 4 * numChannels;
    for (let bytes = await run.read(frameBytes); bytes; bytes = await run.read(frameBytes)) {
      yield deinterleave(bytes, numChannels);
    }
    if ((await run.exitCode()) !== 0) warn(`Parts of it are damaged and were left out (ffmpeg: ${run.lastError()}).`);
  } finally {
    run.stop();
  }
}

/** A running ffmpeg that writes an AU file of floats to its standard output. */
interface FfmpegRun {
  header(): Promise<{ sampleRateHz: number; numChannels: number }>;
  /** Some whole units of so many bytes; `undefined` at the end. */
  read(unitBytes: number): Promise<Uint8Array | undefined>;
  exitCode(): Promise<number | null>;
  lastError(): string;
  stop(): void;
}

function startFfmpeg(input: FfmpegInput): FfmpegRun {
  const child: Ffmpeg = spawn(input.program ?? "ffmpeg", ffmpegArguments(input), {
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
  });
  let errorText = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errorText = (errorText + text).slice(-MAX_ERROR_CHARS);
  });
  const started = once(child, "spawn");
  const exited = new Promise<number | null>((done) => child.once("close", done));
  const chunks = child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rest: Uint8Array = new Uint8Array(0);
  const lastError = () => errorText.trim().split("\n").at(-1)?.replace(/\.$/, "") ?? "";

  async function more(): Promise<boolean> {
    const next = await withTimeout(input.name, chunks.next());
    if (next.done) return false;
    rest = Buffer.concat([rest, next.value]);
    return true;
  }

  return {
    async header() {
      await started.catch((error) => {
        throw notInstalled(input, error);
      });
      while (rest.length < AU_HEADER_BYTES && (await more()));
      const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
      if (rest.length < AU_HEADER_BYTES || view.getUint32(0) !== 0x2e736e64 || view.getUint32(12) !== AU_FLOAT32) {
        await withTimeout(input.name, exited);
        throw new SpeechError(
          "AUDIO_INVALID",
          `${input.name}: expected ${input.formatName} with sound, got an error of ffmpeg: ${lastError() || "it wrote no sound"}. The file is damaged or has no sound.`,
        );
      }
      const offset = view.getUint32(4);
      const shape = { sampleRateHz: view.getUint32(16), numChannels: view.getUint32(20) };
      while (rest.length < offset && (await more()));
      rest = rest.subarray(offset);
      return shape;
    },
    async read(unitBytes) {
      while (rest.length < unitBytes) if (!(await more())) return undefined;
      const end = rest.length - (rest.length % unitBytes);
      const whole = rest.subarray(0, end);
      rest = rest.subarray(end);
      return whole;
    },
    exitCode: () => withTimeout(input.name, exited),
    lastError,
    stop() {
      child.kill("SIGKILL");
    },
  };
}

function ffmpegArguments({ path, demuxer }: FfmpegInput): string[] {
  const quiet = ["-nostdin", "-hide_banner", "-v", "error"];
  const from = ["-protocol_whitelist", "file,pipe", "-f", demuxer, "-i", `file:${resolve(path)}`];
  return [...quiet, ...from, "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"];
}

async function withTimeout<T>(name: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `${name}: expected ffmpeg to go on, got nothing for ${TIMEOUT_MS / 1000} s. Convert the file by hand.`;
      reject(new SpeechError("AUDIO_INVALID", text));
    }, TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function notInstalled(input: FfmpegInput, error: unknown): SpeechError {
  return new SpeechError(
    "AUDIO_UNSUPPORTED",
    `${input.name}: expected WAV, FLAC, MP3, OGG or WebM with Opus, got ${input.formatName}, which needs ffmpeg, and that is not installed. Install ffmpeg, or convert the file.`,
    { cause: error },
  );
}

/** Big-endian floats of all channels in turn → one array for each. */
function deinterleave(bytes: Uint8Array, numChannels: number): Float32Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numSamples = bytes.byteLength / 4 / numChannels;
  return Array.from({ length: numChannels }, (_, channel) => {
    const samples = new Float32Array(numSamples);
    for (let i = 0; i < numSamples; i++) samples[i] = view.getFloat32(4 * (i * numChannels + channel));
    return samples;
  });
}
