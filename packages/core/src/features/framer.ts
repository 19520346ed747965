import type { FrameGeometry } from "./geometry.ts";

/** Receives one frame: `signal[start, start + fftSize)`, valid during the call. */
export type FrameSink = (signal: Float64Array, start: number) => void;

/** The part of a framer that must survive a pause: plain data. */
export interface FramerState {
  /** Pre-emphasised samples from the first that is still needed; padding included. */
  readonly tail: Float32Array;
  /** Position of `tail[0]` in the padded signal. */
  readonly tailStart: number;
  readonly previousSample: number;
  readonly numSamples: number;
  readonly numFrames: number;
}

/**
 * Pre-emphasises and pads a signal that arrives in pieces and cuts it into overlapping frames. A frame is handed out
 * when nothing that follows can change it, so frames do not depend on how the signal was cut.
 */
export interface Framer {
  feed(samples: Float32Array, start: number, end: number, sink: FrameSink): void;
  /** Hands out the frames `[numFrames, totalFrames)` with the padding that stands behind the signal. */
  finish(totalFrames: number, sink: FrameSink): void;
  numSamples(): number;
  numFrames(): number;
  /** Also gives back the memory that no sample needs: a stream that is saved may rest. */
  save(): FramerState;
  reset(): void;
}

/** Samples taken in at a time: small enough for the first-level cache, large enough to make compaction rare. */
const BLOCK_SAMPLES = 1024;

/** Creates a framer at the beginning of a signal, or where `state` was saved. */
export function createFramer(geometry: FrameGeometry, state?: FramerState): Framer {
  const { fftSize, hopSamples, padSamples, padding } = geometry;
  const lookahead = geometry.lookaheadSamples;
  // The last samples are kept for the reflection and the mask even where frames lie farther apart than they are long.
  const keepBehind = padding === "reflect" ? padSamples + 1 : geometry.maskedSamples;
  const emphasis = Math.fround(geometry.preEmphasis ?? 0);
  const room = lookahead + fftSize + 2 * padSamples + keepBehind + BLOCK_SAMPLES;
  let buffer = new Float64Array(room);

  // The buffer holds the padded signal's positions `[base, base + filled)`; sample i stands at position padSamples + i.
  let base = 0;
  let filled = padSamples;
  let previous = 0;
  let numSamples = 0;
  let numFrames = 0;

  if (state !== undefined) {
    buffer.set(state.tail);
    base = state.tailStart;
    filled = state.tail.length;
    previous = state.previousSample;
    numSamples = state.numSamples;
    numFrames = state.numFrames;
  }

  /** Takes back the room that `save` has given away. */
  function makeRoom(): void {
    if (buffer.length === room) return;
    const grown = new Float64Array(room);
    grown.set(buffer);
    buffer = grown;
  }

  function compact(): void {
    const needed = Math.min(numFrames * hopSamples, padSamples + numSamples - keepBehind);
    const drop = Math.min(filled, Math.max(0, needed - base));
    buffer.copyWithin(0, drop, filled);
    base += drop;
    filled -= drop;
  }

  function append(samples: Float32Array, start: number, count: number): void {
    let before = previous;
    for (let k = 0; k < count; k++) {
      const sample = samples[start + k];
      // NeMo computes in float32: both roundings are its own.
      buffer[filled + k] = Math.fround(sample - Math.fround(emphasis * before));
      before = sample;
    }
    previous = before;
    filled += count;
    numSamples += count;
  }

  function emit(sink: FrameSink): void {
    if (numFrames === 0 && padding === "reflect") fillLeft();
    sink(buffer, numFrames * hopSamples - base);
    numFrames++;
  }

  function fillLeft(): void {
    for (let i = 1; i <= padSamples; i++) buffer[padSamples - i] = reflected(-i);
  }

  /** The sample at an index outside `[0, numSamples)`, as the signal's reflection about its first and last sample. */
  function reflected(index: number): number {
    if (numSamples === 0) return 0;
    const period = Math.max(1, 2 * (numSamples - 1));
    const folded = Math.abs(index) % period;
    return buffer[padSamples + Math.min(folded, period - folded) - base];
  }

  function rightPadding(): Float64Array {
    if (padding === "zero") return new Float64Array(padSamples);
    return Float64Array.from({ length: padSamples }, (_, i) => reflected(numSamples + i));
  }

  return {
    feed(samples, start, end, sink) {
      const firstReady = padding === "reflect" ? padSamples + 1 : 0;
      makeRoom();
      for (let from = start; from < end; ) {
        if (filled === buffer.length) compact();
        const count = Math.min(end - from, buffer.length - filled);
        append(samples, from, count);
        from += count;
        while (numSamples >= Math.max(numFrames * hopSamples + lookahead, firstReady)) emit(sink);
      }
    },
    finish(totalFrames, sink) {
      const masked = Math.min(geometry.maskedSamples, numSamples);
      makeRoom();
      buffer.fill(0, filled - masked, filled);
      const rest = rightPadding();
      for (let from = 0; numFrames < totalFrames; ) {
        while (numFrames < totalFrames && numFrames * hopSamples + fftSize <= base + filled) emit(sink);
        compact();
        const count = Math.min(rest.length - from, buffer.length - filled);
        if (count === 0) break;
        buffer.set(rest.subarray(from, from + count), filled);
        filled += count;
        from += count;
      }
    },
    numSamples: () => numSamples,
    numFrames: () => numFrames,
    save() {
      compact();
      buffer = buffer.slice(0, filled);
      return {
        tail: Float32Array.from(buffer),
        tailStart: base,
        previousSample: previous,
        numSamples,
        numFrames,
      };
    },
    reset() {
      makeRoom();
      base = 0;
      filled = padSamples;
      buffer.fill(0, 0, padSamples);
      previous = 0;
      numSamples = 0;
      numFrames = 0;
    },
  };
}
