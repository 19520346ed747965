import { cacheLayout } from "../architectures/conformer/streaming-inputs.ts";
import type { ConformerSpec } from "../config/spec.ts";
import { type StreamGeometry, streamGeometry } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";
import { clearRing, copyRow, type Ring, ringRuns } from "./ring.ts";

/** What the encoder remembers of one stream: a place in the pool, and how far the stream has come. */
export interface CacheSlot {
  /** Which of the pool's places it has. The pool moves it so that streams that run together lie together. */
  place: number;
  /** Steps encoded so far. */
  numSteps: number;
}

/** A slot's contents as plain data: rows of keys, values and convolution input, oldest first, layer after layer. */
export interface SavedCache {
  readonly numSteps: number;
  /** `[layer, keys + values + convolution, model]` */
  readonly rows: Float32Array;
}

interface PoolRing extends Ring {
  /** Rows that are looked back on, of those that it has. */
  readonly numKept: number;
}

/** What a call of the graph adds, by row of its batch. */
export interface NewCacheRows {
  /** `[2 · layer, batch, head, step, headSize]` */
  readonly attention: Float32Array;
  /** `[layer, batch, step, model]` */
  readonly conv: Float32Array;
  readonly numRows: number;
  /** Steps of each row. */
  readonly width: number;
}

/**
 * The caches of all streams of one engine in a few arrays, which the graph reads in place.
 *
 * Every layer's keys lie in one piece, place after place, and so do its values: streams at neighbouring places are a
 * batch as they lie. Within a place each head has a ring. Memory that was never used is not resident.
 */
export interface CachePool {
  readonly geometry: StreamGeometry;
  /** Steps of a head's ring of keys or values: those that are looked back on, and some more. */
  readonly ringSteps: number;
  /** Bytes that one stream occupies. */
  readonly slotBytes: number;
  /** @throws SpeechError `OVER_CAPACITY` when all places are taken */
  take(saved?: SavedCache): CacheSlot;
  release(slot: CacheSlot): void;
  /**
   * Puts slots at neighbouring places, moving as few as it can, and returns the first.
   * Those that come together again need not move again.
   */
  bringTogether(slots: readonly CacheSlot[]): number;
  /** Keys or values of a layer from `firstPlace` on, `[place, head, ring, headSize]`: the pool's own memory. */
  rings(layer: number, part: "keys" | "values", firstPlace: number, numPlaces: number): Float32Array;
  /** Kept inputs of the convolutions from `firstPlace` on, `[place · layer · convLeft, model]`: the pool's own memory. */
  convRings(firstPlace: number, numPlaces: number): Float32Array;
  /** Rows of `convRings` from `firstPlace` on with the first layer's input before a slot's next step, oldest first. */
  convRows(slot: CacheSlot, firstPlace: number, rows: Int32Array, offset: number): void;
  /** Takes `count` new steps of a row of a batch. */
  push(slot: CacheSlot, added: NewCacheRows, row: number, count: number): void;
  /** @param room memory of `slotBytes` for the rows, which the caller reuses; memory of its own unless told */
  save(slot: CacheSlot, room?: Float32Array): SavedCache;
}

/** Rows of a saved cache after so many steps. */
export function savedRows(spec: ConformerSpec, numSteps: number): number {
  const { maxLeft, convLeft } = streamGeometry(spec);
  return spec.numLayers * (2 * Math.min(maxLeft, numSteps) + Math.min(convLeft, numSteps));
}

/** Makes a pool for at most `maxStreams` streams. */
export function createCachePool(spec: ConformerSpec, maxStreams: number): CachePool {
  const geometry = streamGeometry(spec);
  const { maxLeft } = geometry;
  const { ringSteps, convLeft, numRows } = cacheLayout(spec, geometry);
  const { modelSize, numHeads, numLayers } = spec;
  const headSize = modelSize / numHeads;
  const ringSize = ringSteps * headSize;
  const placeSize = numHeads * ringSize;
  const slotBytes = numRows * modelSize * 4;
  const attention = allocate(2 * numLayers * maxStreams * placeSize, maxStreams, slotBytes);
  const convPlaceRows = numLayers * convLeft;
  const conv = allocate(maxStreams * convPlaceRows * modelSize, maxStreams, slotBytes);
  const places: (CacheSlot | undefined)[] = new Array(maxStreams).fill(undefined);
  /** Places that have been taken, from the first on: what lies behind them is not resident. */
  let numUsed = 0;
  let spare: Float32Array | undefined;

  /** Keys of layer 0, values of layer 0, keys of layer 1, … */
  const startOf = (array: number, place: number) => (array * maxStreams + place) * placeSize;
  const convStartOf = (place: number) => place * convPlaceRows * modelSize;
  const attentionRing = (array: number, head: number, place: number): PoolRing => ({
    data: attention,
    start: startOf(array, place) + head * ringSize,
    numRows: ringSteps,
    numKept: maxLeft,
    rowSize: headSize,
  });
  const convRing = (layer: number, place: number): PoolRing => ({
    data: conv,
    start: convStartOf(place) + layer * convLeft * modelSize,
    numRows: convLeft,
    numKept: convLeft,
    rowSize: modelSize,
  });

  /** Visits all rings of a slot, with the first of a saved row's numbers that each is of. */
  function eachRing({ place }: CacheSlot, visit: (ring: PoolRing, offset: number, isLastOfRow: boolean) => void): void {
    for (let layer = 0; layer < numLayers; layer++) {
      for (const array of [2 * layer, 2 * layer + 1]) {
        for (let head = 0; head < numHeads; head++) {
          visit(attentionRing(array, head, place), head * headSize, head === numHeads - 1);
        }
      }
      visit(convRing(layer, place), 0, true);
    }
  }

  /** Visits every row that a slot keeps after `numSteps` steps, oldest first: where it lies, and where it is saved. */
  function eachKeptRow(
    slot: CacheSlot,
    numSteps: number,
    visit: (data: Float32Array, at: number, savedAt: number, size: number) => void,
  ): void {
    let first = 0;
    eachRing(slot, ({ data, start, numRows, numKept, rowSize }, offset, isLastOfRow) => {
      const kept = Math.min(numKept, numSteps);
      for (let i = 0; i < kept; i++) {
        const place = (numSteps - kept + i) % numRows;
        visit(data, start + place * rowSize, first + i * modelSize + offset, rowSize);
      }
      if (isLastOfRow) first += kept * modelSize;
    });
  }

  /** Exchanges two places, one of which may be empty. */
  function exchange(from: number, to: number): void {
    for (let array = 0; array < 2 * numLayers; array++)
      swap(attention, startOf(array, from), startOf(array, to), placeSize);
    swap(conv, convStartOf(from), convStartOf(to), convPlaceRows * modelSize);
    const [moved, other] = [places[from], places[to]];
    places[to] = moved;
    places[from] = other;
    if (moved) moved.place = to;
    if (other) other.place = from;
  }

  function swap(data: Float32Array, a: number, b: number, size: number): void {
    if (spare === undefined || spare.length < size) spare = new Float32Array(size);
    spare.set(data.subarray(a, a + size));
    data.copyWithin(a, b, b + size);
    data.set(size === spare.length ? spare : spare.subarray(0, size), b);
  }

  return {
    geometry,
    ringSteps,
    slotBytes,
    take(saved) {
      const place = places.indexOf(undefined);
      if (place < 0) {
        throw new SpeechError(
          "OVER_CAPACITY",
          `streams: expected at most ${maxStreams} at a time, got one more. Try again when another has ended.`,
        );
      }
      const taken = { place, numSteps: 0 };
      places[place] = taken;
      numUsed = Math.max(numUsed, place + 1);
      if (saved) {
        eachKeptRow(taken, saved.numSteps, (data, at, savedAt, size) => copyRow(saved.rows, savedAt, data, at, size));
        taken.numSteps = saved.numSteps;
      }
      return taken;
    },
    release(slot) {
      // What is masked still takes part in products: it must be numbers, and a stream's damaged sound may have left none.
      eachRing(slot, (ring) => clearRing(ring, slot.numSteps));
      places[slot.place] = undefined;
    },
    bringTogether(slots) {
      const first = bestWindow(
        slots.map(({ place }) => place),
        numUsed,
      );
      const members = new Set(slots);
      const isInside = ({ place }: CacheSlot) => place >= first && place < first + slots.length;
      let hole = first;
      for (const slot of slots) {
        if (isInside(slot)) continue;
        while (members.has(places[hole] as CacheSlot)) hole++;
        exchange(slot.place, hole);
      }
      return first;
    },
    rings(layer, part, firstPlace, numPlaces) {
      const start = startOf(2 * layer + (part === "keys" ? 0 : 1), firstPlace);
      return attention.subarray(start, start + numPlaces * placeSize);
    },
    convRings: (firstPlace, numPlaces) => conv.subarray(convStartOf(firstPlace), convStartOf(firstPlace + numPlaces)),
    convRows({ place, numSteps }, firstPlace, rows, offset) {
      const first = (place - firstPlace) * convPlaceRows;
      // What is before a stream's beginning stands at places of its ring that it has yet to write: they are zero.
      for (let i = 0; i < convLeft; i++) rows[offset + i] = first + ((numSteps + i) % convLeft);
    },
    push(slot, { attention: newAttention, conv: newConv, numRows: batchRows, width }, row, count) {
      // Thousands of short copies a batch: the runs are the same for all rings, and nothing is made for each.
      const { place, numSteps } = slot;
      const runs = ringRuns(ringSteps, numSteps, count);
      for (let array = 0; array < 2 * numLayers; array++) {
        const firstRing = startOf(array, place);
        const firstRow = (array * batchRows + row) * numHeads * width;
        for (let head = 0; head < numHeads; head++) {
          for (const run of runs) {
            const from = (firstRow + head * width + run.step - numSteps) * headSize;
            copyRow(
              newAttention,
              from,
              attention,
              firstRing + (head * ringSteps + run.place) * headSize,
              run.count * headSize,
            );
          }
        }
      }
      const convRuns = ringRuns(convLeft, numSteps, count);
      for (let layer = 0; layer < numLayers; layer++) {
        const firstRow = (layer * batchRows + row) * width;
        const firstRing = convStartOf(place) + layer * convLeft * modelSize;
        for (const run of convRuns) {
          const from = (firstRow + run.step - numSteps) * modelSize;
          copyRow(newConv, from, conv, firstRing + run.place * modelSize, run.count * modelSize);
        }
      }
      slot.numSteps += count;
    },
    save(slot, room) {
      const { numSteps } = slot;
      const numValues = savedRows(spec, numSteps) * modelSize;
      const rows = room ? room.subarray(0, numValues) : new Float32Array(numValues);
      eachKeptRow(slot, numSteps, (data, at, savedAt, size) => copyRow(data, at, rows, savedAt, size));
      return { numSteps, rows };
    },
  };
}

/** Memory for so many numbers, of which the platform gives none that is used before it is. @throws SpeechError `OVER_CAPACITY` */
function allocate(size: number, maxStreams: number, slotBytes: number): Float32Array {
  try {
    return new Float32Array(size);
  } catch (cause) {
    const mib = (slotBytes / 2 ** 20).toFixed(1);
    throw new SpeechError(
      "OVER_CAPACITY",
      `streams: expected memory for the caches of ${maxStreams} lanes, ${mib} MiB each, got none (${(cause as Error).message}). Ask for fewer streams at a time (\`maxStreams\`); each has two lanes.`,
      { cause },
    );
  }
}

/** The first of `places.length` neighbouring places, of `numPlaces`, among which most of the given ones are. */
function bestWindow(places: readonly number[], numPlaces: number): number {
  const sorted = [...places].sort((a, b) => a - b);
  const size = sorted.length;
  let best = { first: 0, inside: -1 };
  for (let from = 0, end = 0; from < size; from++) {
    while (end < size && sorted[end] < sorted[from] + size) end++;
    if (end - from > best.inside) best = { first: sorted[from], inside: end - from };
  }
  return Math.min(best.first, numPlaces - size);
}
