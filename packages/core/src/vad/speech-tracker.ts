import type { SegmentOptions } from "./segments.ts";

/** Where a live recording stands between speech and silence: plain data. */
export interface SavedTracker {
  /** Positions taken so far. */
  readonly numPositions: number;
  /** True from `onset` on until a position is below `offset`. */
  readonly isSpeech: boolean;
  /** The stretch under way or the last one, gaps closed; undefined where there was none. */
  readonly startSec: number | undefined;
  readonly endSec: number | undefined;
  /** End of the last stretch that was long enough. */
  readonly lastEndSec: number;
}

/** Follows speech position by position, by the rules of `speechSegments`. */
export interface SpeechTracker {
  /** What the positions so far decide about, in seconds from the start. */
  readonly decidedSec: number;
  /**
   * Silence at the end of what is decided, in seconds; 0 while somebody speaks. Speech that has not yet lasted
   * `minSpeechSec` is not counted as such, nor are gaps that are shorter than `minSilenceSec` taken out of it.
   */
  readonly silenceSec: number;
  push(probability: number): void;
  save(): SavedTracker;
}

/**
 * Makes a tracker, new or where it was saved. After any number of positions it says what `speechSegments` would say of
 * these positions alone.
 */
export function createSpeechTracker(hopSec: number, options: SegmentOptions, saved?: SavedTracker): SpeechTracker {
  const { onset, offset, minSpeechSec, minSilenceSec, windowSec } = options;
  const lead = (windowSec - hopSec) / 2;
  let { numPositions, isSpeech, startSec, endSec, lastEndSec } = saved ?? NEW_TRACKER;

  /** Middles of windows, as in `speechSegments`. */
  const at = (i: number) => (i === 0 ? 0 : i * hopSec + lead);
  const decidedSec = () => (numPositions === 0 ? 0 : (numPositions - 1) * hopSec + lead + hopSec);

  function begin(nowSec: number): void {
    isSpeech = true;
    const isGap = endSec !== undefined && nowSec - endSec < minSilenceSec;
    if (!isGap) startSec = nowSec;
  }

  function end(nowSec: number): void {
    isSpeech = false;
    endSec = nowSec;
    if (nowSec - (startSec ?? nowSec) >= minSpeechSec) lastEndSec = nowSec;
  }

  return {
    get decidedSec() {
      return decidedSec();
    },
    get silenceSec() {
      const now = decidedSec();
      if (isSpeech && now - (startSec ?? now) >= minSpeechSec) return 0;
      return now - lastEndSec;
    },
    push(probability) {
      const now = at(numPositions);
      if (!isSpeech && probability >= onset) begin(now);
      else if (isSpeech && probability < offset) end(now);
      numPositions++;
    },
    save: () => ({ numPositions, isSpeech, startSec, endSec, lastEndSec }),
  };
}

const NEW_TRACKER: SavedTracker = {
  numPositions: 0,
  isSpeech: false,
  startSec: undefined,
  endSec: undefined,
  lastEndSec: 0,
};
