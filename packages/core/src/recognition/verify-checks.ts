import type { FeatureExtractor } from "../features/extractor.ts";
import type { Tensor } from "../tensor.ts";
import type { AcousticModel } from "./acoustic.ts";
import type { ModelPackage } from "./package.ts";

/** Largest allowed absolute differences, as the reference files' own notes give them. */
export const TOLERANCES = {
  features: 2e-4,
  encoder: 1e-4,
  log_probs: 5e-4,
  prediction: 1e-5,
  joint: 5e-4,
  logits: 1e-3,
  speech_probability: 1e-3,
  confidence: 1e-4,
  /** A sum over tokens: for each of them, on the average. */
  score: 1e-4,
} as const;

/** One comparison: of numbers within a tolerance, or of things that must be identical. */
export interface Check {
  /** `clip0`, `batch[2]`, `context 70,13 clip1`, `transcribe ctc clip2`. */
  readonly where: string;
  readonly stage: string;
  readonly isOk: boolean;
  /** Largest absolute difference; undefined for things that must be identical. */
  readonly difference?: number;
  readonly tolerance?: number;
  /** What differs, where something does. */
  readonly detail?: string;
  /**
   * For things that differ and count as ok all the same: by how much our best choice led where the tokens part. It is less
   * than the tolerance of the numbers that it was made from, so either choice is right.
   */
  readonly nearTie?: number;
}

/** A reference: tensors and facts that NeMo computed from the same checkpoint and the same waveforms. */
export interface Reference {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** `reference.json` as it stands. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Waveforms by the name that tensors and facts have for them: `clip0`. */
  readonly recordings: ReadonlyMap<string, Float32Array>;
}

/** What is compared, and with what. */
export interface Verification {
  readonly model: ModelPackage;
  readonly acoustic: AcousticModel;
  readonly extractor: FeatureExtractor;
  readonly reference: Reference;
}

/** The recordings that a reference was made from, in the order of its batch. */
export interface ReferenceRecordings {
  /** The folder that the reference names for them, if it names one. */
  readonly folder: string | undefined;
  readonly files: readonly { readonly name: string; readonly file: string }[];
}

/**
 * Tells which recordings a reference needs: `about.clips` or the files of `clips` are `clip0`, `clip1`, …; without such a
 * list every name of a tensor `NAME.features` stands for the file `NAME.wav`.
 */
export function referenceRecordings(
  facts: Readonly<Record<string, unknown>>,
  tensorNames: Iterable<string>,
): ReferenceRecordings {
  const about = facts.about as { clips?: unknown; clips_folder?: unknown } | undefined;
  const folder = typeof about?.clips_folder === "string" ? about.clips_folder : undefined;
  const listed = about?.clips ?? facts.clips;
  if (Array.isArray(listed)) {
    const fileOf = (clip: unknown) => (typeof clip === "object" && clip !== null && "file" in clip ? clip.file : clip);
    return { folder, files: listed.map((clip: unknown, i) => ({ name: `clip${i}`, file: String(fileOf(clip)) })) };
  }
  const names = [...tensorNames].flatMap((name) => /^(\w+)\.features$/.exec(name)?.[1] ?? []);
  return {
    folder,
    files: names.filter((name) => name !== "batch").map((name) => ({ name, file: `${name}.wav` })),
  };
}

/** Compares with a tensor; nothing where the reference has none. */
export function compareTensor(
  where: string,
  stage: keyof typeof TOLERANCES,
  data: ArrayLike<number>,
  expected: Tensor | undefined,
): Check[] {
  return expected ? [compareNumbers(where, stage, data, expected.data as Float32Array)] : [];
}

/** Compares numbers within their stage's tolerance; NaN is equal to NaN, which NeMo gives for recordings too short. */
export function compareNumbers(
  where: string,
  stage: keyof typeof TOLERANCES,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number = TOLERANCES[stage],
): Check {
  if (found.length !== expected.length) {
    const detail = `${found.length} numbers, ${expected.length} in the reference`;
    return { where, stage, isOk: false, tolerance, detail };
  }
  let difference = 0;
  for (let i = 0; i < found.length; i++) {
    if (Number.isNaN(found[i]) && Number.isNaN(expected[i])) continue;
    // NaN stays: it must not pass for small.
    difference = Math.max(difference, Math.abs(found[i] - expected[i]));
  }
  return { where, stage, isOk: difference <= tolerance, difference, tolerance };
}

/** Compares what must be identical. */
export function compareEqual(where: string, stage: string, found: unknown, expected: unknown): Check {
  const own = JSON.stringify(found);
  const theirs = JSON.stringify(expected);
  return own === theirs
    ? { where, stage, isOk: true }
    : { where, stage, isOk: false, detail: `${cut(own)} instead of ${cut(theirs)}` };
}

/** The check of something that follows from tokens which a near-tie decided. */
export function excused(check: Check, nearTie: number | undefined): Check {
  return check.isOk || nearTie === undefined ? check : { ...check, isOk: true, nearTie };
}

const cut = (text: string | undefined): string =>
  text === undefined ? "nothing" : text.length > 160 ? `${text.slice(0, 160)}…` : text;
