import { describe, expect, it } from "vitest";
import { Outbox } from "../../src/client/outbox.ts";
import type { TcpSink } from "../../src/client/tcp-sink.ts";
import { Asking } from "../../src/gateway/asking.ts";
import { type InTurn, Intake, type Sent } from "../../src/gateway/intake.ts";
import { type Item, STT_DOWN, STT_UP, type SttDown, type SttUp, TcpSource, TcpSink as Up } from "../../src/index.ts";
import { RECORDS, signalChunk } from "../../src/spl/signals.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";
import { blocks, chunks, noise, type Started, sessionApp, start, until } from "./harness.ts";

// What is missing is asked for seldom, given up late, and said loudly: a busy sender is no dead one.

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
interface TestClock {
  atMs: number;
  readonly nowMs: () => number;
}

function clockAt(atMs = 1_000_000): TestClock {
  const at: TestClock = { atMs, nowMs: () => at.atMs };
  return at;
}

let clock = clockAt();

describe("Asking", () => {
  it("asks less and less often as long as nothing comes, and not while something does", () => {
    clock = clockAt(0);
    const asking = new Asking(clock);
    const askedAtMs: number[] = [];
    const look = (untilMs: number) => {
      for (; clock.atMs < untilMs; clock.atMs += 250) {
        if (!asking.isDue) continue;
        asking.onAsked();
        askedAtMs.push(clock.atMs);
      }
    };
    look(40_000);
    expect(askedAtMs).toEqual([0, 1000, 3000, 7000, 15_000, 23_000, 31_000, 39_000]);
    for (; clock.atMs < 60_000; look(clock.atMs + 500)) asking.onArrived();
    expect(askedAtMs).toHaveLength(8);
    look(61_250);
    expect(askedAtMs).toHaveLength(9);
    expect(asking.isFirstDue).toBe(false);
  });
});

describe("Intake", () => {
  const chunk = (seq: number, numBytes = 1): Sent => ({
    kind: "chunk",
    chunk: { sessionId: "s", seq: BigInt(seq), audioTimestamp: 0n, audioChunk: new Uint8Array(numBytes) },
  });
  const seqs = (turns: InTurn[] | string) =>
    typeof turns === "string"
      ? turns
      : turns.map(({ sent, numMissing }) => [Number(sent.kind === "chunk" ? sent.chunk.seq : sent.seq), numMissing]);

  it("needs no more of a repetition than what was missing, whatever else comes between", () => {
    const intake = new Intake(0n, true);
    const offer = (seq: number, connectionId = 1) => seqs(intake.offer(chunk(seq), connectionId));
    expect([offer(0), offer(3), offer(4), offer(6, 2)]).toEqual([[[0, 0]], "held", "held", "held"]);
    // What an old connection had read comes while a new one is there.
    expect([offer(1, 1), offer(7, 2)]).toEqual([[[1, 0]], "held"]);
    expect(offer(2, 2)).toEqual([
      [2, 0],
      [3, 0],
      [4, 0],
    ]);
    expect([offer(3, 2), offer(4, 2), intake.isWaiting]).toEqual(["repeat", "repeat", true]);
    expect(offer(5, 2)).toEqual([
      [5, 0],
      [6, 0],
      [7, 0],
    ]);
    expect(intake.isWaiting).toBe(false);
  });

  it("goes on at once where a repetition begins behind what is missing", () => {
    const intake = new Intake(1n, true);
    const offer = (seq: number, connectionId = 1) => seqs(intake.offer(chunk(seq), connectionId));
    for (const seq of [5, 6, 7]) expect(offer(seq)).toBe("held");
    // The middle of one whose beginning was cut off is no beginning.
    expect(offer(6, 2)).toBe("held");
    expect(offer(3, 2)).toEqual([[3, 2]]);
    expect(offer(4, 2)).toEqual([
      [4, 0],
      [5, 0],
      [6, 0],
      [7, 0],
    ]);
  });

  it("begins with a repetition where nobody knows the number, also behind what was on its way and is settled", () => {
    const intake = new Intake(undefined, true);
    const offer = (seq: number, connectionId = 1) => seqs(intake.offer(chunk(seq), connectionId));
    for (const seq of [5, 40, 41]) expect(offer(seq)).toBe("held");
    // The middle of one whose beginning was cut off.
    for (const seq of [3, 4, 40]) expect(offer(seq, 2)).toBe("held");
    expect(offer(39, 2)).toEqual([
      [39, 0],
      [40, 0],
      [41, 0],
    ]);
    expect(intake.isWaiting).toBe(false);
  });

  it("takes again what was too much to hold", () => {
    const intake = new Intake(0n, true);
    const half = 5 * 1024 * 1024;
    for (const seq of [1, 2, 3]) expect(intake.offer(chunk(seq, half), 1)).toBe("held");
    expect(seqs(intake.offer(chunk(0), 1))).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect(seqs(intake.offer(chunk(1, half), 1))).toBe("repeat");
    expect(seqs(intake.offer(chunk(2, half), 1))).toEqual([[2, 0]]);
  });
});

describe("Outbox", () => {
  it("sends once what is asked for again before it could be sent", async () => {
    const sent: string[] = [];
    let letOn: (() => void)[] = [];
    const sink = {
      submit(item: Item<SttUp>) {
        if (item.kind === "tuple") sent.push(item.tuple.audioChunk.length > 0 ? `${item.tuple.seq}` : "sign");
        return new Promise<void>((resolve) => letOn.push(resolve));
      },
    } as unknown as TcpSink<typeof STT_UP>;
    const outbox = new Outbox("s", sink);
    const added = chunks("s", noise(0.5)).map((item) =>
      item.kind === "tuple" ? outbox.add({ seq: item.tuple.seq, chunk: item.tuple }) : undefined,
    );
    const step = async () => {
      for (const resolve of letOn.splice(0)) resolve();
      await pause(0);
    };
    for (let n = 0; n < 3; n++) await step();
    // Many asks while the peer takes nothing are one repetition.
    for (let n = 0; n < 20; n++) outbox.goBack(1n);
    outbox.goBack(2n);
    outbox.say({ kind: "tuple", tuple: signalChunk("s", "reader", 7n) });
    const ended = outbox.end(5n);
    for (let n = 0; n < 12; n++) await step();
    await Promise.all([...added, ended]);
    expect(sent).toEqual(["0", "1", "2", "3", "sign", "1", "2", "3", "4", "sign"]);
    expect(outbox.numResent).toBe(3);
    letOn = [];
  });
});

/** A sender that says `resume=1` and is told by the test what to send. */
async function openSender(started: Started, sound: Float32Array) {
  const id = "busy?resume=1";
  const sink = new Up(STT_UP, started.audio);
  const records: SttDown[] = [];
  const source = new TcpSource(STT_DOWN, started.text, (item) => {
    if (item.kind !== "tuple") return;
    records.push(item.tuple);
    if (item.tuple.confidence === RECORDS.reader)
      void sink.submit({ kind: "tuple", tuple: signalChunk(id, "reader", item.tuple.seq) });
  });
  await until(() => records.some(({ confidence }) => confidence === RECORDS.reader));
  const items = chunks(id, sound);
  return {
    source,
    numChunks: items.length,
    of: (kind: number) => records.filter(({ confidence }) => confidence === kind),
    finals: () => records.flatMap(({ text, isFinal, confidence }) => (isFinal && confidence > 0 ? [text] : [])),
    async send(...seqs: number[]) {
      for (const seq of seqs) await sink.submit(items[seq]);
    },
    async end() {
      await sink.submit({ kind: "tuple", tuple: signalChunk(id, "end", BigInt(items.length)) });
      await source.done;
      await sink.close();
    },
  };
}

const span = (from: number, below: number) => Array.from({ length: below - from }, (_, i) => from + i);

describe("a session whose sound is missing", () => {
  it("waits for a sender that is alive, however long its repetition takes", async () => {
    clock = clockAt();
    const started = await start({ clock });
    const sound = noise(6, 3);
    const sender = await openSender(started, sound);
    await sender.send(0, 1, 2);
    const session = () => [...started.gateway.table.sessions.values()][0];
    for (const seq of span(8, sender.numChunks)) {
      await sender.send(seq);
      await until(() => session()?.activeAtMs === clock.atMs);
      clock.atMs += 7000;
      started.gateway.table.sweep();
    }
    expect(sender.of(RECORDS.sendAgain).every(({ seq }) => seq === 3n)).toBe(true);
    await sender.send(...span(3, 8));
    await sender.end();
    expect(sender.finals()).toEqual(await hashFinals(sound, 16_000));
    expect(started.log.join()).not.toMatch(/never came/);
    expect(sender.of(RECORDS.error)).toEqual([]);
  });

  it("gives up what a sender that is silent, or repeats nothing for long, does not send, and tells it", async () => {
    for (const [stepMs, isSilent] of [
      [60_000, true],
      [50_000, false],
    ] as const) {
      clock = clockAt();
      const started = await start({ clock });
      const sender = await openSender(started, noise(4, 3));
      await sender.send(0, 1, 2, 8);
      const session = () => [...started.gateway.table.sessions.values()][0];
      await until(() => session()?.heardSec > 0.25 && sender.of(RECORDS.sendAgain).length === 1);
      for (const seq of isSilent ? [9] : span(9, 22)) {
        if (!isSilent) await sender.send(seq);
        if (!isSilent) await until(() => session()?.activeAtMs === clock.atMs);
        clock.atMs += stepMs;
        started.gateway.table.sweep();
      }
      await until(() => sender.of(RECORDS.error).length > 0);
      const text = "CHUNKS_MISSING: busy?resume=1: 5 chunks before 8 never came (500 ms).";
      expect(sender.of(RECORDS.error)).toMatchObject([{ text, isFinal: true }]);
      expect(started.log).toContain(text.replace("CHUNKS_MISSING: ", ""));
      expect((await started.gateway.metrics.missing.get()).values).toMatchObject([{ value: 5 }]);
      sender.source.close();
    }
  });

  it("does not wait for what its sender has no more", async () => {
    clock = clockAt();
    const started = await start({ clock });
    const sender = await openSender(started, noise(1, 3));
    await sender.send(0, 1, 5, 6, 4, 5, 6, 7, 8, 9);
    await sender.end();
    expect(sender.of(RECORDS.error)).toMatchObject([
      { text: "CHUNKS_MISSING: busy?resume=1: 2 chunks before 4 never came (200 ms)." },
    ]);
  });

  it("is asked again when another reader comes, which may not have heard it", async () => {
    clock = clockAt();
    const started = await start({ clock });
    const sender = await openSender(started, noise(1, 3));
    await sender.send(0, 3);
    await until(() => sender.of(RECORDS.sendAgain).length === 1);
    sender.source.cut();
    await until(() => sender.of(RECORDS.sendAgain).length === 2, 10_000);
    await sender.send(...span(1, 10));
    await sender.end();
  });

  it("loses and repeats nothing while the engine is slower than the sound and connections are cut", async () => {
    clock = clockAt();
    const started = await start({ clock, engine: hashEngine({ blockMs: 8 }), limits: { maxQueuedSec: 0.3 } });
    const apps = [1, 2, 3, 4].map((n) => ({ sound: noise(12, n), one: sessionApp(started, `slow-${n}`) }));
    // The machine is so slow that all this takes minutes.
    const timer = setInterval(() => {
      clock.atMs += 250;
      started.gateway.table.sweep();
    }, 10);
    await Promise.all(
      apps.map(async ({ sound, one: { session } }, n) => {
        const sent: Promise<void>[] = [];
        for (const [i, { bytes, timestampMs }] of [...blocks(sound, 3200)].entries()) {
          // As an application in real time: it does not wait for the gateway.
          sent.push(session.submit(bytes, timestampMs));
          await pause(2);
          if ((i + 5 * n) % 20 === 7) session.sink.cut();
          if ((i + 5 * n) % 30 === 11) session.source.cut();
        }
        await session.submitFinal();
        await Promise.all(sent);
        await session.done;
      }),
    );
    clearInterval(timer);
    for (const { sound, one } of apps) {
      expect(one.shape()).toBe([...(await hashFinals(sound, 16_000)), "$"].join(" | "));
      expect(one.problems).not.toContain("CHUNKS_MISSING");
    }
    expect(started.log.join()).not.toMatch(/never came/);
  });
});
