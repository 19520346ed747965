import {
  type Calibration,
  formatTranscript,
  isSpeechError,
  type SpeechError,
  type TranscribeResult,
  transcriptJson,
} from "@nemo-stt/core";
import { type LoadModelOptions, readCalibration } from "@nemo-stt/node";
import { EXTENSIONS, type TranscribeFlags } from "../commands/transcribe.ts";
import type { Console } from "../console.ts";
import { throwIfFailed, UsageError } from "../failures.ts";
import { errorText, longFormNote, printable } from "../messages.ts";
import { precisionOf, rawFormatOf } from "../options.ts";
import { isDone, type Output, outputFiles, writeWhole } from "./output-files.ts";
import { loadParallel, type ParallelRecognizer } from "./parallel.ts";
import { listRecordings, type NamedRecording, type ReadOptions, type Recording, readRecording } from "./recordings.ts";

/** One recording's answer, or what went wrong with it. */
interface Answer {
  readonly path: string;
  readonly results: readonly TranscribeResult[];
  readonly warnings: readonly string[];
  readonly error?: SpeechError;
}

/** This much sound is read before it is recognised: batches want recordings of like length to choose from. */
const GROUP_SEC = 1200;

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
  const model = calibrated(await openWithBar(flags, console), calibration);
  const { recognizer } = model;
  const loadedSec = (performance.now() - started) / 1000;
  const bar = console.progress("transcribe", todo.length);
  const totals = { errors: [] as Error[], audioSec: 0, numDone: 0 };
  const before = performance.now();
  try {
    // A head or context that the model does not have is refused before anything is read.
    await recognizer.transcribe([], decodingOptions(flags));
    const files = new Map(outputs?.map(({ recording, path }) => [recording.path, path]));
    for await (const answer of answersOf(model, todo, flags)) {
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

/** A model whose confidences are probabilities, where there is a calibration. */
function calibrated(model: ParallelRecognizer, calibration: Calibration | undefined): ParallelRecognizer {
  if (!calibration) return model;
  return { ...model, transcribe: (waveforms, options) => model.transcribe(waveforms, { ...options, calibration }) };
}

const decodingOptions = ({ head, attContext, timestamps }: TranscribeFlags) => ({ head, attContext, timestamps });

type ReadRecording = Recording & { readonly path: string; readonly error?: SpeechError };

/** Answers in the order of the recordings, recognised in groups. */
async function* answersOf(
  model: ParallelRecognizer,
  recordings: readonly NamedRecording[],
  flags: TranscribeFlags,
): AsyncGenerator<Answer> {
  const rateHz = model.recognizer.spec.sampleRateHz;
  let group: ReadRecording[] = [];
  let groupSec = 0;
  for (const recording of recordings) {
    const read = await readOne(recording, rateHz, flags);
    group.push(read);
    groupSec += read.channels.reduce((sum, channel) => sum + channel.length, 0) / rateHz;
    if (groupSec < GROUP_SEC) continue;
    yield* recognise(model, group, flags);
    group = [];
    groupSec = 0;
  }
  yield* recognise(model, group, flags);
}

async function readOne(
  { path, error }: NamedRecording,
  rateHz: number,
  flags: TranscribeFlags,
): Promise<ReadRecording> {
  const nothing = { path, channels: [], warnings: [] };
  if (error) return { ...nothing, error };
  try {
    return { path, ...(await readRecording(path, rateHz, readOptions(flags))) };
  } catch (failure) {
    if (!isSpeechError(failure)) throw failure;
    return { ...nothing, error: failure };
  }
}

async function* recognise(
  model: ParallelRecognizer,
  group: readonly ReadRecording[],
  flags: TranscribeFlags,
): AsyncGenerator<Answer> {
  const options = decodingOptions(flags);
  try {
    const results = await model.transcribe(
      group.flatMap((recording) => recording.channels),
      options,
    );
    let next = 0;
    for (const { channels, ...recording } of group) {
      yield { ...recording, results: results.slice(next, next + channels.length) };
      next += channels.length;
    }
  } catch (error) {
    if (!isSpeechError(error)) throw error;
    if (group.length === 1) yield { ...group[0], results: [], error };
    // Which of them it was shows when each is alone.
    else for (const recording of group) yield* recognise(model, [recording], flags);
  }
}

function readOptions({ channels, ...flags }: TranscribeFlags): ReadOptions {
  const raw = rawFormatOf(flags);
  return { channels, ...(raw ? { raw } : {}) };
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
