import type { ResampleState, ResampleStream } from "../audio/resample.ts";
import type { Window } from "../decoding/windows.ts";
import type { WindowSteps } from "../recognition/long-form.ts";
import { createSampleBuffer, type SampleBuffer, type SavedSamples } from "./sample-buffer.ts";

/** What the sound of a buffered stream has to remember: plain data. */
export interface SavedBuffer {
  readonly resampler: ResampleState;
  readonly samples: SavedSamples;
  /** Where the next window's own sound begins. */
  readonly nextSample: number;
  readonly hasEnded: boolean;
}

/** A window whose sound has come. */
export interface ReadyWindow extends Window {
  /** A view that the next packet may overwrite. */
  readonly waveform: Float32Array;
}

/** The sound of one stream, cut into overlapping windows as it comes: those of `planWindows` over the whole recording. */
export interface WindowBuffer {
  readonly samples: SampleBuffer;
  readonly nextSample: number;
  /** Samples of the whole recording, once it has ended. */
  readonly endSample: number | undefined;
  /** True when the last window was taken. */
  readonly isDone: boolean;
  feed(samples: Float32Array): void;
  finish(): void;
  /** The next window, if it is complete. */
  next(): ReadyWindow | undefined;
  /** Goes on behind a window. */
  take(window: ReadyWindow): void;
  save(): SavedBuffer;
}

/**
 * Opens the sound of a stream, new or where it was saved.
 * @param listen hears the samples too, at the model's rate
 */
export function createWindowBuffer(
  rate: ResampleStream,
  sizes: WindowSteps,
  stepSamples: number,
  saved?: SavedBuffer,
  listen?: (samples: Float32Array) => void,
): WindowBuffer {
  const samples = createSampleBuffer(saved?.samples);
  const [left, chunk, right] = [sizes.leftSteps, sizes.chunkSteps, sizes.rightSteps].map((n) => n * stepSamples);
  let nextSample = saved?.nextSample ?? 0;
  let endSample = saved?.hasEnded ? samples.endSample : undefined;
  let isDone = false;

  return {
    samples,
    get nextSample() {
      return nextSample;
    },
    get endSample() {
      return endSample;
    },
    get isDone() {
      return isDone || (endSample !== undefined && endSample === 0);
    },
    feed(packet) {
      const resampled = rate.feed(packet);
      listen?.(resampled);
      samples.append(resampled);
    },
    finish() {
      samples.append(rate.finish());
      endSample = samples.endSample;
    },
    next() {
      const fullEnd = nextSample + chunk + right;
      // One sample more tells that this is not the last window, which keeps all that is left.
      const isLast = endSample !== undefined && fullEnd >= endSample;
      if (isDone || endSample === 0 || (!isLast && samples.endSample <= fullEnd)) return undefined;
      const startSample = Math.max(0, nextSample - left);
      const end = Math.min(fullEnd, samples.endSample);
      const firstStep = (nextSample - startSample) / stepSamples;
      return {
        startSample,
        endSample: end,
        firstStep,
        endStep: isLast ? undefined : firstStep + sizes.chunkSteps,
        startStep: nextSample / stepSamples,
        waveform: samples.view(startSample, end),
      };
    },
    take({ endStep }) {
      isDone = endStep === undefined;
      nextSample += chunk;
      samples.dropBefore(nextSample - left);
    },
    save: () => ({
      resampler: rate.save(),
      samples: samples.save(),
      nextSample,
      hasEnded: endSample !== undefined,
    }),
  };
}
