import type { SttUp } from "./schemas.ts";

/**
 * Records of the text port that are no results: a negative confidence says what they are. `SttSession` of the SPL toolkit
 * and of `client` speak in them; other readers drop them by their session id, which is empty or that of a session that asked
 * for them (`resume=1`).
 */
export const RECORDS = {
  /** The session has ended. Numbered as results are. */
  end: -1,
  /** Before a final: everything sent below `seq` is settled with the result whose number is in `text`. */
  settled: -2,
  /** First on every connection, without a session id: `seq` is a number for this start of the service; `text` "resume" and what it recognises with: one of the same hears a window again with the same results. */
  service: -3,
  /** Marks up to the number in `text` are answered, and sound up to it is settled. Numbered as results are. */
  markAnswered: -4,
  /** Everything from the number `seq` on is wanted once more. */
  sendAgain: -5,
  /** Second on every connection, without a session id: `seq` is a number for the connection. */
  reader: -6,
  /** `text` is what went wrong, as `CODE: message`; where the session fails, the record that ends it follows. Numbered as results are. */
  error: -7,
} as const;

/** The code of an error record after which the session goes on: chunks were given up, and their text is missing. */
export const CHUNKS_MISSING = "CHUNKS_MISSING";

/** Chunks without sound that say something: `audioTimestamp` tells what. */
export const SIGNALS = {
  /** A window ends; it is numbered as chunks are. */
  mark: 2n ** 64n - 1n,
  /** The session ends; `seq` is the number that the next chunk would have. */
  end: 2n ** 64n - 2n,
  /** The session's reader is the text connection with the number `seq`. */
  reader: 2n ** 64n - 3n,
} as const;

/** What an application may say without sound. */
export type Signal = keyof typeof SIGNALS;

/** What a chunk says, if it is a signal. */
export function signalOf({ audioChunk, audioTimestamp }: SttUp): Signal | undefined {
  if (audioChunk.length > 0) return undefined;
  return (Object.keys(SIGNALS) as Signal[]).find((signal) => SIGNALS[signal] === audioTimestamp);
}

const SILENT = new Uint8Array(0);

/** A signal as it is sent. */
export const signalChunk = (sessionId: string, signal: Signal, seq: bigint): SttUp => ({
  sessionId,
  seq,
  audioTimestamp: SIGNALS[signal],
  audioChunk: SILENT,
});
