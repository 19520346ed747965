import { encodeSamples } from "@nemo-stt/core";
import { openAudio } from "@nemo-stt/node";
import type { CompositeText } from "../client/composite.ts";
import type { Peer, Retry } from "../client/connect.ts";
import { SttSession } from "../client/stt-session.ts";
import type { Item } from "../items.ts";
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

/** A party and what its session is called. */
interface Session extends PlayableParty {
  readonly callId: string;
  readonly name: string;
  readonly options: string;
}

const DEFAULT_BLOCK_MS = 100;

/**
 * Plays calls to a gateway as an SPL application would send them: a TCPSink and a TCPSource for each party.
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
  let numFinals = 0;
  const onFinal = (text: ReplayedText) => {
    numFinals++;
    options.onFinal?.(text);
  };
  const played = await Promise.all(playing.map((call) => playCall(call, options, onFinal)));
  const wallSec = (performance.now() - startedMs) / 1000;
  const audioSec = played.reduce((sum, seconds) => sum + seconds, 0);
  return { numCalls: playing.length, numSessions: playing.flat().length, numFinals, audioSec, wallSec };
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
    return { ...party, callId: call.callId, name: `${call.callId}-${run}-${party.channelNumber}`, options: `${query}` };
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

/** Plays the parties of one call in the order of their clock. Gives the sound in seconds. */
async function playCall(
  parties: readonly Session[],
  options: ReplayOptions,
  onFinal: (text: ReplayedText) => void,
): Promise<number> {
  const { audio, text, retry } = options;
  const sessions = new Map(
    parties.map((party) => {
      const { name, callId, channelRole, channelNumber } = party;
      const onItem = (item: Item<CompositeText>) => {
        if (item.kind !== "tuple" || !item.tuple.isFinal) return;
        onFinal({ callId, channelRole, channelNumber, text: item.tuple.text, confidence: item.tuple.confidence });
      };
      return [party, new SttSession({ name, options: party.options, audio, text, retry, onItem })];
    }),
  );
  const all = [...sessions.values()];
  const ended = Promise.all(all.map(({ done }) => done));
  try {
    return (await Promise.all([sendAll(parties, sessions, options), ended]))[0];
  } finally {
    await Promise.all(all.map((session) => session.close()));
  }
}

async function sendAll(
  parties: readonly Session[],
  sessions: ReadonlyMap<Session, SttSession>,
  options: ReplayOptions,
): Promise<number> {
  const startedMs = performance.now();
  const sources = parties.map((session) => blocksOf(session, options.blockMs ?? DEFAULT_BLOCK_MS));
  let audioSec = 0;
  for await (const { session, atMs, bytes, seconds } of byTime(sources)) {
    const waitMs = options.isRealTime ? startedMs + atMs + seconds * 1000 - performance.now() : 0;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await sessions.get(session)?.submit(bytes, atMs);
    audioSec += seconds;
  }
  await Promise.all([...sessions.values()].map((session) => session.submitFinal()));
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
