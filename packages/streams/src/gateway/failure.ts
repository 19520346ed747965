import { isSpeechError, SpeechError } from "@nemo-stt/core";
import { RECORDS } from "../spl/signals.ts";

/** What went wrong, in words of the wire: a stable code and a message. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** The code and the message of anything that was thrown; `INTERNAL` where it has none of our codes. */
export function failureOf(error: unknown): Failure {
  const code = isSpeechError(error) ? error.code : "INTERNAL";
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/** A failure as a record: final, so that it is kept as long as a text. */
export const errorRecord = ({ code, message }: Failure) => ({
  text: `${code}: ${message}`,
  isFinal: true,
  confidence: RECORDS.error,
});

/** Nothing came of a session for longer than it is waited for. */
export const silentFor = (sessionId: string, waitedMs: number): SpeechError =>
  new SpeechError(
    "TIMED_OUT",
    `session ${sessionId.slice(0, 80)}: expected sound or its end within ${waitedMs} ms, got none. Begin another session.`,
  );

/** The service was closed in the middle of a session. */
export const closedUnder = (sessionId: string): SpeechError =>
  new SpeechError(
    "CLOSED",
    `session ${sessionId.slice(0, 80)}: expected a service that goes on, got its end. Begin another session.`,
  );
