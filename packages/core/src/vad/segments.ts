/** A stretch of speech. */
export interface SpeechSegment {
  readonly startSec: number;
  readonly endSec: number;
}

/** How probabilities become stretches (NeMo vad_utils.py: hysteresis, then filters by duration). */
export interface SegmentOptions {
  /** Speech begins at or above this… */
  readonly onset: number;
  /** …and ends below this. */
  readonly offset: number;
  readonly minSpeechSec: number;
  /** Shorter gaps between two stretches are closed. */
  readonly minSilenceSec: number;
  /** What one position covers: a step, or a window that starts at its position. */
  readonly windowSec: number;
}

/** Stretches of speech from probabilities every `hopSec`. */
export function speechSegments(
  probability: ArrayLike<number>,
  hopSec: number,
  options: SegmentOptions,
): SpeechSegment[] {
  const raw: SpeechSegment[] = [];
  let start: number | undefined;
  // A window's probability stands for its middle; a step is its own middle.
  const lead = (options.windowSec - hopSec) / 2;
  const at = (i: number) => (i === 0 ? 0 : i * hopSec + lead);
  for (let i = 0; i < probability.length; i++) {
    if (start === undefined && probability[i] >= options.onset) start = at(i);
    else if (start !== undefined && probability[i] < options.offset) {
      raw.push({ startSec: start, endSec: at(i) });
      start = undefined;
    }
  }
  if (start !== undefined) raw.push({ startSec: start, endSec: (probability.length - 1) * hopSec + options.windowSec });
  const joined: SpeechSegment[] = [];
  for (const segment of raw) {
    const last = joined.at(-1);
    if (last && segment.startSec - last.endSec < options.minSilenceSec) {
      joined[joined.length - 1] = { startSec: last.startSec, endSec: segment.endSec };
    } else joined.push(segment);
  }
  return joined.filter(({ startSec, endSec }) => endSec - startSec >= options.minSpeechSec);
}
