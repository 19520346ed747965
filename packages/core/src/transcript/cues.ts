import type { TimedText, Transcript } from "./transcript.ts";

/** Limits of subtitle cues. */
export interface CueOptions {
  /** Characters of a line. */
  readonly maxLineChars?: number;
  readonly maxLines?: number;
  readonly maxSec?: number;
  /** A cue is shown at least so long, as far as the next one leaves room. */
  readonly minSec?: number;
  /** A pause between words that ends a cue. */
  readonly maxPauseSec?: number;
}

/** One subtitle: at most `maxLines` lines. */
export interface Cue {
  readonly startSec: number;
  readonly endSec: number;
  readonly lines: readonly string[];
}

/** What subtitle guides agree on: two lines of 42 characters, at most 7 seconds (Netflix and BBC guides: 42 or 37). */
const DEFAULTS: Required<CueOptions> = { maxLineChars: 42, maxLines: 2, maxSec: 7, minSec: 1, maxPauseSec: 1.5 };

const SENTENCE_END = /[.?!…。？！।؟]["'”’)\]]*$/u;

/**
 * Subtitle cues of a transcript, made of its words: a cue ends with a sentence, at a pause, or before the limits are
 * passed. Words longer than a line (languages without spaces) are cut, with times in proportion to the characters.
 * Cues are in order and do not overlap.
 */
export function buildCues(transcript: Pick<Transcript, "words">, options: CueOptions = {}): Cue[] {
  const limits = checked({ ...DEFAULTS, ...options });
  const words = transcript.words
    .map((word) => ({ ...word, text: word.text.replaceAll(/\s+/gu, " ").trim() }))
    .filter((word) => word.text !== "")
    .flatMap((word) => cutWord(word, limits.maxLineChars));
  const groups: TimedText[][] = [];
  for (const word of words) {
    const group = groups.at(-1);
    if (group && isContinued(group, word, limits)) group.push(word);
    else groups.push([word]);
  }
  return groups.map((group, i) => {
    const startSec = group[0].startSec;
    const endSec = group[group.length - 1].endSec;
    const nextSec = groups[i + 1]?.[0].startSec ?? Infinity;
    const lines = breakLines(group, limits.maxLineChars);
    const shownSec = Math.min(Math.max(endSec, startSec + limits.minSec), nextSec);
    return { startSec, endSec: Math.max(startSec, shownSec), lines };
  });
}

function checked(limits: Required<CueOptions>): Required<CueOptions> {
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0))
      throw new RangeError(`options.${name}: expected a number above 0, got ${value}. Leave it out, or give one.`);
  }
  return limits;
}

/** True where a word still belongs to the cue before it. */
function isContinued(group: readonly TimedText[], word: TimedText, limits: Required<CueOptions>): boolean {
  const last = group[group.length - 1];
  if (SENTENCE_END.test(last.text)) return false;
  if (word.startSec - last.endSec > limits.maxPauseSec) return false;
  if (word.endSec - group[0].startSec > limits.maxSec) return false;
  return breakLines([...group, word], limits.maxLineChars).length <= limits.maxLines;
}

/** Lines of at most so many characters, filled one after another. */
function breakLines(words: readonly TimedText[], maxLineChars: number): string[] {
  const lines: string[] = [];
  let length = 0;
  for (const { text } of words) {
    const added = countChars(text) + 1;
    if (lines.length > 0 && length + added <= maxLineChars) {
      lines[lines.length - 1] += ` ${text}`;
      length += added;
    } else {
      lines.push(text);
      length = added - 1;
    }
  }
  return lines;
}

/** A word in parts of at most a line, each with its share of the time. */
function cutWord(word: TimedText, maxLineChars: number): TimedText[] {
  const chars = [...word.text];
  if (chars.length <= maxLineChars) return [word];
  const at = (index: number) => {
    const share = Math.min(index, chars.length) / chars.length;
    return word.startSec + share * (word.endSec - word.startSec);
  };
  const parts: TimedText[] = [];
  for (let start = 0; start < chars.length; start += maxLineChars) {
    const end = start + maxLineChars;
    parts.push({ ...word, text: chars.slice(start, end).join(""), startSec: at(start), endSec: at(end) });
  }
  return parts;
}

function countChars(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
