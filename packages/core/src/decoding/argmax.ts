import { SpeechError } from "../errors.ts";

/**
 * The index of the largest of `values[start … end)`, relative to `start`; the first one where several are equal.
 * @throws SpeechError `RUNTIME_FAILED` when there is no number among them: a decoder must not take NaN for a token.
 */
export function argmax(values: Float32Array, start: number, end: number, where: string): number {
  let best = -Infinity;
  let index = -1;
  for (let i = start; i < end; i++) {
    const value = values[i];
    if (value > best) {
      best = value;
      index = i;
    }
  }
  if (index < 0) {
    throw new SpeechError(
      "RUNTIME_FAILED",
      `${where}: expected ${end - start} numbers, got none (NaN or -Infinity). The model's weights or the recording hold values that are not numbers.`,
    );
  }
  return index - start;
}
