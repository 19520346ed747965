import { type AlignmentRow, alignSequences } from "./align.ts";
import { type NormalizerName, splitWords } from "./normalize.ts";

/** Errors of a hypothesis against a reference, in words or characters. */
export interface ErrorCounts {
  readonly substitutions: number;
  readonly deletions: number;
  readonly insertions: number;
  /** Words or characters of the reference. */
  readonly numReference: number;
}

/** Counted errors and, row by row, what stands against what. */
export interface Comparison extends ErrorCounts {
  readonly rows: readonly AlignmentRow[];
}

/** No errors in nothing: where adding up begins. */
export const NO_ERRORS: ErrorCounts = { substitutions: 0, deletions: 0, insertions: 0, numReference: 0 };

/**
 * Compares two texts word by word.
 * @throws SpeechError `LIMIT_EXCEEDED` as `alignSequences`.
 */
export function compareWords(reference: string, hypothesis: string, normalizer: NormalizerName): Comparison {
  return countErrors(alignSequences(splitWords(reference, normalizer), splitWords(hypothesis, normalizer)));
}

/**
 * Compares two texts character by character, the spaces between words included (as NeMo's `use_cer`).
 * @throws SpeechError `LIMIT_EXCEEDED` as `alignSequences`.
 */
export function compareCharacters(reference: string, hypothesis: string, normalizer: NormalizerName): Comparison {
  const characters = (text: string) => [...splitWords(text, normalizer).join(" ")];
  return countErrors(alignSequences(characters(reference), characters(hypothesis)));
}

/** The errors of two comparisons together. */
export function addErrors(a: ErrorCounts, b: ErrorCounts): ErrorCounts {
  return {
    substitutions: a.substitutions + b.substitutions,
    deletions: a.deletions + b.deletions,
    insertions: a.insertions + b.insertions,
    numReference: a.numReference + b.numReference,
  };
}

/** Errors for each word or character of the reference; infinite where errors stand against nothing, as NeMo has it. */
export function errorRate({ substitutions, deletions, insertions, numReference }: ErrorCounts): number {
  const errors = substitutions + deletions + insertions;
  return errors === 0 ? 0 : errors / numReference;
}

function countErrors(rows: readonly AlignmentRow[]): Comparison {
  const count = (kind: AlignmentRow["kind"]) => rows.filter((row) => row.kind === kind).length;
  const insertions = count("insertion");
  return {
    substitutions: count("substitution"),
    deletions: count("deletion"),
    insertions,
    numReference: rows.length - insertions,
    rows,
  };
}
