import { type Calibration, formatTranscript, type SpeechError, transcriptJson } from "@nemo-stt/core";
import { type LoadModelOptions, readCalibration } from "@nemo-stt/node";
import { EXTENSIONS, type TranscribeFlags } from "../commands/transcribe.ts";
import type { Console } from "../console.ts";
import { throwIfFailed, UsageError } from "../failures.ts";
import { errorText, longFormNote, printable } from "../messages.ts";
import { precisionOf, rawFormatOf } from "../options.ts";
import { type Answer, type AnswerOptions, answersOf } from "./answers.ts";
import { isDone, type Output, outputFiles, writeWhole } from "./output-files.ts";
import { loadParallel, type ParallelRecognizer } from "./parallel.ts";
import { listRecordings, type NamedRecording } from "./recordings.ts";

/** Transcribes recordings in groups; an error of one leaves the others. */
export async function transcribe(paths: readonly string[], flags: TranscribeFlags, console: Console): Promise<void> {
  const recordings = await listRecordings(paths);
  if (recordings.length > 1 && !flags.out && ["srt", "vtt", "tsv"].includes(flags.format)) {
    throw new UsageError(
      `--format ${flags.format}: expected --out with ${recordings.length} recordings, got none: they could not be told apart. Name a folder.`,
    );
  }
  const outputs = flags.out ? outputFiles(recordings, flags.out, EXTENSIONS[flags.format]) : undefined;
  const todo = outputs ? await withoutDone(outputs, console) : recordings;
  if (todo.length === 0) return;
  const started = performance.now();
  const calibration = flags.calibration === undefined ? undefined : await readCalibration(flags.calibration);
  const options = answerOptions(flags, calibration);
  const model = await openWithBar(flags, console);
  const { recognizer } = model;
  const loadedSec = (performance.now() - started) / 1000;
  const bar = console.progress("transcribe", todo.length);
  const totals = { errors: [] as Error[], audioSec: 0, numDone: 0 };
  const before = performance.now();
  try {
    // A head or context that the model does not have is refused before anything is read.
    await recognizer.transcribe([], options.decode);
    const files = new Map(outputs?.map(({ recording, path }) => [recording.path, path]));
    for await (const answer of answersOf(model, todo, options)) {
      totals.audioSec += answer.results[0]?.durationSec ?? 0;
      if (answer.error) totals.errors.push(answer.error);
      const place = { file: files.get(answer.path), isOneOfMany: recordings.length > 1 };
      await writeAnswer(answer, flags, place, console);
      bar.update(++totals.numDone);
    }
  } finally {
    bar.stop();
    await model.close();
  }
  if (flags.verbose || flags.out) {
    const wallSec = (performance.now() - before) / 1000;
    const numGood = todo.length - totals.errors.length;
    const speed = `${totals.audioSec.toFixed(1)} s of sound in ${wallSec.toFixed(2)} s (${(totals.audioSec / wallSec).toFixed(0)} × real time)`;
    console.err(
      `${recognizer.name}: ${numGood} of ${todo.length} recordings, ${speed}, model loaded in ${loadedSec.toFixed(2)} s.`,
    );
  }
  throwIfFailed(totals.errors, recordings.length);
}

async function withoutDone(outputs: readonly Output[], console: Console): Promise<NamedRecording[]> {
  const done = await Promise.all(outputs.map(isDone));
  const numDone = done.filter(Boolean).length;
  if (numDone > 0) console.err(`${numDone} of ${outputs.length} recordings are done already.`);
  return outputs.filter((_, i) => !done[i]).map(({ recording }) => recording);
}

async function openWithBar(flags: TranscribeFlags, console: Console): Promise<ParallelRecognizer> {
  let bar: ReturnType<Console["progress"]> | undefined;
  try {
    const options: LoadModelOptions = {
      numThreads: flags.threads,
      precision: precisionOf(flags.quantize),
      onWarning: console.err,
      onExport: ({ writtenBytes, totalBytes }) => {
        bar ??= console.progress("prepare model", totalBytes);
        bar.update(writtenBytes);
      },
    };
    return await loadParallel(flags.model, options, flags.workers);
  } finally {
    bar?.stop();
  }
}

/** How recordings are read, and decoded. */
function answerOptions(flags: TranscribeFlags, calibration: Calibration | undefined): AnswerOptions {
  const { channels, head, attContext, timestamps, workers } = flags;
  const raw = rawFormatOf(flags);
  return {
    read: { channels, ...(raw ? { raw } : {}) },
    decode: { head, attContext, timestamps, calibration },
    numAtOnce: workers,
  };
}

async function writeAnswer(
  { path, results, warnings, error }: Answer,
  { format, verbose = false }: TranscribeFlags,
  { file, isOneOfMany }: { file: string | undefined; isOneOfMany: boolean },
  console: Console,
): Promise<void> {
  const name = path === "-" ? "stdin" : path;
  const note = longFormNote(results[0]?.longForm ?? "whole", verbose);
  for (const warning of note ? [...warnings, note] : warnings) console.err(`${printable(name)}: ${warning}`);
  if (error) {
    if (isOneOfMany) console.err(`nemo-stt: ${errorText(error)}`);
    if (format === "json" && !file) console.out(JSON.stringify({ name, error: jsonError(error) }));
    return;
  }
  const channels = results.map((transcript, i) => ({ ...(results.length > 1 ? { channel: i + 1 } : {}), transcript }));
  // A line of JSON a recording, so that many can be read one by one.
  const text =
    format === "json"
      ? `${JSON.stringify(transcriptJson({ name, channels }))}\n`
      : formatTranscript({ name, channels }, format);
  if (file) return writeWhole(file, text);
  const lines = text.replace(/\n$/, "");
  console.out(format === "text" && isOneOfMany ? prefixLines(printable(name), lines) : lines);
}

const jsonError = ({ code, message }: SpeechError) => ({ code, message });

const prefixLines = (name: string, text: string) =>
  text
    .split("\n")
    .map((line) => `${name}: ${line}`)
    .join("\n");
