import type { TimedText } from "../transcript/transcript.ts";

/** A lane that looks ahead less finds the same token up to this much later. */
const LAG_STEPS = 6;

/**
 * The words that a faster lane has found beyond a slower one's end.
 *
 * The faster lane emits a word's tokens a little later than the slower one, so that its first words may be the slower
 * one's last: these are left out where they are the same or begin the same.
 * @param last the slower lane's last word
 * @param endStep steps that the slower lane has heard
 */
export function joinFastWords(
  last: Pick<TimedText, "text" | "startStep"> | undefined,
  fast: readonly TimedText[],
  endStep: number,
): readonly TimedText[] {
  return fast.filter((word, i) => {
    if (word.endStep <= endStep) return false;
    const isLate = i < 2 && last !== undefined && word.startStep - last.startStep <= LAG_STEPS;
    return !(isLate && (last.text.startsWith(word.text) || word.text.startsWith(last.text)));
  });
}
