import { encodeSamples } from "@nemo-stt/core";
import { openAudio } from "@nemo-stt/node";
import type { Peer, Retry } from "../client/connect.ts";
import { TcpSink } from "../client/tcp-sink.ts";
import { TcpSource } from "../client/tcp-source.ts";
import { FINAL_MARK, type Item, tupleItem } from "../items.ts";
import { STT_DOWN, STT_UP, type SttDown, type SttUp } from "../spl/schemas.ts";
import type { PlayableCall, PlayableParty } from "./recordings.ts";

/** How calls are played. */
export interface ReplayOptions {
  readonly audio: Peer;
  readonly text: Peer;
  readonly retry?: Retry;
  /** As fast as they were spoken, or as fast as the gateway takes them. */
  readonly isRealTime: boolean;
  /** Sound in one tuple; 100 ms unless told. */
  readonly blockMs?: number;
  /** How often each call is played, side by side; 1 unless told. */
  readonly copies?: number;
  /** Told of every final. */
  readonly onFinal?: (text: ReplayedText) => void;
}

/** A final of a call that is being played. */
export interface ReplayedText {
  readonly callId: string;
  readonly channelRole: string;
  readonly channelNumber: number;
  readonly text: string;
  readonly confidence: number;
}

/** What was played. */
export interface ReplaySummary {
  readonly numCalls: number;
  readonly numSessions: number;
  readonly numFinals: number;
  readonly audioSec: number;
  readonly wallSec: number;
}

/** A party under its session id. */
interface Session extends PlayableParty {
  readonly callId: string;
  readonly sessionId: string;
}

const DEFAULT_BLOCK_MS = 100;
/** Two and a half seconds of two parties. */
const KEPT_CHUNKS = 50;

/**
 * Plays calls to a gateway as an SPL application would send them: a TCPSink for each call, one TCPSource for all texts.
 * Resolves when every session's end came.
 * @throws SpeechError of the recordings, or the connection's error where `retry.maxAttempts` is used up
 */
export async function replayCalls(calls: readonly PlayableCall[], options: ReplayOptions): Promise<ReplaySummary> {
  const startedMs = performance.now();
  // Ids of different runs must differ: the gateway may still have what was before.
  const run = Date.now().toString(36);
  const copies = Array.from({ length: options.copies ?? 1 }, (_, copy) => copy);
  const named = copies.flatMap((copy) => calls.map((call) => sessionsOf(call, `${run}-${copy}`)));
  const playing = await Promise.all(named);
  const sessions = new Map(playing.flat().map((session) => [session.sessionId, session]));
  const open = new Set(sessions.keys());
  const next = new Map<string, bigint>();
  let numFinals = 0;
  const onItem = (item: Item<SttDown>) => {
    if (item.kind !== "tuple" || !open.has(item.tuple.sessionId)) return;
    const { sessionId, seq, text, isFinal, confidence } = item.tuple;
    if (seq < (next.get(sessionId) ?? 0n)) return;
    next.set(sessionId, seq + 1n);
    if (confidence < 0) open.delete(sessionId);
    else if (isFinal && text !== "") {
      numFinals++;
      const { callId, channelRole, channelNumber } = sessions.get(sessionId) as Session;
      options.onFinal?.({ callId, channelRole, channelNumber, text, confidence });
    }
    if (open.size === 0) source.close();
  };
  const source = new TcpSource(STT_DOWN, options.text, onItem, { ...options.retry, endsByRecords: true });
  const played = Promise.all(playing.map((call) => playCall(call, options)));
  try {
    const audioSec = (await Promise.all([played, source.done]))[0].reduce((sum, seconds) => sum + seconds, 0);
    const wallSec = (performance.now() - startedMs) / 1000;
    return { numCalls: playing.length, numSessions: sessions.size, numFinals, audioSec, wallSec };
  } finally {
    source.close();
  }
}

async function sessionsOf(call: PlayableCall, run: string): Promise<Session[]> {
  const sessions = call.parties.map(async (party) => {
    const audio = await openAudio(party.path);
    await audio.close();
    const query = new URLSearchParams({
      call: `${call.callId}-${run}`,
      role: party.channelRole,
      channel: `${party.channelNumber}`,
      parties: `${call.parties.length}`,
      encoding: "ulaw",
      sampleRate: `${audio.sampleRateHz}`,
      ...party.metadata,
      ...(party.phoneNumber ? { phone: party.phoneNumber } : {}),
    });
    return { ...party, callId: call.callId, sessionId: `${call.callId}-${run}-${party.channelNumber}?${query}` };
  });
  return Promise.all(sessions);
}

/** A block of one party's sound, when it is due, or its end. */
interface Due {
  readonly session: Session;
  readonly atMs: number;
  readonly bytes: Uint8Array;
  readonly seconds: number;
}

/** Plays the parties of one call through one connection, in the order of their clock. Gives the sound in seconds. */
async function playCall(parties: readonly Session[], options: ReplayOptions): Promise<number> {
  // What a gateway that is started again may have missed is sent again.
  let kept: Item<SttUp>[] = [];
  const sink = new TcpSink(STT_UP, options.audio, options.retry, () => kept);
  const startedMs = performance.now();
  const seqs = new Map<string, bigint>();
  const sources = parties.map((session) => blocksOf(session, options.blockMs ?? DEFAULT_BLOCK_MS));
  let audioSec = 0;
  try {
    for await (const { session, atMs, bytes, seconds } of byTime(sources)) {
      const waitMs = options.isRealTime ? startedMs + atMs + seconds * 1000 - performance.now() : 0;
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const { sessionId } = session;
      const seq = seqs.get(sessionId) ?? 0n;
      seqs.set(sessionId, seq + 1n);
      const item = tupleItem({ sessionId, seq, audioTimestamp: BigInt(Math.round(atMs)), audioChunk: bytes });
      await sink.submit(item);
      kept = [...kept.slice(1 - KEPT_CHUNKS), item];
      audioSec += seconds;
    }
    await sink.submit(FINAL_MARK);
  } finally {
    await sink.close();
  }
  return audioSec;
}

async function* blocksOf(session: Session, blockMs: number): AsyncGenerator<Due> {
  const audio = await openAudio(session.path);
  const rate = audio.sampleRateHz;
  const size = Math.max(1, Math.round((blockMs * rate) / 1000));
  let start = 0;
  try {
    for await (const block of audio.blocks()) {
      const samples = block[session.fileChannel];
      for (let at = 0; at < samples.length; at += size) {
        const part = samples.subarray(at, at + size);
        const atMs = session.startMs + (start * 1000) / rate;
        yield { session, atMs, bytes: encodeSamples([part], "ulaw"), seconds: part.length / rate };
        start += part.length;
      }
    }
  } finally {
    await audio.close();
  }
}

/** Joins sources whose times ascend. */
async function* byTime(sources: readonly AsyncGenerator<Due>[]): AsyncGenerator<Due> {
  const heads = await Promise.all(sources.map((source) => source.next()));
  for (;;) {
    let first = -1;
    heads.forEach((head, i) => {
      if (!head.done && (first < 0 || head.value.atMs < (heads[first].value as Due).atMs)) first = i;
    });
    if (first < 0) return;
    yield heads[first].value as Due;
    heads[first] = await sources[first].next();
  }
}
