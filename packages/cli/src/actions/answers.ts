import {
  isSpeechError,
  openTranscription,
  type SpeechError,
  type TranscribeOptions,
  type TranscribeResult,
} from "@nemo-stt/core";
import type { ParallelRecognizer } from "./parallel.ts";
import { type NamedRecording, type OpenRecording, openRecording, type ReadOptions } from "./recordings.ts";

/** One recording's answer, or what went wrong with it. */
export interface Answer {
  readonly path: string;
  /** One for each channel that was asked for. */
  readonly results: readonly TranscribeResult[];
  readonly warnings: readonly string[];
  readonly error?: SpeechError;
}

/** How recordings are read, and decoded. */
export interface AnswerOptions {
  readonly read: ReadOptions;
  readonly decode: TranscribeOptions;
  /** Long recordings that are recognised side by side. */
  readonly numAtOnce: number;
}

/** This much sound is read before it is recognised: batches want recordings of like length to choose from. */
const GROUP_SEC = 600;
/** Longer recordings are recognised while they are read, so that none has to fit into memory. */
const LONG_SEC = 300;

/** What was read of a recording: all of it, or the beginning of a long one. */
interface ReadRecording {
  readonly path: string;
  readonly channels: readonly Float32Array[];
  readonly warnings: readonly string[];
  /** What a long one has behind `channels`. */
  readonly rest?: OpenRecording;
  readonly error?: SpeechError;
}

/** Answers in the order of the recordings, recognised in groups. */
export async function* answersOf(
  model: ParallelRecognizer,
  recordings: readonly NamedRecording[],
  options: AnswerOptions,
): AsyncGenerator<Answer> {
  const rateHz = model.recognizer.spec.sampleRateHz;
  let group: ReadRecording[] = [];
  const isFull = () => {
    const numLong = group.filter(({ rest }) => rest).length;
    const numSamples = group.flatMap(({ channels }) => channels).reduce((sum, { length }) => sum + length, 0);
    return numLong >= options.numAtOnce || (numLong === 0 && numSamples >= GROUP_SEC * rateHz);
  };
  for (const recording of recordings) {
    group.push(await readOne(recording, rateHz, options.read));
    if (!isFull()) continue;
    yield* recognise(model, group, options.decode);
    group = [];
  }
  yield* recognise(model, group, options.decode);
}

async function readOne({ path, error }: NamedRecording, rateHz: number, options: ReadOptions): Promise<ReadRecording> {
  const nothing = { path, channels: [], warnings: [] };
  if (error) return { ...nothing, error };
  try {
    const opened = await openRecording(path, rateHz, options);
    const channels = await opened.read(LONG_SEC * rateHz);
    if (!opened.hasEnded) return { path, channels, warnings: [], rest: opened };
    await opened.close();
    return { path, channels, warnings: opened.warnings };
  } catch (failure) {
    if (!isSpeechError(failure)) throw failure;
    return { ...nothing, error: failure };
  }
}

async function* recognise(
  model: ParallelRecognizer,
  group: readonly ReadRecording[],
  options: TranscribeOptions,
): AsyncGenerator<Answer> {
  const isLong = ({ rest }: ReadRecording) => rest !== undefined;
  const answers = new Map<ReadRecording, Answer>();
  const keep = ([recording, answer]: [ReadRecording, Answer]) => answers.set(recording, answer);
  const short = group.filter((recording) => !isLong(recording));
  for (const each of await recogniseShort(model, short, options)) keep(each);
  // All are waited for, so that none goes on behind an error.
  const long = await Promise.allSettled(
    group.filter(isLong).map(async (each) => keep([each, await recogniseLong(model, each, options)])),
  );
  for (const each of long) if (each.status === "rejected") throw each.reason;
  for (const recording of group) yield answers.get(recording) as Answer;
}

async function recogniseShort(
  model: ParallelRecognizer,
  group: readonly ReadRecording[],
  options: TranscribeOptions,
): Promise<[ReadRecording, Answer][]> {
  try {
    const waveforms = group.flatMap(({ channels }) => channels);
    const results = await model.transcribe(waveforms, options);
    let next = 0;
    return group.map((recording) => {
      const { channels, path, warnings, error } = recording;
      const own = results.slice(next, next + channels.length);
      next += channels.length;
      return [recording, { path, warnings, results: own, ...(error && { error }) }];
    });
  } catch (error) {
    if (!isSpeechError(error)) throw error;
    const [{ path, warnings }] = group;
    if (group.length === 1) return [[group[0], { path, warnings, results: [], error }]];
    // Which of them it was shows when each is alone.
    const all: [ReadRecording, Answer][] = [];
    for (const recording of group) all.push(...(await recogniseShort(model, [recording], options)));
    return all;
  }
}

/** Some seconds at a time, so that the memory of a window is all that is needed. */
const PART_SEC = 10;

async function recogniseLong(
  { recognizer }: ParallelRecognizer,
  { path, channels, rest }: ReadRecording,
  options: TranscribeOptions,
): Promise<Answer> {
  const opened = rest as OpenRecording;
  try {
    const transcriptions = channels.map(() => openTranscription(recognizer, options));
    let part = channels;
    for (;;) {
      for (const [i, transcription] of transcriptions.entries()) await transcription.feed(part[i]);
      if (opened.hasEnded) break;
      part = await opened.read(PART_SEC * recognizer.spec.sampleRateHz);
    }
    const results: TranscribeResult[] = [];
    for (const transcription of transcriptions) results.push(await transcription.finish());
    return { path, results, warnings: opened.warnings };
  } catch (error) {
    if (!isSpeechError(error)) throw error;
    return { path, results: [], warnings: [], error };
  } finally {
    await opened.close();
  }
}
