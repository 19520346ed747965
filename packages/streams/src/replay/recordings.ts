import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { SpeechError } from "@nemo-stt/core";
import { openAudio } from "@nemo-stt/node";

/** A party of a call that can be played. */
export interface PlayableParty {
  readonly path: string;
  /** Which channel of the file. */
  readonly fileChannel: number;
  readonly channelNumber: number;
  readonly channelRole: string;
  readonly phoneNumber: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where it begins on the call's clock. */
  readonly startMs: number;
}

/** A call that can be played. */
export interface PlayableCall {
  readonly callId: string;
  readonly parties: readonly PlayableParty[];
}

const AUDIO = new Set([".wav", ".flac", ".mp3", ".ogg", ".opus", ".ulaw", ".alaw"]);

/**
 * The calls of a folder, sorted by name: those that `--record` kept by their descriptions, and recordings that none
 * names, each a call of as many parties as it has channels. A file is taken the same way.
 * @throws SpeechError `NOT_FOUND`, `FORMAT_INVALID`
 */
export async function listCalls(path: string): Promise<PlayableCall[]> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) throw notFound(path, "nothing of that name");
  const folder = info.isDirectory() ? path : dirname(path);
  const names = info.isDirectory() ? (await readdir(path)).sort() : [basename(path)];
  const calls: PlayableCall[] = [];
  const described = new Set<string>();
  for (const name of names) {
    if (extname(name) !== ".json") continue;
    const call = await describedCall(folder, name);
    if (!call) continue;
    calls.push(call);
    for (const party of call.parties) described.add(basename(party.path));
  }
  for (const name of names)
    if (AUDIO.has(extname(name).toLowerCase()) && !described.has(name)) calls.push(await bareCall(folder, name));
  if (calls.length === 0) throw notFound(path, info.isDirectory() ? "a folder without any" : "another file");
  return calls;
}

const notFound = (path: string, got: string) =>
  new SpeechError(
    "NOT_FOUND",
    `${path}: expected recorded calls (JSON and WAV) or recordings, got ${got}. Name a folder of them, or one of them.`,
  );

async function describedCall(folder: string, name: string): Promise<PlayableCall | undefined> {
  const path = join(folder, name);
  let call: Record<string, unknown>;
  try {
    call = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${path}: expected the description of a call, got no JSON. Remove or repair it.`,
      { cause },
    );
  }
  if (call?.schema !== "nemo-stt-call") return undefined;
  if (call.version !== 1 || !Array.isArray(call.parties)) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${path}: expected a description of version 1, got ${String(call.version)}. Use the program that wrote it.`,
    );
  }
  const parties = call.parties.map(
    (party: Record<string, unknown>, i): PlayableParty => ({
      // Names, not paths: a description reads no file outside of its folder.
      path: join(folder, basename(String(party.file))),
      fileChannel: 0,
      channelNumber: Number(party.channelNumber ?? i),
      channelRole: String(party.channelRole ?? "unknown"),
      phoneNumber: String(party.phoneNumber ?? ""),
      metadata: (party.additionalMetadata ?? {}) as Record<string, string>,
      startMs: Number(party.startMs ?? 0),
    }),
  );
  const first = Math.min(...parties.map(({ startMs }) => startMs));
  return {
    callId: String(call.callId),
    parties: parties.map((party) => ({ ...party, startMs: party.startMs - first })),
  };
}

async function bareCall(folder: string, name: string): Promise<PlayableCall> {
  const path = join(folder, name);
  const audio = await openAudio(path);
  const { numChannels } = audio;
  await audio.close();
  const roles = numChannels === 2 ? ["caller", "agent"] : [];
  const parties = Array.from({ length: numChannels }, (_, channel) => ({
    path,
    fileChannel: channel,
    channelNumber: channel,
    channelRole: roles[channel] ?? "unknown",
    phoneNumber: "",
    metadata: {},
    startMs: 0,
  }));
  return { callId: basename(name, extname(name)), parties };
}
