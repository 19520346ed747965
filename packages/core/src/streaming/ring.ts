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

/**
 * Writes the rows of `count` steps from `from[offset …)`, of which the first is step `at`; only the last ones stay where
 * they are more than the ring has.
 */
export function writeRing(
  { data, start, numRows, rowSize }: Ring,
  from: Float32Array,
  offset: number,
  { at, count }: { readonly at: number; readonly count: number },
): void {
  if (numRows === 0) return;
  const skipped = Math.max(0, count - numRows);
  let source = offset + skipped * rowSize;
  for (let step = at + skipped; step < at + count; ) {
    const place = step % numRows;
    const run = Math.min(numRows - place, at + count - step);
    copyRow(from, source, data, start + place * rowSize, run * rowSize);
    source += run * rowSize;
    step += run;
  }
}

/** Reads what a ring holds after `numSteps` steps, oldest first, into rows `stride` apart. */
export function readRing(
  { data, start, numRows, rowSize }: Ring,
  numSteps: number,
  to: Float32Array,
  offset: number,
  stride: number,
): void {
  const kept = Math.min(numRows, numSteps);
  for (let i = 0; i < kept; i++) {
    const place = (numSteps - kept + i) % numRows;
    copyRow(data, start + place * rowSize, to, offset + i * stride, rowSize);
  }
}

/** Sets the rows of the first `numSteps` steps to zero. */
export function clearRing({ data, start, numRows, rowSize }: Ring, numSteps: number): void {
  data.fill(0, start, start + Math.min(numRows, numSteps) * rowSize);
}
