/** Sizes of the overlapping windows that a long recording is cut into; all of them multiples of `stepSamples`. */
export interface WindowSizes {
  /** What the encoder hears before the steps that are kept. */
  readonly leftSamples: number;
  /** What each window adds. */
  readonly chunkSamples: number;
  /** What the encoder hears after the steps that are kept. */
  readonly rightSamples: number;
  /** Samples of one encoder step. */
  readonly stepSamples: number;
}

/** One window of a long recording: what to encode, and which of the steps to decode. */
export interface Window {
  readonly startSample: number;
  readonly endSample: number;
  /** The first step to keep, counted in this window's encoder output. */
  readonly firstStep: number;
  /** One past the last step to keep; undefined in the last window, where all steps to the end are kept. */
  readonly endStep: number | undefined;
  /** The number in the whole recording of the first step that is kept. */
  readonly startStep: number;
}

/**
 * Cuts a long recording into overlapping windows. Decoding the kept steps one window after another, with the decoder's
 * state carried over, covers every step of the recording exactly once.
 *
 * As NeMo's buffered inference (`StreamingBatchedAudioBuffer`, streaming_utils.py 3.0.0): each window holds left
 * context, a chunk and right context; the last one keeps all that is left, which may be as long as chunk and right
 * context together. Unlike there, the last window starts on a step too, so that all steps stand on one grid.
 * @throws RangeError for sizes that are not multiples of the step, or an empty chunk.
 */
export function planWindows(numSamples: number, sizes: WindowSizes): Window[] {
  checkSizes(numSamples, sizes);
  const { leftSamples, chunkSamples, rightSamples, stepSamples } = sizes;
  const windows: Window[] = [];
  for (let chunkStart = 0; chunkStart < numSamples; chunkStart += chunkSamples) {
    const startSample = Math.max(0, chunkStart - leftSamples);
    const fullEnd = chunkStart + chunkSamples + rightSamples;
    const isLast = fullEnd >= numSamples;
    const firstStep = (chunkStart - startSample) / stepSamples;
    windows.push({
      startSample,
      endSample: Math.min(fullEnd, numSamples),
      firstStep,
      endStep: isLast ? undefined : firstStep + chunkSamples / stepSamples,
      startStep: chunkStart / stepSamples,
    });
    if (isLast) break;
  }
  return windows;
}

function checkSizes(numSamples: number, sizes: WindowSizes): void {
  const { leftSamples, chunkSamples, rightSamples, stepSamples } = sizes;
  if (!(Number.isInteger(numSamples) && numSamples >= 0)) {
    throw new RangeError(`planWindows: expected a whole number of samples, got ${numSamples}.`);
  }
  if (!(Number.isInteger(stepSamples) && stepSamples >= 1)) {
    throw new RangeError(
      `planWindows: stepSamples: expected a whole number from 1 up, got ${stepSamples}. Mend the sizes.`,
    );
  }
  for (const [name, value] of Object.entries({ leftSamples, chunkSamples, rightSamples })) {
    if (!(value >= 0 && value % stepSamples === 0)) {
      throw new RangeError(
        `planWindows: ${name}: expected a multiple of stepSamples (${stepSamples}), got ${value}. Mend the sizes.`,
      );
    }
  }
  if (chunkSamples === 0)
    throw new RangeError("planWindows: chunkSamples: expected a number above 0, got 0. Mend the sizes.");
}
