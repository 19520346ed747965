import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { SpeechEngine } from "@nemo-stt/core";
import { afterEach } from "vitest";
import {
  type CompositeText,
  type Gateway,
  type GatewayEvent,
  type GatewayOptions,
  type Item,
  SttComposite,
  SttSession,
  type SttUp,
  startGateway,
  tupleItem,
} from "../../src/index.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";

const open: Gateway[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((gateway) => gateway.close()));
});

export interface Started {
  readonly gateway: Gateway;
  readonly engine: SpeechEngine;
  readonly log: string[];
  readonly events: GatewayEvent[];
  readonly text: { readonly port: number };
  readonly audio: { readonly port: number };
}

/** A gateway on free ports, with the hash engine unless told. */
export async function start(options: Partial<GatewayOptions> = {}): Promise<Started> {
  const log: string[] = [];
  const events: GatewayEvent[] = [];
  const tell = (message: string) => void log.push(message);
  const engine = options.engine ?? hashEngine();
  const gateway = await startGateway({
    engine,
    audioPort: 0,
    textPorts: [{ port: 0 }],
    log: { info: tell, warn: tell, error: tell },
    ...options,
  });
  gateway.feed.subscribe((event) => events.push(event));
  open.push(gateway);
  return { gateway, engine, log, events, audio: { port: gateway.audioPort }, text: { port: gateway.textPorts[0] } };
}

/** An application with one composite, and what came out of it. */
export interface App {
  readonly composite: SttComposite;
  readonly items: Item<CompositeText>[];
  readonly finals: () => string[];
  /** Marks and finals as one line: `text | text | # $`. */
  readonly shape: () => string;
}

export function app({ audio, text }: Pick<Started, "audio" | "text">, sessionId: string, retryMs = 20): App {
  const items: Item<CompositeText>[] = [];
  const composite = new SttComposite({
    sessionId,
    audio,
    text,
    retry: { retryMs },
    onItem: (item) => items.push(item),
  });
  return { composite, ...views(items) };
}

function views(items: Item<CompositeText>[]) {
  const finals = () => items.flatMap((i) => (i.kind === "tuple" && i.tuple.isFinal ? [i.tuple.text] : []));
  const shape = () =>
    items
      .flatMap((i) =>
        i.kind === "window" ? ["#"] : i.kind === "final" ? ["$"] : i.tuple.isFinal ? [i.tuple.text] : [],
      )
      .join(" | ");
  return { items, finals, shape };
}

/** An application with the toolkit's own composite, and what came out of it. */
export interface SessionApp extends Omit<App, "composite"> {
  readonly session: SttSession;
  readonly problems: string[];
}

export function sessionApp(
  { audio, text }: Pick<Started, "audio" | "text">,
  name: string,
  options?: string,
  retryMs = 20,
  replayBytes?: number,
): SessionApp {
  const items: Item<CompositeText>[] = [];
  const problems: string[] = [];
  const session = new SttSession({
    name,
    options,
    audio,
    text,
    retry: { retryMs },
    replayBytes,
    onItem: (item) => items.push(item),
    onProblem: (code) => problems.push(code),
  });
  return { session, problems, ...views(items) };
}

/** Ports that stay while what is behind them changes. */
export interface Front {
  readonly audio: { readonly port: number };
  readonly text: { readonly port: number };
  /** Lets connections through to a gateway. */
  open(behind: Pick<Started, "audio" | "text">): void;
  /** Breaks all connections at once, as the end of a process does: what stands in buffers is lost, nothing is said any more. */
  kill(): void;
  close(): void;
}

export async function openFront(): Promise<Front> {
  const sockets = new Set<Socket>();
  let behind: Pick<Started, "audio" | "text"> | undefined;
  const serve = (side: "audio" | "text") =>
    createServer((near) => {
      near.on("error", () => {});
      if (!behind) {
        near.resetAndDestroy();
        return;
      }
      const far = connect(behind[side].port, "127.0.0.1");
      far.on("error", () => {});
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      }
      near.pipe(far);
      far.pipe(near);
      near.once("close", () => far.destroy());
      far.once("close", () => near.destroy());
    });
  const servers = { audio: serve("audio"), text: serve("text") };
  const portOf = async (server: Server) => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { port: (server.address() as AddressInfo).port };
  };
  const [audio, text] = [await portOf(servers.audio), await portOf(servers.text)];
  const kill = () => {
    behind = undefined;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    audio,
    text,
    open(next) {
      behind = next;
    },
    kill,
    close() {
      kill();
      for (const server of Object.values(servers)) server.close();
    },
  };
}

/** Samples of noise, the same for the same seed, as 16-bit PCM. */
export function noise(seconds: number, seed = 1, sampleRateHz = 16_000): Float32Array {
  let state = seed >>> 0 || 1;
  return Float32Array.from({ length: Math.round(seconds * sampleRateHz) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (((state >>> 16) & 0x7fff) - 0x4000) / 0x8000;
  });
}

/** Numbers in [0, 1), the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Utterances with silence between them. */
export function talk(seed: number, numUtterances: number): Float32Array {
  const pick = random(seed);
  const parts = Array.from({ length: numUtterances }, (_, i) => {
    const part = new Float32Array(16_000 * (Math.round(pick() * 6) / 10 + 1.8));
    part.set(noise(Math.round(pick() * 4 + 2) / 10, seed * 100 + i));
    return part;
  });
  const sound = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => {
    sound.set(part, at);
    return at + part.length;
  }, 0);
  return sound;
}

/** Samples as s16le bytes in blocks of some bytes, with the time of each. */
export function* blocks(samples: Float32Array, blockBytes: number, sampleRateHz = 16_000, startMs = 0) {
  const bytes = new Uint8Array(Int16Array.from(samples, (value) => Math.round(value * 32768)).buffer);
  for (let at = 0; at < bytes.length; at += blockBytes) {
    yield { bytes: bytes.slice(at, at + blockBytes), timestampMs: startMs + (at / 2 / sampleRateHz) * 1000 };
  }
}

/** Samples as the items of a session. */
export function chunks(sessionId: string, samples: Float32Array, blockBytes = 3200): Item<SttUp>[] {
  return [...blocks(samples, blockBytes)].map(({ bytes, timestampMs }, seq) =>
    tupleItem({ sessionId, seq: BigInt(seq), audioTimestamp: BigInt(Math.round(timestampMs)), audioChunk: bytes }),
  );
}

/** The finals of some sound, its mark and its end, as `shape` writes them. */
export const wholeShape = async (sound: Float32Array): Promise<string> =>
  [...(await hashFinals(sound, 16_000)), "#", "$"].join(" | ");

export async function until(isTrue: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`expected ${isTrue} within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
