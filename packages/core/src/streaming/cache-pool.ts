import { cacheLayout } from "../architectures/conformer/streaming.ts";
import type { ConformerSpec } from "../config/spec.ts";
import { type StreamGeometry, streamGeometry } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";

/** What the encoder remembers of one stream: a place in the pool, and how far the stream has come. */
export interface CacheSlot {
  readonly slot: number;
  /** Steps encoded so far. */
  numSteps: number;
}

/** A slot's contents as plain data: rows of keys, values and convolution input, oldest first, layer after layer. */
export interface SavedCache {
  readonly numSteps: number;
  /** `[layer, keys + values + convolution, model]` */
  readonly rows: Float32Array;
}

/**
 * The caches of all streams of one engine in one array, which the graph reads in place.
 *
 * Every slot holds, layer after layer, rings of key rows, value rows and convolution rows. The first slot stays zero: it
 * stands for what lies before a stream's beginning. Slots are taken and given back; memory that was never used is not
 * resident.
 */
export interface CachePool {
  readonly geometry: StreamGeometry;
  readonly modelSize: number;
  /** `[row, model]`, all slots one after another. */
  readonly data: Float32Array;
  readonly numRows: number;
  /** Bytes that one stream occupies. */
  readonly slotBytes: number;
  /** @throws SpeechError `OVER_CAPACITY` when all slots are taken */
  take(saved?: SavedCache): CacheSlot;
  release(slot: CacheSlot): void;
  /** Rows of the first layer's keys for the last `count` steps, right-aligned in `rows[offset, offset + width)`. */
  attentionRows(slot: CacheSlot, count: number, rows: Int32Array, offset: number, width: number): void;
  /** Rows of the first layer's convolution input before the next step. */
  convRows(slot: CacheSlot, rows: Int32Array, offset: number): void;
  /**
   * Takes the rows of new steps from the graph's `cache` `[3 · layer, batch, step, model]`.
   * @param batch `[row of the batch, rows in it, steps a row]`
   */
  push(
    slot: CacheSlot,
    cache: Float32Array,
    batch: { row: number; numRows: number; width: number },
    count: number,
  ): void;
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
  const layout = cacheLayout(spec, geometry);
  const { modelSize, numLayers } = spec;
  const { left, convLeft, rowsPerLayer } = layout;
  const numRows = (maxStreams + 1) * layout.numRows;
  const data = new Float32Array(numRows * modelSize);
  const free = Array.from({ length: maxStreams }, (_, i) => maxStreams - i);
  const baseOf = ({ slot }: CacheSlot) => slot * layout.numRows;

  /** Visits the rings of a slot: the first row, the number of rows, and which third of a layer it is. */
  function eachRing(slot: CacheSlot, visit: (firstRow: number, size: number, part: number) => void): void {
    for (let layer = 0; layer < numLayers; layer++) {
      const first = baseOf(slot) + layer * rowsPerLayer;
      visit(first, left, 3 * layer);
      visit(first + left, left, 3 * layer + 1);
      visit(first + 2 * left, convLeft, 3 * layer + 2);
    }
  }

  function restore(slot: CacheSlot, saved: SavedCache): void {
    let from = 0;
    eachRing(slot, (firstRow, size) => {
      const kept = Math.min(size, saved.numSteps);
      for (let i = kept; i > 0; i--, from += modelSize) {
        const row = firstRow + ((saved.numSteps - i) % size);
        data.set(saved.rows.subarray(from, from + modelSize), row * modelSize);
      }
    });
    slot.numSteps = saved.numSteps;
  }

  return {
    geometry,
    modelSize,
    data,
    numRows,
    slotBytes: layout.numRows * modelSize * 4,
    take(saved) {
      const slot = free.pop();
      if (slot === undefined) {
        throw new SpeechError(
          "OVER_CAPACITY",
          `streams: expected at most ${maxStreams} at a time, got one more. Try again when another has ended.`,
        );
      }
      const taken = { slot, numSteps: 0 };
      if (saved) restore(taken, saved);
      return taken;
    },
    release({ slot }) {
      free.push(slot);
    },
    attentionRows(slot, count, rows, offset, width) {
      rows.fill(0, offset, offset + width - count);
      const first = baseOf(slot);
      for (let i = count; i > 0; i--) rows[offset + width - i] = first + ((slot.numSteps - i) % left);
    },
    convRows(slot, rows, offset) {
      const first = baseOf(slot) + 2 * left;
      for (let i = convLeft; i > 0; i--) {
        const step = slot.numSteps - i;
        rows[offset + convLeft - i] = step < 0 ? 0 : first + (step % convLeft);
      }
    },
    push(slot, cache, { row, numRows: batchRows, width }, count) {
      eachRing(slot, (firstRow, size, part) => {
        const from = (part * batchRows + row) * width * modelSize;
        writeRing(data, { firstRow, size, modelSize, at: slot.numSteps }, cache, from, count);
      });
      slot.numSteps += count;
    },
    save(slot, room) {
      const { numSteps } = slot;
      const numValues = savedRows(spec, numSteps) * modelSize;
      const rows = room ? room.subarray(0, numValues) : new Float32Array(numValues);
      let to = 0;
      eachRing(slot, (firstRow, size) => {
        for (let i = Math.min(size, numSteps); i > 0; i--, to += modelSize) {
          const at = (firstRow + ((numSteps - i) % size)) * modelSize;
          rows.set(data.subarray(at, at + modelSize), to);
        }
      });
      return { numSteps, rows };
    },
  };
}

interface Ring {
  readonly firstRow: number;
  readonly size: number;
  readonly modelSize: number;
  /** The step that the next row is of. */
  readonly at: number;
}

/** Writes `count` rows from `from[offset …)` behind the ring's last; only the last ones stay where they are too many. */
function writeRing(data: Float32Array, ring: Ring, from: Float32Array, offset: number, count: number): void {
  const { firstRow, size, modelSize, at } = ring;
  if (size === 0) return;
  const skipped = Math.max(0, count - size);
  let source = offset + skipped * modelSize;
  for (let step = at + skipped; step < at + count; ) {
    const place = step % size;
    const run = Math.min(size - place, at + count - step);
    data.set(from.subarray(source, source + run * modelSize), (firstRow + place) * modelSize);
    source += run * modelSize;
    step += run;
  }
}
