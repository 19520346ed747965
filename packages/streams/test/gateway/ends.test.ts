import { wavHeader } from "@nemo-stt/core";
import { expect, it } from "vitest";
import { type GatewayOptions, STT_DOWN, STT_UP, type SttDown, TcpSink, TcpSource } from "../../src/index.ts";
import { RECORDS, signalChunk } from "../../src/spl/signals.ts";
import { hashEngine } from "../hash-engine.ts";
import { app, blocks, chunks, noise, sessionApp, start, until } from "./harness.ts";

// Every end is signalled once, reaches its reader, and says whether it is one.

const unsupported = wavHeader({ sampleRateHz: 8000, encoding: "ulaw" }, 1);
unsupported[20] = 0x11;

const failures: readonly [string, string, RegExp, string, Uint8Array, Partial<GatewayOptions>][] = [
  [
    "a bad id",
    "FORMAT_INVALID",
    /expected sampleRate in \[8000, 48000\], got 7/,
    "sampleRate=7",
    new Uint8Array(99),
    {},
  ],
  ["a WAV of an unknown kind", "AUDIO_UNSUPPORTED", /expected .* got /, "", unsupported, {}],
  ["no room", "OVER_CAPACITY", /at most 0 live sessions/, "", new Uint8Array(99), { limits: { maxSessions: 0 } }],
  [
    "an engine that is full",
    "OVER_CAPACITY",
    /at most 0 streams/,
    "",
    new Uint8Array(9999),
    { engine: hashEngine({ maxStreams: 0 }), limits: { admissionMs: 0 } },
  ],
  [
    "an engine that fails",
    "RUNTIME_FAILED",
    /got poison/,
    "",
    new Uint8Array(9999),
    { engine: hashEngine({ poison: 0 }) },
  ],
];

it.each(failures)(
  "tells an application of %s before it ends (%s)",
  async (_, code, message, options, bytes, gateway) => {
    const started = await start(gateway);
    const one = sessionApp(started, "c1", options);
    const plain = app(started, `plain?${options}`);
    await one.session.submit(bytes, 0);
    await plain.composite.submit(bytes, 0);
    await expect(one.session.done).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(one.problems).toEqual([code]);
    expect(one.shape()).toBe("$");
    await expect(one.session.submit(bytes, 0)).rejects.toMatchObject({ code });
    await plain.composite.submitFinal();
    await until(() => plain.shape() === "$");
    plain.composite.source.close();
  },
);

it("tells an application that was away for too long, and one whose service is closed", async () => {
  const started = await start({ limits: { reconnectMs: 100 } });
  const [away, here] = [sessionApp(started, "away"), sessionApp(started, "here")];
  for (const { session } of [away, here]) await session.submit(new Uint8Array(3200), 0);
  await until(() => started.gateway.table.sessions.size === 2);
  away.session.sink.cut();
  await expect(away.session.done).rejects.toMatchObject({ code: "TIMED_OUT" });
  const closed = expect(here.session.done).rejects.toMatchObject({ code: "CLOSED" });
  for (const session of started.gateway.table.sessions.values()) await session.abandon("drained");
  await closed;
});

it("begins nothing with a repetition that comes after the end", async () => {
  const started = await start();
  const { session } = sessionApp(started, "c1", "call=k1");
  const sound = [...blocks(noise(0.5), 3200)];
  for (const { bytes, timestampMs } of sound) await session.submit(bytes, timestampMs);
  await session.submitFinal();
  await session.done;
  const late = new TcpSink(STT_UP, started.audio);
  for (const item of chunks(session.sessionId, noise(0.5))) await late.submit(item);
  await late.close();
  await until(() => started.events.filter(({ type }) => type === "session-started").length > 1, 500).catch(() => {});
  expect((await started.gateway.metrics.repeats.get()).values).toMatchObject([{ value: 5 }]);
  expect(started.gateway.table.sessions.size).toBe(0);
  expect(started.events.filter(({ type }) => type === "call-ended" || type === "session-started")).toHaveLength(2);
});

it("asks a reader whose it is until it says so, since what it said may be lost with a connection", async () => {
  const started = await start();
  const id = "c1?resume=1";
  const sink = new TcpSink(STT_UP, started.audio);
  const records: SttDown[] = [];
  const source = new TcpSource(STT_DOWN, started.text, (item) => {
    if (item.kind === "tuple") records.push(item.tuple);
  });
  for (const item of chunks(id, noise(0.3))) await sink.submit(item);
  await sink.submit({ kind: "tuple", tuple: signalChunk(id, "end", 3n) });
  const numbers = () => records.flatMap(({ seq, confidence }) => (confidence === RECORDS.reader ? [seq] : []));
  await until(() => numbers().length === 2, 20_000);
  expect(numbers()[1]).toBe(numbers()[0]);
  await sink.submit({ kind: "tuple", tuple: signalChunk(id, "reader", numbers()[1]) });
  await source.done;
  await sink.close();
});
