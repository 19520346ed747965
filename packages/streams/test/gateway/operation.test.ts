import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { memorySource, openWav } from "@nemo-stt/core";
import { generate } from "selfsigned";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSocket } from "../../src/client/connect.ts";
import {
  FINAL_MARK,
  listCalls,
  type Peer,
  type RecordedCall,
  replayCalls,
  STT_DOWN,
  STT_UP,
  serveHttp,
  TcpSink,
  TcpSource,
} from "../../src/index.ts";
import { app, chunks, noise, type Started, start, until, wholeShape } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "nemo-stt-gateway-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Pem {
  readonly cert: string;
  readonly key: string;
}

describe("TLS", () => {
  let ca: Pem;
  let server: Pem;
  let client: Pem;
  let stranger: Pem;
  beforeAll(async () => {
    const pem = async (name: string, by?: Pem): Promise<Pem> => {
      const extensions = [
        { name: "basicConstraints", cA: by === undefined } as const,
        { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] } as const,
      ];
      const made = await generate([{ name: "commonName", value: name }], {
        keySize: 2048,
        extensions: extensions as never,
        ...(by ? { ca: by } : {}),
      });
      return { cert: made.cert, key: made.private };
    };
    ca = await pem("test ca");
    [server, client, stranger] = [await pem("localhost", ca), await pem("client", ca), await pem("stranger")];
  });

  const peers = (started: Started, own?: Pem) => {
    const tls = { ca: ca.cert, serverName: "localhost", ...own };
    return { audio: { ...started.audio, tls }, text: { ...started.text, tls } };
  };

  it("is not asked again and again by a client that it turns away", async () => {
    const started = await start({ tls: { ...server, clientCa: ca.cert } });
    const { text } = peers(started);
    const source = new TcpSource(STT_DOWN, text, () => {}, { retryMs: 20, maxAttempts: 4 });
    await expect(source.done).rejects.toMatchObject({
      code: "NETWORK_FAILED",
      message: expect.stringMatching(/expected something to read from a connection, got \S.* Check the port/),
    });
    expect(source.numConnections).toBe(4);
    const calls = await listCalls(
      fileURLToPath(new URL("../../../../examples/audio/call-ulaw-8k.wav", import.meta.url)),
    );
    const retry = { retryMs: 20, maxAttempts: 4 };
    await expect(replayCalls(calls, { ...peers(started), retry, isRealTime: false })).rejects.toMatchObject({
      code: "NETWORK_FAILED",
    });
    expect(started.log.join("\n")).toMatch(/TLS failed: peer did not return a certificate\./);
  });

  it("is refused by clients that asked for another host", async () => {
    const started = await start({ tls: server });
    const tls = { ca: ca.cert };
    // The certificate is for localhost.
    await expect(openSocket({ ...started.audio, host: "127.0.0.1", tls })).rejects.toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
    const named = await openSocket({ ...started.audio, host: "localhost", tls });
    named.destroy();
  });

  it("carries sessions, and asks for clients' certificates where told", async () => {
    for (const clientCa of [undefined, ca.cert]) {
      const started = await start({ tls: { ...server, clientCa } });
      const sound = noise(0.4);
      const { audio, text } = peers(started, clientCa ? client : undefined);
      const one = app({ audio, text } as never, "c1");
      for (const item of chunks("c1", sound)) await one.composite.sink.submit(item);
      await one.composite.submitFinal();
      await one.composite.done;
      expect(one.shape()).toBe(await wholeShape(sound));
    }
  });

  it("turns away clients without a certificate, with a strange one, and without TLS", async () => {
    const started = await start({ tls: { ...server, clientCa: ca.cert } });
    const turnedAway = async (peer: Peer) => {
      const socket = await openSocket(peer).catch(() => undefined);
      if (!socket) return;
      socket.resume();
      await new Promise((resolve) => socket.once("close", resolve));
    };
    await turnedAway(peers(started).audio);
    await turnedAway(peers(started, stranger).text);
    const plain = connect(started.audio.port, "127.0.0.1");
    plain.on("error", () => {});
    plain.write("hello, hello, hello");
    await new Promise((resolve) => plain.once("close", resolve));
    await until(() => started.log.filter((line) => line.includes("TLS failed")).length === 3);
    expect(started.gateway.table.sessions.size).toBe(0);
    expect(await started.gateway.metrics.streamsMetrics()).toMatchObject({ nWebsocketConnectionAttemptsFailed: 3 });
  });
});

describe("drain", () => {
  it("lets live calls end, turns new ones away, and says so", async () => {
    const started = await start();
    const http = await serveHttp(started.gateway, { port: 0 });
    const ready = async () => (await fetch(`http://127.0.0.1:${http.port}/readyz`)).status;
    expect(await ready()).toBe(200);
    const sound = noise(1);
    const items = chunks("c1", sound);
    const one = app(started, "c1");
    for (const item of items.slice(0, 5)) await one.composite.sink.submit(item);
    await until(() => started.gateway.table.sessions.size === 1);
    const drained = started.gateway.drain();
    expect(await ready()).toBe(503);
    const late = new TcpSink(STT_UP, started.audio, { retryMs: 5, maxAttempts: 1 });
    await late.submit(chunks("late", sound)[0]);
    for (const item of items.slice(5)) await one.composite.sink.submit(item);
    await one.composite.submitFinal();
    await one.composite.done;
    await drained;
    expect(one.shape()).toBe(await wholeShape(sound));
    expect(started.log.join()).toMatch(/expected no new sessions, got one/);
    expect(started.events.filter((event) => event.type === "session-started")).toHaveLength(1);
    await http.close();
  });

  it("ends calls that do not end in time with their last finals", async () => {
    const started = await start({ limits: { drainMs: 50 } });
    const sound = noise(0.5);
    const one = app(started, "c1");
    for (const item of chunks("c1", sound)) await one.composite.sink.submit(item);
    await until(() => one.items.length >= 5);
    await started.gateway.drain();
    await until(() => one.items.at(-1)?.kind === "final");
    expect(one.shape()).toBe(await wholeShape(sound));
    expect(started.events.filter((event) => event.type === "call-ended")).toMatchObject([{ reason: "drained" }]);
  });
});

const describedIn = (path: string): RecordedCall[] =>
  readdirSync(path)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(path, name), "utf8")));

describe("recordings", () => {
  it("leaves a call in one piece when it is killed in its middle", async () => {
    const recordFolder = join(folder, "live");
    const started = await start({ recordFolder });
    const sink = new TcpSink(STT_UP, started.audio);
    for (const channel of [0, 1]) {
      const id = `k8-${channel}?call=k8&role=${channel ? "caller" : "agent"}&channel=${channel}&parties=2`;
      for (const item of chunks(id, noise(0.5, channel + 1))) await sink.submit(item);
    }
    const sessions = () => [...started.gateway.table.sessions.values()];
    await until(() => sessions().filter(({ heardSec }) => heardSec > 0.45).length === 2);
    // What stands in the folder at any moment is what a kill leaves.
    const killed = join(folder, "killed");
    cpSync(recordFolder, killed, { recursive: true });
    expect(describedIn(killed)[0].endReason).toBeUndefined();
    const calls = await listCalls(killed);
    expect(calls).toMatchObject([{ callId: "k8", parties: [{ channelRole: "agent" }, { channelRole: "caller" }] }]);
    for (const { path } of calls[0].parties) {
      const wav = await openWav(memorySource(readFileSync(path), path));
      expect(wav.numSamples).toBeGreaterThan(0.4 * 16_000);
    }
  });

  it("keeps both parties of a call as they were heard, with who they are and what they said", async () => {
    const started = await start({ recordFolder: folder });
    const parties = [
      { role: "agent", channel: 0, sound: noise(0.7, 1, 8000), startMs: 0 },
      { role: "caller", channel: 1, sound: noise(0.5, 2, 8000), startMs: 300 },
    ];
    const sink = new TcpSink(STT_UP, started.audio);
    for (const { role, channel, sound, startMs } of parties) {
      const id = `k7-${role}?call=k7&role=${role}&channel=${channel}&parties=2&sampleRate=8000&phone=555-${channel}&site=north`;
      const first = chunks(id, sound, 1000).map((item, i) => {
        if (item.kind !== "tuple") return item;
        return { ...item, tuple: { ...item.tuple, audioTimestamp: BigInt(startMs + Math.round(i * 62.5)) } };
      });
      for (const item of first) await sink.submit(item);
    }
    await sink.submit(FINAL_MARK);
    await until(() => describedIn(folder)[0]?.endReason !== undefined);
    const [call] = describedIn(folder);
    expect(call).toMatchObject({ schema: "nemo-stt-call", version: 1, callId: "k7", endReason: "final-mark" });
    expect(call.transcript.map(({ channelRole, startMs }) => [channelRole, startMs])).toEqual([
      ["agent", 0],
      ["caller", 300],
    ]);
    for (const [i, { sound, startMs, role, channel }] of parties.entries()) {
      const party = call.parties[i];
      expect(party).toMatchObject({ channelRole: role, startMs, sampleRateHz: 8000, numSamples: sound.length });
      expect(party).toMatchObject({ phoneNumber: `555-${channel}`, additionalMetadata: { site: "north" } });
      const wav = await openWav(memorySource(readFileSync(join(folder, party.file)), party.file));
      expect([wav.encoding, wav.numSamples, wav.warnings]).toEqual(["ulaw", sound.length, []]);
      const [samples] = await wav.read(0, wav.numSamples);
      // µ-law keeps about 14 bits near zero and 4 % of loud samples.
      expect(samples.every((value, n) => Math.abs(value - sound[n]) <= 0.035 * Math.abs(sound[n]) + 1e-3)).toBe(true);
    }
    expect(started.events.filter((event) => event.type === "call-ended")).toHaveLength(1);
  });

  it("tells when it cannot write, and the call goes on", async () => {
    const broken = join(folder, "gone");
    const started = await start({ recordFolder: broken });
    rmSync(broken, { recursive: true });
    const sound = noise(0.4);
    const one = app(started, "c1");
    for (const item of chunks("c1", sound)) await one.composite.sink.submit(item);
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.shape()).toBe(await wholeShape(sound));
    expect(started.log.join()).toMatch(/c1: recording stopped: .*ENOENT/);
  });
});

describe("what the gateway shows", () => {
  it("counts under both kinds of names and publishes events", async () => {
    const started = await start();
    const http = await serveHttp(started.gateway, { port: 0 });
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${http.port}${path}`)).text();
    const abort = new AbortController();
    const response = await fetch(`http://127.0.0.1:${http.port}/events`, { signal: abort.signal });
    let feed = "";
    const reading = (async () => {
      for await (const part of response.body as unknown as AsyncIterable<Uint8Array>)
        feed += Buffer.from(part).toString();
    })().catch(() => {});
    const sound = noise(0.6);
    const one = app(started, "c1?role=caller");
    for (const item of chunks("c1?role=caller", sound)) await one.composite.sink.submit(item);
    await until(() => one.items.length > 3);
    expect(JSON.parse(await get("/calls"))).toMatchObject([{ callId: "c1", parties: [{ channelRole: "caller" }] }]);
    await one.composite.submitFinal();
    await one.composite.done;
    await until(() => feed.includes("call-ended"));
    abort.abort();
    await reading;
    for (const type of [
      "calls",
      "session-started",
      "interim",
      "final",
      "level",
      "transcript",
      "session-ended",
      "call-ended",
    ])
      expect(feed).toContain(`event: ${type}\n`);
    expect(await get("/metrics")).toMatch(/nemo_stt_gateway_audio_bytes_total 19200/);
    expect(await get("/metrics")).toMatch(/nemo_stt_gateway_text_latency_seconds_count [1-9]/);
    expect(JSON.parse(await get("/metrics.json"))).toMatchObject({
      nVoiceCallsProcessed: 1,
      nSpeechDataBytesReceived: 19_200,
      nFullAudioConversationsTranscribed: 1,
      audioPort: started.audio.port,
    });
    expect(await get("/healthz")).toBe("ok\n");
    await http.close();
    await pause(0);
  });

  it("says which port is taken", async () => {
    const started = await start();
    await expect(start({ audioPort: started.audio.port })).rejects.toThrow(/expected a free port, got EADDRINUSE/);
  });
});
