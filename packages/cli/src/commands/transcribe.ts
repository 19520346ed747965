import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  formatTranscript,
  type Head,
  isSpeechError,
  type Recognizer,
  type TranscribeOptions,
  type TranscribeResult,
  type TranscriptFormat,
  transcriptJson,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, loadModel, type RawFormat } from "@nemo-stt/node";
import { type Command, Option } from "commander";
import { listRecordings, type ReadOptions, readRecording } from "../audio-files.ts";
import type { Console } from "../console.ts";
import { Failed } from "../failed.ts";
import { parseChannels, parseContext, wholeNumber } from "../options.ts";
import { precisionOf } from "./export.ts";

interface TranscribeFlags {
  readonly model: string;
  readonly head?: Head;
  readonly attContext?: number[];
  readonly timestamps: "steps" | "nemo";
  readonly format: TranscriptFormat;
  readonly json?: boolean;
  readonly channels: "mix" | "split" | number;
  readonly out?: string;
  readonly threads: number;
  readonly quantize?: "int8" | "fp16";
  readonly rawEncoding?: RawFormat["encoding"];
  readonly rawRate?: number;
  readonly rawChannels?: number;
  readonly verbose?: boolean;
}

/** One recording's answer, or what went wrong with it. */
interface Answer {
  readonly path: string;
  readonly results?: readonly TranscribeResult[];
  readonly error?: Error;
  readonly warnings: readonly string[];
}

const EXTENSIONS: Readonly<Record<TranscriptFormat, string>> = {
  text: "txt",
  json: "json",
  srt: "srt",
  vtt: "vtt",
  ctm: "ctm",
  tsv: "tsv",
};

/** `nemo-stt transcribe FILES…`. */
export function registerTranscribe(program: Command, console: Console): void {
  program
    .command("transcribe", { isDefault: false })
    .description("Write down what is said in recordings: text, times and confidence.")
    .argument("<audio...>", "recordings, folders of recordings, or - for standard input")
    .option(
      "-m, --model <model>",
      ".nemo file, exported folder, .onnx with tokens beside it, or pulled name",
      BUNDLED_MODELS.speech,
    )
    .addOption(new Option("-f, --format <format>", "what to write").choices(Object.keys(EXTENSIONS)).default("text"))
    .option("--json", "the same as --format json")
    .option("-o, --out <folder>", "write a file per recording there; recordings that have theirs are skipped")
    .addOption(new Option("--head <head>", "which head of a hybrid decodes").choices(["ctc", "transducer"]))
    .option("--att-context <L,R>", "one of the model's attention contexts, in encoder steps", parseContext)
    .addOption(
      new Option("--timestamps <convention>", "real starts and ends, or NeMo's own")
        .choices(["steps", "nemo"])
        .default("steps"),
    )
    .option(
      "--channels <channels>",
      "mix to mono, split (a text per channel), or the number of one",
      parseChannels,
      "mix",
    )
    .option("--threads <n>", "threads inside one operator", wholeNumber(1), 1)
    .addOption(new Option("--quantize <kind>", "run a .nemo with smaller weights").choices(["int8", "fp16"]))
    .addOption(new Option("--raw-encoding <encoding>", "samples without a header").choices(RAW_ENCODINGS))
    .option("--raw-rate <hz>", "sample rate of samples without a header", wholeNumber(1))
    .option("--raw-channels <n>", "channels of samples without a header", wholeNumber(1))
    .option("--verbose", "say what is loaded, and the time it took")
    .action((paths: string[], flags: TranscribeFlags) =>
      runTranscribe(paths, { ...flags, ...(flags.json ? { format: "json" } : {}) }, console),
    );
}

const RAW_ENCODINGS: RawFormat["encoding"][] = [
  "s16le",
  "s8",
  "u8",
  "s24le",
  "s32le",
  "f32le",
  "f64le",
  "ulaw",
  "alaw",
];

/** This much sound is read before it is recognised: batches want recordings of like length to choose from. */
const GROUP_SEC = 1200;

async function runTranscribe(paths: readonly string[], flags: TranscribeFlags, console: Console): Promise<void> {
  const all = await listRecordings(paths);
  const todo = flags.out ? await withoutDone(all, flags.out, flags.format) : all;
  if (flags.out && todo.length < all.length)
    console.err(`${all.length - todo.length} of ${all.length} recordings are done already.`);
  const started = performance.now();
  const recognizer = await openModelWithBar(flags, console);
  const loadedSec = (performance.now() - started) / 1000;
  const bar = console.progress("transcribe", todo.length);
  const totals = { numFailed: 0, audioSec: 0, wallSec: 0 };
  let done = 0;
  try {
    const before = performance.now();
    for await (const answer of answersOf(recognizer, todo, flags)) {
      totals.audioSec += answer.results?.[0]?.durationSec ?? 0;
      if (answer.error) totals.numFailed++;
      bar.update(++done);
      await writeAnswer(answer, flags, todo.length > 1, console);
    }
    totals.wallSec = (performance.now() - before) / 1000;
  } finally {
    bar.stop();
    await recognizer.close();
  }
  if (flags.verbose || flags.out) console.err(summary(recognizer, todo.length, loadedSec, totals));
  if (totals.numFailed > 0) throw new Failed(`${totals.numFailed} of ${todo.length} recordings failed.`);
}

async function openModelWithBar(flags: TranscribeFlags, console: Console): Promise<Recognizer> {
  const bar = console.progress("load model", 1);
  try {
    return await loadModel(flags.model, {
      numThreads: flags.threads,
      precision: precisionOf(flags.quantize),
      onExport: ({ writtenBytes, totalBytes }) => bar.update(writtenBytes / totalBytes),
    });
  } finally {
    bar.stop();
  }
}

function summary(
  recognizer: Recognizer,
  numFiles: number,
  loadedSec: number,
  totals: { numFailed: number; audioSec: number; wallSec: number },
): string {
  const speed = totals.wallSec > 0 ? totals.audioSec / totals.wallSec : 0;
  return `${recognizer.name}: ${numFiles - totals.numFailed} of ${numFiles} recordings, ${totals.audioSec.toFixed(1)} s of sound in ${totals.wallSec.toFixed(2)} s (${speed.toFixed(0)} × real time), model loaded in ${loadedSec.toFixed(2)} s.`;
}

/** Answers in the order of the recordings, recognised in groups. */
async function* answersOf(
  recognizer: Recognizer,
  paths: readonly string[],
  flags: TranscribeFlags,
): AsyncGenerator<Answer> {
  let group: { path: string; channels: readonly Float32Array[]; warnings: readonly string[]; error?: Error }[] = [];
  let groupSec = 0;
  const rate = recognizer.spec.sampleRateHz;
  for (const path of paths) {
    const read = await readRecording(path, rate, readOptions(flags)).then(
      (recording) => ({ path, ...recording }),
      (error: unknown) => ({ path, channels: [], warnings: [], error: asError(error) }),
    );
    group.push(read);
    groupSec += read.channels.reduce((sum, channel) => sum + channel.length, 0) / rate;
    if (groupSec < GROUP_SEC) continue;
    yield* recognise(recognizer, group, flags);
    group = [];
    groupSec = 0;
  }
  yield* recognise(recognizer, group, flags);
}

async function* recognise(
  recognizer: Recognizer,
  group: readonly { path: string; channels: readonly Float32Array[]; warnings: readonly string[]; error?: Error }[],
  flags: TranscribeFlags,
): AsyncGenerator<Answer> {
  const options: TranscribeOptions = { head: flags.head, attContext: flags.attContext, timestamps: flags.timestamps };
  const results = await recognizer.transcribe(
    group.flatMap((recording) => recording.channels),
    options,
  );
  let next = 0;
  for (const { path, channels, warnings, error } of group) {
    const own = results.slice(next, next + channels.length);
    next += channels.length;
    yield error ? { path, error, warnings } : { path, results: own, warnings };
  }
}

function readOptions(flags: TranscribeFlags): ReadOptions {
  const raw = {
    ...(flags.rawEncoding ? { encoding: flags.rawEncoding } : {}),
    ...(flags.rawRate ? { sampleRateHz: flags.rawRate } : {}),
    ...(flags.rawChannels ? { numChannels: flags.rawChannels } : {}),
  };
  return { channels: flags.channels, ...(Object.keys(raw).length > 0 ? { raw } : {}) };
}

async function writeAnswer(
  answer: Answer,
  flags: TranscribeFlags,
  isOneOfMany: boolean,
  console: Console,
): Promise<void> {
  for (const warning of answer.warnings) console.err(`${answer.path}: ${warning}`);
  if (answer.error || !answer.results) {
    console.err(`nemo-stt: ${answer.error?.message}`);
    return;
  }
  const text = answerText(answer.path, answer.results, flags);
  if (flags.out) return writeWhole(outPath(answer.path, flags.out, flags.format), text);
  if (flags.format === "text" && isOneOfMany) console.out(`${answer.path}: ${text.trimEnd()}`);
  else console.out(text.trimEnd());
}

/** One line of JSON a recording, so that many can be read one by one; the other formats as they are. */
function answerText(path: string, results: readonly TranscribeResult[], flags: TranscribeFlags): string {
  const isSplit = flags.channels === "split" && results.length > 1;
  const recording = {
    name: path === "-" ? "stdin" : path,
    channels: results.map((transcript, i) => ({ ...(isSplit ? { channel: i + 1 } : {}), transcript })),
  };
  return flags.format === "json"
    ? JSON.stringify(transcriptJson(recording))
    : formatTranscript(recording, flags.format);
}

const outPath = (path: string, folder: string, format: TranscriptFormat): string =>
  join(folder, `${path === "-" ? "stdin" : basename(path)}.${EXTENSIONS[format]}`);

/** A file appears whole or not at all, so that an interrupted run can be taken up again. */
async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.tmp`, text.endsWith("\n") ? text : `${text}\n`);
  await rename(`${path}.tmp`, path);
}

async function withoutDone(paths: readonly string[], folder: string, format: TranscriptFormat): Promise<string[]> {
  const isDone = await Promise.all(
    paths.map((path) =>
      stat(outPath(path, folder, format)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return paths.filter((_, i) => !isDone[i]);
}

/** A file's own error stops only that file; anything that is not one of ours is a bug and passes. */
function asError(error: unknown): Error {
  if (isSpeechError(error)) return error;
  throw error;
}
