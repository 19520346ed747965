/** The memory of one filter: plain data. */
export interface StageState {
  /** Samples that are still needed. */
  readonly samples: Float64Array;
  /** Where the next output begins in `samples`. */
  readonly next: number;
  /** Position of the next output between two samples, in units of the filter bank. */
  readonly phase: number;
}

/** A filter with memory. What it gives does not depend on how its input is cut. */
export interface Stage {
  /** Filters samples into `out` from `start` on. Returns the number of outputs. At most `BLOCK_SAMPLES` at a time. */
  push(input: Float64Array, count: number, out: Float64Array, start: number): number;
  save(): StageState;
}

/** The most samples a stage takes at a time: bounds its memory. */
export const BLOCK_SAMPLES = 1024;

/** Samples with room for a block, of which the last ones are remembered. */
interface History {
  readonly samples: Float64Array;
  filled: number;
  next: number;
}

function createHistory(numTaps: number, leadingZeros: number, state: StageState | undefined): History {
  const samples = new Float64Array(numTaps + 2 * BLOCK_SAMPLES);
  if (state === undefined) return { samples, filled: leadingZeros, next: 0 };
  samples.set(state.samples);
  return { samples, filled: state.samples.length, next: state.next };
}

function append(history: History, input: Float64Array, count: number): void {
  if (history.filled + count > history.samples.length) {
    const drop = Math.min(history.next, history.filled);
    history.samples.copyWithin(0, drop, history.filled);
    history.filled -= drop;
    history.next -= drop;
  }
  for (let i = 0; i < count; i++) history.samples[history.filled + i] = input[i];
  history.filled += count;
}

function saved(history: History, phase: number): StageState {
  const drop = Math.min(history.next, history.filled);
  return { samples: history.samples.slice(drop, history.filled), next: history.next - drop, phase };
}

function halfBandProduct(x: Float64Array, middle: number, taps: Float64Array): number {
  let sum = 0.5 * x[middle];
  for (let i = 0, before = (middle - 1) | 0, after = (middle + 1) | 0; i < taps.length; i++, before -= 2, after += 2) {
    sum += taps[i] * (x[before] + x[after]);
  }
  return sum;
}

// Filters spread a signal to before its beginning, and the next one needs that part too: `early` counts the samples that
// stand before position zero.

/** The outputs that a half-band filter gives before position zero. */
export function earlyOutputs(taps: Float64Array, earlyInputs: number): number {
  return Math.ceil((earlyInputs + 2 * taps.length - 1) / 2);
}

/** Halves a rate with the symmetric taps of `halfBandTaps`. The output for position `m` is centred on position `2 m`. */
export function createHalfBand(taps: Float64Array, early: number, state?: StageState): Stage {
  const centre = 2 * taps.length - 1;
  const numTaps = 2 * centre + 1;
  const history = createHistory(numTaps, 2 * earlyOutputs(taps, early) - early + centre, state);
  return {
    push(input, count, out, start) {
      append(history, input, count);
      const { samples, filled } = history;
      let o = start;
      let at = history.next;
      for (; at + numTaps <= filled; at += 2, o++) out[o] = halfBandProduct(samples, at + centre, taps);
      history.next = at;
      return o - start;
    },
    save: () => saved(history, 0),
  };
}

/** The filters of a conversion by `up / down`, one for every position between two samples. */
export interface FilterBank {
  readonly up: number;
  readonly down: number;
  /** A multiple of four. */
  readonly numTaps: number;
  /** Position of a filter's centre in its taps. */
  readonly centre: number;
  /** Positions between two samples for which there are filters; fewer than `up` where the bank would be too large. */
  readonly numPhases: number;
  /** `[numPhases + 1, numTaps]`: the last is the first, a sample later. */
  readonly taps: Float64Array;
}

/** Converts a rate by `up / down`. Output `k` is centred on position `k down / up`. */
export function createPolyphase(bank: FilterBank, early: number, state?: StageState): Stage {
  const { up, down, numTaps, centre, numPhases, taps } = bank;
  const history = createHistory(numTaps, centre - early, state);
  const stepWhole = Math.floor(down / up);
  const stepPhase = down % up;
  let phase = state?.phase ?? 0;
  return {
    push(input, count, out, start) {
      append(history, input, count);
      const { samples, filled } = history;
      let o = start;
      let at = history.next;
      for (; at + numTaps <= filled; o++) {
        if (numPhases === up) {
          out[o] = product(samples, at, taps, phase * numTaps, numTaps);
        } else {
          const position = (phase / up) * numPhases;
          const index = Math.floor(position);
          const before = product(samples, at, taps, index * numTaps, numTaps);
          const after = product(samples, at, taps, (index + 1) * numTaps, numTaps);
          out[o] = before + (position - index) * (after - before);
        }
        phase += stepPhase;
        at += stepWhole;
        if (phase >= up) {
          phase -= up;
          at++;
        }
      }
      history.next = at;
      return o - start;
    },
    save: () => saved(history, phase),
  };
}

/** A scalar product of a multiple of four values, in four sums that do not wait for each other. */
function product(x: Float64Array, xStart: number, h: Float64Array, hStart: number, count: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  // The engine must know that these are whole numbers: with fractions in question the loop takes three times as long.
  const end = (hStart + count) | 0;
  for (let i = xStart | 0, j = hStart | 0; j < end; i += 4, j += 4) {
    a += x[i] * h[j];
    b += x[i + 1] * h[j + 1];
    c += x[i + 2] * h[j + 2];
    d += x[i + 3] * h[j + 3];
  }
  return a + b + (c + d);
}
