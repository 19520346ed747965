import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import {
  encodeItem,
  FINAL_MARK,
  STT_DOWN,
  STT_UP,
  type SttDown,
  TcpSink,
  TcpSource,
  tupleItem,
  WINDOW_MARK,
} from "../../src/index.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";
import { app, blocks, chunks, noise, start, until, wholeShape } from "./harness.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("cuts", () => {
  it("loses and repeats nothing when the text connection is cut again and again", async () => {
    const started = await start();
    const sounds = [1, 2, 3, 4, 5, 6].map((seed) => noise(0.4, seed));
    const one = app(started, "c1", 5);
    for (const [i, sound] of sounds.entries()) {
      for (const { bytes, timestampMs } of blocks(sound, 3200, 16_000, i * 400)) {
        await one.composite.submit(bytes, timestampMs);
        await pause(4);
        if (i % 2 === 1) one.composite.source.cut();
      }
      await one.composite.submitMark();
    }
    await one.composite.submitFinal();
    await one.composite.done;
    const expected = (await Promise.all(sounds.map((sound) => hashFinals(sound, 16_000)))).flatMap((w) => [...w, "#"]);
    expect(one.composite.source.numConnections).toBeGreaterThan(3);
    expect(one.shape()).toBe([...expected, "$"].join(" | "));
  });

  it("goes on with a session after its audio connection was cut, and drops repeats", async () => {
    const started = await start();
    const sound = noise(2, 9);
    const one = app(started, "c1", 5);
    for (const [i, item] of chunks("c1", sound).entries()) {
      await one.composite.sink.submit(item);
      if (i % 5 !== 4) continue;
      await pause(20);
      one.composite.sink.cut();
      // What it cannot be sure of it sends again.
      await one.composite.sink.submit(item);
    }
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.shape()).toBe(await wholeShape(sound));
    expect(one.composite.sink.numConnections).toBeGreaterThan(2);
    expect(
      await started.gateway.metrics.registry.getSingleMetricAsString("nemo_stt_gateway_chunks_repeated_total"),
    ).toMatch(/ 4$/);
  });

  it("takes a mark that is sent again on a new connection for the session that waits there", async () => {
    const started = await start();
    const sound = noise(0.5, 9);
    const one = app(started, "c1", 5);
    for (const item of chunks("c1", sound)) await one.composite.sink.submit(item);
    await pause(20);
    one.composite.sink.cut();
    await one.composite.submitMark();
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.shape()).toBe(await wholeShape(sound));
  });

  it("puts silence where chunks are missing, so that later words keep their time", async () => {
    const started = await start();
    const sound = noise(2, 11);
    const one = app(started, "c1");
    for (const [i, item] of chunks("c1", sound).entries()) if (i < 8 || i >= 14) await one.composite.sink.submit(item);
    await one.composite.submitFinal();
    await one.composite.done;
    const heard = sound.slice().fill(0, 8 * 1600, 14 * 1600);
    expect(one.shape()).toBe(await wholeShape(heard));
    expect(started.events).toContainEqual(expect.objectContaining({ type: "gap", numMissing: 6, missingMs: 600 }));
    expect(started.log.join("\n")).toMatch(/c1: 6 chunks before 14 never came \(600 ms\)/);
  });

  it("signals the end of a session whose application vanished, once, after its last final", async () => {
    const started = await start({ limits: { reconnectMs: 100 } });
    const sound = noise(0.5, 3);
    const one = app(started, "c1");
    for (const item of chunks("c1", sound)) await one.composite.sink.submit(item);
    await pause(20);
    one.composite.sink.cut();
    await one.composite.done;
    expect(one.shape()).toBe(await wholeShape(sound));
    expect(started.events.filter((event) => event.type === "call-ended")).toMatchObject([{ reason: "vanished" }]);
  });

  it("goes on under the same id when an application is started again and counts from 0", async () => {
    const started = await start();
    const sounds = [noise(0.5, 1), noise(0.5, 2)];
    const first = new TcpSink(STT_UP, started.audio);
    for (const item of chunks("c1", sounds[0])) await first.submit(item);
    await pause(20);
    first.cut();
    const one = app(started, "c1");
    await pause(20);
    for (const item of chunks("c1", sounds[1])) await one.composite.sink.submit(item);
    await one.composite.submitFinal();
    await one.composite.done;
    const [before, after] = await Promise.all(sounds.map((sound) => hashFinals(sound, 16_000)));
    expect(one.shape()).toBe([...before, "#", ...after, "#", "$"].join(" | "));
    expect(started.events.filter((event) => event.type === "session-ended")).toMatchObject([{ reason: "final-mark" }]);
  });
});

describe("several sessions", () => {
  it("ends each by its end record, marks stand behind their session's record, and the reader ends with the application", async () => {
    const started = await start();
    const got: (SttDown | string)[] = [];
    const source = new TcpSource(STT_DOWN, started.text, (item) => {
      got.push(item.kind === "tuple" ? item.tuple : item.kind);
    });
    const sink = new TcpSink(STT_UP, started.audio);
    const [a, b] = [chunks("a", noise(0.4, 1)), chunks("b", noise(0.4, 2))];
    for (const [i, item] of a.entries()) {
      await sink.submit(item);
      await sink.submit(b[i]);
    }
    await sink.submit(WINDOW_MARK);
    await sink.submit(FINAL_MARK);
    await source.done;
    expect(got.at(-1)).toBe("final");
    const marks = got.flatMap((item, i) => (item === "window" ? [(got[i - 1] as SttDown).sessionId] : []));
    expect(marks.sort()).toEqual(["a", "b"]);
    expect(got.filter((item) => typeof item === "object" && item.confidence === -1)).toHaveLength(1);
    for (const id of ["a", "b"]) {
      const seqs = got.flatMap((item) => (typeof item === "object" && item.sessionId === id ? [item.seq] : []));
      expect(seqs).toEqual(seqs.map((_, i) => BigInt(i)));
    }
  });

  it("shows a port only its sessions", async () => {
    const started = await start({ textPorts: [{ port: 0, sessions: "x*" }, { port: 0 }] });
    const one = app(started, "y1");
    const other = app({ ...started, text: { port: started.gateway.textPorts[1] } }, "y1");
    await one.composite.sink.submit(chunks("y1", noise(0.1))[0]);
    await one.composite.submitFinal();
    await other.composite.done;
    expect(one.items).toEqual([]);
    expect(other.finals()).toHaveLength(1);
    one.composite.source.close();
  });

  it("fails one alone, tells it, and signals its end", async () => {
    const started = await start({ engine: hashEngine({ poison: 0.5 }) });
    const [good, bad] = [app(started, "good"), app(started, "bad")];
    const sound = noise(0.6, 1).map((value) => value * 0.5);
    const sink = new TcpSink(STT_UP, started.audio);
    const poisoned = chunks(
      "bad",
      Float32Array.from({ length: 3200 }, () => 0.5),
      3200,
    );
    for (const [i, item] of chunks("good", sound).entries()) {
      await sink.submit(item);
      if (poisoned[i]) await sink.submit(poisoned[i]);
    }
    await sink.submit(FINAL_MARK);
    await Promise.all([good.composite.done, bad.composite.done]);
    expect(good.shape()).toBe(await wholeShape(sound));
    expect(bad.shape()).toBe("$");
    expect(started.events).toContainEqual(
      expect.objectContaining({ type: "failed", code: "RUNTIME_FAILED", sessionId: "bad" }),
    );
    expect(await started.gateway.metrics.streamsMetrics()).toMatchObject({
      nFullAudioConversationsTranscribed: 1,
      nFullAudioConversationsFailed: 1,
    });
  });

  it("refuses an id that makes no sense, and goes on with the others", async () => {
    const started = await start();
    const [good, bad] = [app(started, "good"), app(started, "bad?sampleRate=7")];
    const sink = new TcpSink(STT_UP, started.audio);
    const sound = noise(0.3);
    await sink.submit(chunks("bad?sampleRate=7", sound)[0]);
    await sink.submit(WINDOW_MARK);
    for (const item of chunks("good", sound)) await sink.submit(item);
    await sink.submit(FINAL_MARK);
    await Promise.all([good.composite.done, bad.composite.done]);
    expect(started.log.join()).not.toMatch(/mark came before any tuple/);
    expect([good.shape(), bad.shape()]).toEqual([await wholeShape(sound), "$"]);
    expect(started.log.join()).toMatch(/session bad\?sampleRate=7: expected sampleRate in \[8000, 48000\], got 7/);
  });

  it("lets a session wait for room, and refuses it when none comes", async () => {
    const started = await start({ engine: hashEngine({ maxStreams: 1 }), limits: { admissionMs: 300 } });
    const [first, second, third] = ["first", "second", "third"].map((id) => app(started, id));
    const sound = noise(0.3);
    for (const item of chunks("first", sound)) await first.composite.sink.submit(item);
    const waiting = (async () => {
      for (const item of chunks("second", sound)) await second.composite.sink.submit(item);
    })();
    await pause(50);
    await first.composite.submitFinal();
    await waiting;
    await until(() => second.items.length > 0);
    for (const item of chunks("third", sound)) await third.composite.sink.submit(item);
    await third.composite.done;
    expect(third.shape()).toBe("$");
    await second.composite.submitFinal();
    await Promise.all([first.composite.done, second.composite.done]);
    expect(second.shape()).toBe(await wholeShape(sound));
    expect(await started.gateway.metrics.streamsMetrics()).toMatchObject({ nVoiceCallsThrottled: 1 });
  });
});

describe("peers that misbehave", () => {
  it("reads no further than the queue is long, and loses nothing of it", async () => {
    const started = await start({ engine: hashEngine({ blockMs: 5 }), limits: { maxQueuedSec: 0.5 } });
    const sound = noise(6, 4);
    const one = app(started, "c1");
    let most = 0;
    started.gateway.feed.subscribe(() => {
      for (const session of started.gateway.table.sessions.values()) most = Math.max(most, session.queuedSec);
    });
    for (const item of chunks("c1", sound)) await one.composite.sink.submit(item);
    await one.composite.submitFinal();
    await one.composite.done;
    expect(most).toBeLessThan(0.75);
    expect(one.shape()).toBe(await wholeShape(sound));
  });

  it("cuts a peer that sent half a record and then nothing", async () => {
    const started = await start({ limits: { recordMs: 100 } });
    const socket = connect(started.audio.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(encodeItem(STT_UP, chunks("c1", noise(0.2))[0]).subarray(0, 50));
    await new Promise((resolve) => socket.once("close", resolve));
    expect(started.log.join()).toMatch(/expected the rest of a record within 100 ms/);
  });

  it("leaves a peer alone whose records go on, wherever the network cuts them", async () => {
    const started = await start({ limits: { recordMs: 80 } });
    const sound = noise(1, 8);
    const one = app(started, "c1");
    const bytes = Buffer.concat([...chunks("c1", sound), FINAL_MARK].map((item) => encodeItem(STT_UP, item)));
    const socket = connect(started.audio.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.setNoDelay(true);
    for (let at = 0; at < bytes.length; at += 1700) {
      socket.write(bytes.subarray(at, at + 1700));
      await pause(15);
    }
    await one.composite.done;
    expect(one.shape()).toBe(await wholeShape(sound));
    socket.destroy();
  });

  it("cuts a reader that takes nothing, and gives it the rest when it comes back", async () => {
    const started = await start({ engine: hashEngine({ wordLength: 500 }), limits: { stalledReaderMs: 200 } });
    const stuck = connect(started.text.port, "127.0.0.1");
    stuck.on("error", () => {});
    stuck.pause();
    await pause(20);
    const sink = new TcpSink(STT_UP, started.audio);
    const sound = new Float32Array(13 * 16_000 * 4);
    for (let i = 0; i < 4; i++) sound.set(noise(12, i + 1), 13 * 16_000 * i);
    for (const item of chunks("c1", sound)) await sink.submit(item);
    await until(() => started.log.some((line) => /took nothing for 200 ms and was cut/.test(line)), 20_000);
    stuck.destroy();
    const one = app(started, "c1");
    await sink.submit(FINAL_MARK);
    await one.composite.done;
    expect(one.finals().filter((text) => text !== "")).toHaveLength(4);
  });

  it("survives connections of nonsense while a session goes on exactly", async () => {
    const started = await start({ limits: { reconnectMs: 300 } });
    const one = app(started, "c1");
    const sound = noise(1, 6);
    const valid = encodeItem(
      STT_UP,
      tupleItem({ sessionId: "x", seq: 0n, audioTimestamp: 0n, audioChunk: new Uint8Array(99) }),
    );
    const hostile = async (n: number) => {
      const bytes = Uint8Array.from(valid);
      for (let i = 0; i < 3; i++) bytes[(n * 7919 + i * 104_729) % bytes.length] = (n * 31 + i) & 255;
      const socket = connect(n % 3 === 0 ? started.text.port : started.audio.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(
        n % 5 === 0 ? Buffer.from("GET / HTTP/1.1\r\n\r\n") : bytes.subarray(0, (n * 13) % (bytes.length + 1)),
      );
      await pause(n % 4);
      if (n % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
      await new Promise((resolve) => (socket.closed ? resolve(undefined) : socket.once("close", resolve)));
    };
    const numHostile = Number(process.env.FUZZ_ITERATIONS ?? 400);
    const attack = (async () => {
      for (let n = 0; n < numHostile; n += 20) await Promise.all(Array.from({ length: 20 }, (_, i) => hostile(n + i)));
    })();
    let isOver = false;
    void attack.then(() => {
      isOver = true;
    });
    // It speaks as long as the attack lasts, window after window.
    let numWindows = 0;
    for (; !isOver; numWindows++) {
      for (const { bytes, timestampMs } of blocks(sound, 3200, 16_000, numWindows * 1000)) {
        await one.composite.submit(bytes, timestampMs);
        await pause(5);
      }
      await one.composite.submitMark();
    }
    await attack;
    await one.composite.submitFinal();
    await one.composite.done;
    const window = [...(await hashFinals(sound, 16_000)), "#"];
    expect(one.shape()).toBe([...Array.from({ length: numWindows }, () => window).flat(), "$"].join(" | "));
    // What happened to be a session waited for its peer, and left nothing behind.
    await until(() => started.gateway.table.sessions.size === 0 && started.engine.numStreams === 0, 10_000);
    expect(started.gateway.table.calls.size).toBe(0);
  });
});
