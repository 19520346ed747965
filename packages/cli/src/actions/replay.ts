import { readFile } from "node:fs/promises";
import { SpeechError } from "@nemo-stt/core";
import { listCalls, openSocket, type Peer, replayCalls } from "@nemo-stt/streams";
import type { ReplayFlags } from "../commands/replay.ts";
import type { Console } from "../console.ts";
import { UsageError } from "../failures.ts";
import { printable } from "../messages.ts";
import { notFound } from "./recordings.ts";

/** A gateway that is being started again is back within a minute. */
const MAX_ATTEMPTS = 60;

/** Plays calls and prints their texts as they come; what was played goes to standard error at the end. */
export async function replay(folder: string, flags: ReplayFlags, console: Console): Promise<void> {
  const calls = await listCalls(folder);
  const tls = await readTls(flags);
  const peer = (port: number): Peer => ({ host: flags.host, port, ...(tls && { tls }) });
  for (const port of [flags.audioPort, flags.textPort]) await findGateway(peer(port));
  const summary = await replayCalls(calls, {
    audio: peer(flags.audioPort),
    text: peer(flags.textPort),
    retry: { maxAttempts: MAX_ATTEMPTS },
    isRealTime: flags.fullSpeed !== true,
    copies: flags.copies,
    blockMs: flags.blockMs,
    onFinal({ callId, channelNumber, channelRole, text, confidence }) {
      if (flags.json) console.out(JSON.stringify({ callId, channelNumber, channelRole, text, confidence }));
      else console.out(`${printable(callId)}\t${channelNumber} ${printable(channelRole)}\t${text}`);
    },
  });
  const { numCalls, numSessions, numFinals, audioSec, wallSec } = summary;
  const speed = (audioSec / wallSec).toFixed(1);
  console.err(
    `${numCalls} calls, ${numSessions} sessions, ${numFinals} finals: ${audioSec.toFixed(1)} s of sound in ${wallSec.toFixed(1)} s (${speed} × real time)`,
  );
}

async function findGateway(peer: Peer): Promise<void> {
  const socket = await openSocket(peer).catch((cause: NodeJS.ErrnoException) => {
    const got = cause.code === "ECONNREFUSED" ? "none there" : cause.message;
    const text = `${peer.host}:${peer.port}: expected a gateway, got ${got}. Start one with \`nemo-stt gateway\`.`;
    throw new SpeechError("NETWORK_FAILED", text, { cause });
  });
  socket.destroy();
}

async function readTls({ tlsCa, tlsCert, tlsKey }: ReplayFlags): Promise<Peer["tls"]> {
  if (tlsCert === undefined && tlsKey === undefined)
    return tlsCa === undefined ? undefined : { ca: await readPem(tlsCa) };
  if (tlsCa === undefined || tlsCert === undefined || tlsKey === undefined)
    throw new UsageError("--tls-cert and --tls-key go together, and with --tls-ca.");
  return { ca: await readPem(tlsCa), cert: await readPem(tlsCert), key: await readPem(tlsKey) };
}

const readPem = (path: string): Promise<string> =>
  readFile(path, "utf8").catch((cause: unknown) => {
    throw notFound(path, "a PEM file", cause);
  });
