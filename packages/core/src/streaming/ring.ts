/** The last rows of something that goes on: the row of step `t` stands at place `t mod numRows`. */
export interface Ring {
  readonly data: Float32Array;
  /** Where the first place begins. */
  readonly start: number;
  readonly numRows: number;
  readonly rowSize: number;
}

/** Below so many numbers a loop is faster than a call of `set`. */
const SHORT = 256;

/** Copies numbers from one array to another. */
export function copyRow(from: Float32Array, fromStart: number, to: Float32Array, toStart: number, size: number): void {
  if (size > SHORT) to.set(from.subarray(fromStart, fromStart + size), toStart);
  else for (let i = 0; i < size; i++) to[toStart + i] = from[fromStart + i];
}

/** Neighbouring steps at neighbouring places: `[step, step + count)` at `[place, place + count)`. */
export interface Run {
  readonly step: number;
  readonly place: number;
  readonly count: number;
}

/**
 * Where `count` steps from step `first` on stand in a ring, two runs at most; only the last ones where they are more than
 * it has.
 */
export function ringRuns(numRows: number, first: number, count: number): Run[] {
  const runs: Run[] = [];
  const end = first + count;
  if (numRows === 0) return runs;
  for (let step = Math.max(first, end - numRows); step < end; ) {
    const place = step % numRows;
    const length = Math.min(numRows - place, end - step);
    runs.push({ step, place, count: length });
    step += length;
  }
  return runs;
}

/** Sets the rows of the first `numSteps` steps to zero. */
export function clearRing({ data, start, numRows, rowSize }: Ring, numSteps: number): void {
  data.fill(0, start, start + Math.min(numRows, numSteps) * rowSize);
}
