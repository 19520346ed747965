import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, utimesSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ThreadLoad } from "../../src/streaming/admission.ts";
import { packError, unpackError } from "../../src/streaming/crossing-error.ts";
import { SnapshotFolder, StreamSnapshots } from "../../src/streaming/snapshot-files.ts";
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
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), count: fc.nat(9000) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("drop" as const), count: fc.nat(12_000) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("trim" as const), count: fc.constant(0) }) },
    );
    const samplesFrom = (start: number, end: number) => Float32Array.from({ length: end - start }, (_, i) => start + i);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const log = new SoundLog();
        let [start, end, most] = [0, 0, 0];
        for (const { kind, count } of steps) {
          if (kind === "push") {
            log.push(samplesFrom(end, end + count));
            end += count;
          } else {
            start = Math.min(end, start + count);
            log.dropBefore(start);
          }
          if (kind === "trim") log.trim();
          most = Math.max(kind === "trim" ? 0 : most, end - start);
          expect(log.end).toBe(end);
          // Vitest compares the elements of long arrays slowly.
          expect(Buffer.from(log.slice(start, end).buffer).equals(Buffer.from(samplesFrom(start, end).buffer))).toBe(
            true,
          );
          expect(log.sizeBytes).toBeLessThanOrEqual(4 * Math.max(kind === "trim" ? 0 : 16_384, 1.5 * most + 1));
        }
      }),
      { seed: 63 },
    );
  });
});

describe("StreamSnapshots", () => {
  test("has on the disk what the engine knows of and what follows, and nothing of a stream that has ended", async () => {
    const folder = await mkdtemp(join(tmpdir(), "nemo-stt-test-"));
    const fileOf = (name: number) => join(folder, String(name));
    const files = async (expected: readonly number[]) => {
      const names = expected.map(String);
      for (let i = 0; i < 1000 && (await readdir(folder)).sort().join() !== names.join(); i++) await sleep(5);
      expect((await readdir(folder)).sort()).toEqual(names);
    };
    const snapshots = new StreamSnapshots(undefined);
    const blob = () => Uint8Array.of(1, 2, 3);
    const placed = [0, 1, 2].map((name) => snapshots.put(blob(), fileOf(name)));
    expect(await Promise.all(placed)).toEqual([0, 1, 2].map(fileOf));
    expect([...(await readFile(fileOf(1)))]).toEqual([1, 2, 3]);
    await files([0, 1, 2]);
    snapshots.keep(fileOf(1));
    await files([1, 2]);
    snapshots.keep(fileOf(0)); // Gone already.
    expect(await snapshots.put(blob(), undefined)).toEqual(blob());
    expect(await snapshots.put(blob(), join(folder, "none", "3"))).toEqual(blob()); // The disk refuses it.
    const late = snapshots.put(blob(), fileOf(3));
    snapshots.close();
    await late;
    await files([]);
    await rm(folder, { recursive: true });
  });
});

describe("SnapshotFolder", () => {
  test("removes what killed processes have left, and nothing of processes that run, of others or in other containers", async () => {
    const isLinux = existsSync("/proc/self/ns/pid");
    const space = isLinux ? /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] : "0";
    const startOf = (id: number) =>
      isLinux
        ? readFileSync(`/proc/${id}/stat`, "utf8")
            .replace(/^.*\) /s, "")
            .split(" ")[19]
        : "0";
    const dead = Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }));
    const running = `${process.ppid}-${startOf(process.ppid)}`;
    const left = {
      [`${space}-${dead}-77-dead`]: false,
      // The number has come again.
      [`${space}-${process.ppid}-77-again`]: !isLinux,
      [`${space}-${running}-running`]: true,
      [`${space}-${dead}-78-open`]: true,
      [`9${space}-${dead}-77-container`]: true,
      [`9${space}-${dead}-77-old`]: false,
      [`${space}-x-y-other`]: true,
    };
    const pathOf = (name: string) => join(tmpdir(), `nemo-stt-streams-${name}`);
    for (const name of Object.keys(left)) mkdirSync(pathOf(name), { recursive: true, mode: 0o700 });
    chmodSync(pathOf(`${space}-${dead}-78-open`), 0o777);
    const dayBefore = new Date(Date.now() - 25 * 3600 * 1000);
    utimesSync(pathOf(`9${space}-${dead}-77-old`), dayBefore, dayBefore);
    // A link is nobody's folder.
    const linked = await mkdtemp(join(tmpdir(), "nemo-stt-test-"));
    symlinkSync(linked, pathOf(`${space}-${dead}-79-link`));
    const folder = new SnapshotFolder();
    await folder.open();
    expect(Object.fromEntries(Object.keys(left).map((name) => [name, existsSync(pathOf(name))]))).toEqual(left);
    expect(existsSync(linked)).toBe(true);
    const file = folder.nextFile() ?? "";
    const other = new SnapshotFolder();
    await other.open(); // Of the same process.
    expect(existsSync(join(file, ".."))).toBe(true);
    await folder.close();
    await other.close();
    expect(existsSync(join(file, ".."))).toBe(false);
    for (const name of [...Object.keys(left), `${space}-${dead}-79-link`]) {
      await rm(pathOf(name), { recursive: true, force: true });
    }
    await rm(linked, { recursive: true });
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
