import { describe, expect, test } from "vitest";
import type { ConformerSpec } from "../../src/config/spec.ts";
import { type CacheSlot, createCachePool, savedRows } from "../../src/streaming/cache-pool.ts";
import { random as seeded } from "../fuzz/mutate.ts";
import { bundled } from "../recognition/bundled.ts";

const MAX_STREAMS = 9;
const encoder = (await bundled("speech")).spec.encoder as ConformerSpec;
const { modelSize, numHeads, numLayers } = encoder;
const headSize = modelSize / numHeads;

/** A number that tells which stream, step and row it is of. */
const mark = (stream: number, step: number, layer: number, part: number) =>
  stream + step / 1000 + layer / 100_000 + part / 1_000_000;

/** What a call gives for some streams of which each has `count` new steps. */
function newRows(streams: readonly { readonly id: number; readonly slot: CacheSlot }[], count: number) {
  const attention = new Float32Array(2 * numLayers * streams.length * numHeads * count * headSize);
  const conv = new Float32Array(numLayers * streams.length * count * modelSize);
  for (let layer = 0; layer < numLayers; layer++) {
    for (const [row, { id, slot }] of streams.entries()) {
      for (let i = 0; i < count; i++) {
        const step = slot.numSteps + i;
        for (const part of [0, 1]) {
          for (let head = 0; head < numHeads; head++) {
            const at = ((((2 * layer + part) * streams.length + row) * numHeads + head) * count + i) * headSize;
            attention.fill(mark(id, step, layer, part), at, at + headSize);
          }
        }
        const at = ((layer * streams.length + row) * count + i) * modelSize;
        conv.fill(mark(id, step, layer, 2), at, at + modelSize);
      }
    }
  }
  return { attention, conv, numRows: streams.length, width: count };
}

/** What a stream's cache must hold: the last steps of each ring, oldest first. */
function expectedRows(id: number, numSteps: number, { left, convLeft }: { left: number; convLeft: number }) {
  const rows: number[] = [];
  for (let layer = 0; layer < numLayers; layer++) {
    for (const [part, size] of [left, left, convLeft].entries()) {
      const kept = Math.min(size, numSteps);
      for (let i = 0; i < kept; i++) rows.push(Math.fround(mark(id, numSteps - kept + i, layer, part)));
    }
  }
  return rows;
}

describe("a cache pool", () => {
  test("keeps every stream's last steps, whoever runs together, comes and goes", () => {
    const pool = createCachePool(encoder, MAX_STREAMS);
    const sizes = { left: pool.geometry.maxLeft, convLeft: pool.geometry.convLeft };
    const below = seeded(7);
    const isLikely = (percent: number) => below(100) < percent;
    let streams: { id: number; slot: CacheSlot }[] = [];
    let nextId = 1;
    for (let turn = 0; turn < 300; turn++) {
      if (streams.length < MAX_STREAMS && isLikely(30)) streams.push({ id: nextId++, slot: pool.take() });
      if (streams.length > 0 && isLikely(10)) {
        const [gone] = streams.splice(below(streams.length), 1);
        pool.release(gone.slot);
      }
      const batch = streams.filter(() => isLikely(60));
      if (batch.length === 0) continue;
      const first = pool.bringTogether(batch.map(({ slot }) => slot));
      const places = batch.map(({ slot }) => slot.place - first).sort((a, b) => a - b);
      expect(places).toEqual(batch.map((_, i) => i));
      const count = 1 + below(90);
      const added = newRows(batch, count);
      for (const [row, { slot }] of batch.entries()) pool.push(slot, added, row, count);
      if (turn % 50 === 0) streams = streams.map((stream) => ({ ...stream, slot: savedAndRestored(stream.slot) }));
    }
    expect(streams.length).toBeGreaterThan(2);
    expect(new Set(streams.map(({ slot }) => slot.place)).size).toBe(streams.length);
    for (const { id, slot } of streams) {
      const { rows } = pool.save(slot);
      expect(rows.length).toBe(savedRows(encoder, slot.numSteps) * modelSize);
      const perRow = Array.from({ length: rows.length / modelSize }, (_, i) => [
        ...new Set(rows.subarray(i * modelSize, (i + 1) * modelSize)),
      ]);
      expect(perRow).toEqual(expectedRows(id, slot.numSteps, sizes).map((value) => [value]));
    }

    function savedAndRestored(slot: CacheSlot): CacheSlot {
      const saved = pool.save(slot);
      pool.release(slot);
      return pool.take(saved);
    }
  });

  test("moves nobody who runs with the same streams as before", () => {
    const pool = createCachePool(encoder, MAX_STREAMS);
    const slots = Array.from({ length: 8 }, () => pool.take());
    const [even, odd] = [0, 1].map((rest) => slots.filter((_, i) => i % 2 === rest));
    pool.bringTogether(even);
    pool.bringTogether(odd);
    const places = slots.map(({ place }) => place);
    for (let turn = 0; turn < 3; turn++) {
      pool.bringTogether(even);
      pool.bringTogether(odd);
    }
    expect(slots.map(({ place }) => place)).toEqual(places);
  });

  test("moves one where one is missing", () => {
    const pool = createCachePool(encoder, MAX_STREAMS);
    const slots = Array.from({ length: 8 }, () => pool.take());
    const before = slots.map(({ place }) => place);
    pool.bringTogether(slots.filter((_, i) => i !== 3));
    const moved = slots.filter(({ place }, i) => place !== before[i]);
    expect(moved).toHaveLength(2);
    expect(moved).toContain(slots[3]);
  });

  test("moves nobody to a place that was never taken: its memory is not resident", () => {
    const pool = createCachePool(encoder, MAX_STREAMS);
    const slots = Array.from({ length: 5 }, () => pool.take());
    pool.bringTogether([slots[0], slots[3], slots[4]]);
    expect(slots.map(({ place }) => place).sort()).toEqual([0, 1, 2, 3, 4]);
  });

  test("leaves nothing of a stream that has gone: what is no number would reach whoever comes next", () => {
    const pool = createCachePool(encoder, 1);
    const slot = pool.take();
    const added = newRows([{ id: 1, slot }], 200);
    added.attention.fill(Number.NaN);
    added.conv.fill(Number.NaN);
    pool.push(slot, added, 0, 200);
    pool.release(slot);
    for (let layer = 0; layer < numLayers; layer++) {
      for (const part of ["keys", "values"] as const) {
        expect(pool.rings(layer, part, 0, 1).every((value) => value === 0)).toBe(true);
      }
    }
    expect(pool.convRings(0, 1).every((value) => value === 0)).toBe(true);
  });

  test("gives a call the rings of its own streams only: what runs elsewhere than here copies what it is given", () => {
    const pool = createCachePool(encoder, MAX_STREAMS);
    const slots = Array.from({ length: 5 }, () => pool.take());
    const first = pool.bringTogether(slots.slice(2, 4));
    const { convLeft } = pool.geometry;
    expect(pool.convRings(first, 2).length).toBe(2 * numLayers * convLeft * modelSize);
    expect(pool.rings(0, "keys", first, 2).length).toBe(2 * pool.ringSteps * modelSize);
    const rows = new Int32Array(convLeft);
    pool.convRows(slots[3], first, rows, 0);
    expect(Math.min(...rows)).toBe((slots[3].place - first) * numLayers * convLeft);
    expect(Math.max(...rows)).toBeLessThan(((slots[3].place - first) * numLayers + 1) * convLeft);
  });

  test("says for how many there is no memory", () => {
    expect(() => createCachePool(encoder, 1e9)).toThrow(
      expect.objectContaining({
        code: "OVER_CAPACITY",
        message: expect.stringMatching(
          /^streams: expected memory for the caches of 1000000000 lanes, [\d.]+ MiB each, got none \(.+\)\. Ask for fewer streams at a time \(`maxStreams`\); each has two lanes\.$/,
        ),
      }),
    );
  });

  test("refuses one stream too many", () => {
    const pool = createCachePool(encoder, 1);
    pool.take();
    expect(() => pool.take()).toThrow("streams: expected at most 1 at a time, got one more.");
  });
});
