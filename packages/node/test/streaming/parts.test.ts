import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ThreadLoad } from "../../src/streaming/admission.ts";
import { packError, unpackError } from "../../src/streaming/crossing-error.ts";
import { SoundLog } from "../../src/streaming/sound-log.ts";
import { BatchRecord, percentiles } from "../../src/streaming/statistics.ts";

const mode = (right: number) => ({
  attContext: [70, right] as const,
  chunkSteps: right + 1,
  leftSteps: 70,
  chunkSec: 0.08 * (right + 1),
});
const report = (rights: number[], sec: number, featuresSec = 0) => ({
  numRows: rights.length,
  numSteps: rights.length,
  featuresSec,
  encodeSec: sec,
  decodeSec: 0,
  latenciesSec: rights.map(() => sec),
  modes: rights.map(mode),
});

describe("SoundLog", () => {
  test("keeps what was pushed and not dropped, whatever comes in which order", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), count: fc.nat(50) }),
      fc.record({ kind: fc.constant("drop" as const), count: fc.nat(80) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const log = new SoundLog();
        const all: number[] = [];
        let start = 0;
        for (const { kind, count } of steps) {
          if (kind === "push") {
            const samples = Array.from({ length: count }, (_, i) => all.length + i);
            all.push(...samples);
            log.push(Float32Array.from(samples));
          } else {
            start = Math.min(all.length, start + count);
            log.dropBefore(start);
          }
          expect(log.end).toBe(all.length);
          expect([...log.slice(start, all.length)]).toEqual(all.slice(start));
          expect(log.sizeBytes).toBeLessThanOrEqual(4 * Math.max(200, 4 * (all.length - start)));
        }
      }),
      { seed: 63 },
    );
  });
});

describe("ThreadLoad", () => {
  const costs = [{ ...mode(0), batchSec: 0.004, rowSec: 0.002, maxRows: 4 }];

  test("reckons with full batches", () => {
    const load = new ThreadLoad();
    expect(load.with([mode(0)])).toBe(0);
    load.setCosts(costs);
    expect(load.with()).toBe(0);
    expect(load.with([mode(0)])).toBeCloseTo(0.006 / 0.08);
    for (let i = 0; i < 5; i++) load.add([mode(0)], 1);
    expect(load.with()).toBeCloseTo((2 * 0.004 + 5 * 0.002) / 0.08);
    load.add([mode(0)], -1);
    expect(load.with()).toBeCloseTo((0.004 + 4 * 0.002) / 0.08);
  });

  test("learns what batches really cost", () => {
    const load = new ThreadLoad();
    load.observe(report([0], 1)); // Nothing was measured: nothing to correct.
    load.setCosts(costs);
    load.observe(report([0, 5], 1)); // A mode that was not measured.
    expect(load.with([mode(0)])).toBeCloseTo(0.075);
    for (let i = 0; i < 300; i++) load.observe(report([0, 0], 0.016));
    expect(load.with([mode(0)])).toBeCloseTo(0.15, 3);
  });
});

describe("BatchRecord", () => {
  test("adds up batches and tells latencies by mode", () => {
    const record = new BatchRecord();
    expect(record.read()).toMatchObject({ numBatches: 0, meanRows: 0, realTimeFactor: 0, modes: [] });
    for (let i = 1; i <= 100; i++) record.add(report([0, 1], i / 100), 0.16);
    const { modes, ...rest } = record.read();
    expect(rest).toMatchObject({ numBatches: 100, meanRows: 2, maxRows: 2 });
    expect(rest.realTimeFactor).toBeCloseTo(50.5 / 16);
    expect(modes.map(({ attContext, numChunks }) => [attContext[1], numChunks])).toEqual([
      [0, 100],
      [1, 100],
    ]);
    expect(modes[0].latencySec).toEqual({ p50: 0.5, p95: 0.95, p99: 0.99 });
    for (let i = 0; i < 5000; i++) record.add(report([0], 2), 0.08);
    expect(record.read().modes[0]).toMatchObject({ numChunks: 5100, latencySec: { p50: 2 } });
  });

  test("counts features as work, and tells them apart", () => {
    const record = new BatchRecord();
    record.add(report([0], 0.03, 0.01), 0.08);
    expect(record.read()).toMatchObject({ busySec: 0.04, featuresSec: 0.01, realTimeFactor: 0.5 });
    const load = new ThreadLoad();
    load.setCosts([{ ...mode(0), batchSec: 0.01, rowSec: 0.01, maxRows: 4 }]);
    for (let i = 0; i < 300; i++) load.observe(report([0], 0.01, 0.01));
    expect(load.with([mode(0)])).toBeCloseTo(0.25);
  });

  test("has no percentiles of nothing", () => {
    expect(percentiles(new Float64Array(0)).p50).toBeNaN();
  });
});

describe("unpackError", () => {
  test("gives an error of the same kind with the same words", () => {
    for (const error of [new TypeError("a"), new RangeError("b"), new Error("c")]) {
      expect(unpackError(structuredClone(packError(error)))).toEqual(error);
    }
    const speech = Object.assign(new Error("d"), { name: "SpeechError", code: "TIMED_OUT" });
    expect(unpackError(packError(speech))).toMatchObject({ code: "TIMED_OUT", message: "d" });
    expect(unpackError(packError("e"))).toMatchObject({ message: "e" });
  });
});
