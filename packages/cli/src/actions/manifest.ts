import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import {
  addErrors,
  type Comparison,
  compareCharacters,
  compareWords,
  type ErrorCounts,
  errorRate,
  isSpeechError,
  type JudgedTranscript,
  judgeTranscript,
  NO_ERRORS,
  type NormalizerName,
  type Recognizer,
  SpeechError,
} from "@nemo-stt/core";
import type { DecodingFlags } from "../options.ts";
import { notFound, readWaveform } from "./recordings.ts";

/** One line of a NeMo manifest. */
export interface ManifestEntry {
  readonly path: string;
  /** As the manifest has it. */
  readonly name: string;
  readonly text: string;
  readonly source: string;
}

/** A recording's text, compared with the manifest's. */
export interface Scored extends ManifestEntry {
  readonly hypothesis: string;
  /** Which of its answers are right, and how sure each was. */
  readonly judged: JudgedTranscript;
  readonly words: Comparison;
  readonly chars: ErrorCounts;
}

/**
 * Reads a NeMo manifest.
 * @throws SpeechError `NOT_FOUND`, `FORMAT_INVALID` naming the line
 */
export async function readManifest(path: string): Promise<ManifestEntry[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw notFound(path, "a manifest", cause);
  });
  const entries = text
    .replace(/^\ufeff/, "")
    .split("\n")
    .flatMap((line, i) => (line.trim() === "" ? [] : [parseEntry(path, line.trim(), i + 1)]));
  if (entries.length > 0) return entries;
  throw new SpeechError(
    "FORMAT_INVALID",
    `${path}: expected a JSON object a line with audio_filepath and text, got an empty file. Write one for each recording.`,
  );
}

function parseEntry(manifest: string, line: string, number: number): ManifestEntry {
  let value: { audio_filepath?: unknown; text?: unknown; source?: unknown } | null = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Told below, together with objects that lack a field.
  }
  const { audio_filepath: name, text, source } = value ?? {};
  if (typeof name !== "string" || typeof text !== "string") {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${manifest}:${number}: expected a JSON object with audio_filepath and text, got ${line.slice(0, 60)}. Write one object a line.`,
    );
  }
  return { path: resolve(dirname(manifest), name), name, text, source: typeof source === "string" ? source : "all" };
}

/** Recordings that are read and recognised together. */
const GROUP_SIZE = 64;

/** How recordings are scored. */
export interface ScoreOptions extends DecodingFlags {
  readonly normalizer: NormalizerName;
  /** What is odd about a recording. */
  readonly onWarning: (text: string) => void;
  readonly onProgress: (numDone: number) => void;
}

/** Transcribes a manifest's recordings and compares the texts; recordings that cannot be read are in `failures`. */
export async function scoreManifest(
  recognizer: Recognizer,
  entries: readonly ManifestEntry[],
  { normalizer, head, attContext, onWarning, onProgress }: ScoreOptions,
): Promise<{ scored: Scored[]; failures: SpeechError[] }> {
  const scored: Scored[] = [];
  const failures: SpeechError[] = [];
  for (let start = 0; start < entries.length; start += GROUP_SIZE) {
    const group: { entry: ManifestEntry; waveform: Float32Array }[] = [];
    for (const entry of entries.slice(start, start + GROUP_SIZE)) {
      try {
        group.push({ entry, waveform: await readWaveform(entry.path, recognizer.spec.sampleRateHz, onWarning) });
      } catch (error) {
        if (!isSpeechError(error)) throw error;
        failures.push(error);
      }
    }
    const waveforms = group.map(({ waveform }) => waveform);
    const results = await recognizer.transcribe(waveforms, { head, attContext });
    for (const [i, { entry }] of group.entries()) {
      const hypothesis = results[i].text;
      const judged = judgeTranscript(results[i], entry.text, normalizer, (id) => recognizer.tokenizer.startsWord(id));
      const words = compareWords(entry.text, hypothesis, normalizer);
      scored.push({
        ...entry,
        hypothesis,
        judged,
        words,
        chars: compareCharacters(entry.text, hypothesis, normalizer),
      });
    }
    onProgress(Math.min(entries.length, start + GROUP_SIZE));
  }
  return { scored, failures };
}

/** Counts of several recordings together, and their rate. */
export function totalErrors(counts: readonly ErrorCounts[]): ErrorCounts & { readonly rate: number } {
  const { substitutions, deletions, insertions, numReference } = counts.reduce(addErrors, NO_ERRORS);
  const sum = { substitutions, deletions, insertions, numReference };
  return { ...sum, rate: errorRate(sum) };
}

/** A rate in percent, or what it is when nothing was said and something was found. */
export const percent = (rate: number): string => (Number.isFinite(rate) ? `${(100 * rate).toFixed(2)} %` : "no words");
