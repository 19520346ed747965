import { SpeechError } from "@nemo-stt/core";
import { CHANNEL_ROLES, type ChannelMetadata } from "../spl/schemas.ts";
import { ENCODINGS, type EncodingName } from "../voice/encodings.ts";

/**
 * What a session id tells besides naming the session. The record on the wire has no room for it, so it follows the id as
 * a query: `call-17-agent?call=call-17&role=agent&channel=1&sampleRate=8000&encoding=ulaw`.
 */
export interface SessionName {
  /** The whole id, as records carry it. */
  readonly id: string;
  /** The call that the session is a party of; the id without its query unless told. */
  readonly callId: string;
  readonly channel: ChannelMetadata;
  /** How many parties the call has: it is not over before so many have been there and ended, or stayed away. */
  readonly numParties: number;
  readonly encoding?: EncodingName;
  readonly sampleRateHz?: number;
  readonly attContext?: readonly number[];
  /** The application keeps what is not settled, speaks in signals, and wants to be spoken to in records. */
  readonly resumes: boolean;
  /** Finals with less speech are left out. */
  readonly minSpeechMs: number;
  /** The model that the application expects, by its name or its file's. */
  readonly model?: string;
  /** The number of the model's blank token that it expects. */
  readonly blankId?: number;
}

const MAX_ID_LENGTH = 1024;
const MAX_PARTIES = 100;

/**
 * Reads a session id.
 * @throws SpeechError `FORMAT_INVALID` where a value is none of those that its key may have
 */
export function parseSessionName(id: string): SessionName {
  if (id.length === 0 || id.length > MAX_ID_LENGTH)
    throw wrong(id, `a session id of 1 to ${MAX_ID_LENGTH} characters`, `${id.length}`);
  const mark = id.indexOf("?");
  const base = mark < 0 ? id : id.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? "" : id.slice(mark + 1));
  const number = (key: string, min: number, max: number): number | undefined => {
    const text = query.get(key);
    if (text === null) return undefined;
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw wrong(id, `${key} in [${min}, ${max}]`, text);
  };
  return {
    id,
    callId: query.get("call") ?? base,
    channel: {
      channelNumber: number("channel", 0, 255) ?? 0,
      channelRole: oneOf(id, "role", query.get("role"), CHANNEL_ROLES) ?? "unknown",
      phoneNumber: query.get("phone") ?? "",
      speakerId: query.get("speaker") ?? "",
      additionalMetadata: new Map([...query].filter(([key]) => !KNOWN_KEYS.has(key))),
    },
    numParties: number("parties", 1, MAX_PARTIES) ?? 1,
    encoding: oneOf(id, "encoding", query.get("encoding"), Object.keys(ENCODINGS) as EncodingName[]),
    sampleRateHz: number("sampleRate", 8000, 48_000),
    attContext: parseContext(id, query.get("attContext")),
    resumes: isResuming(id),
    minSpeechMs: number("min-speech-ms", 0, 3_600_000) ?? 0,
    model: query.get("model") ?? undefined,
    blankId: number("blank-id", 0, 999_999_999),
  };
}

/** Keys with a meaning; all others are metadata of the channel. */
const KNOWN_KEYS = new Set(
  "call channel role phone speaker parties encoding sampleRate attContext resume min-speech-ms model blank-id".split(
    " ",
  ),
);

/** Whether a session id says that its application resumes. */
export const isResuming = (id: string): boolean => /[?&]resume=1(&|$)/.test(id);

function oneOf<T extends string>(id: string, key: string, text: string | null, known: readonly T[]): T | undefined {
  if (text === null || known.includes(text as T)) return (text as T) ?? undefined;
  throw wrong(id, `${key} to be one of ${known.join(", ")}`, text);
}

function parseContext(id: string, text: string | null): number[] | undefined {
  if (text === null) return undefined;
  if (/^-?\d{1,5},-?\d{1,5}$/.test(text)) return text.split(",").map(Number);
  throw wrong(id, "attContext as two numbers such as 70,13", text);
}

const wrong = (id: string, expected: string, got: string): SpeechError =>
  new SpeechError(
    "FORMAT_INVALID",
    `session ${id.slice(0, 80)}: expected ${expected}, got ${got}. Correct the session id.`,
  );
