import { type ErrorCode, isSpeechError, SpeechError } from "@nemo-stt/core";

/** An error as plain data: a structured clone would lose its class and its code. */
export interface CrossingError {
  readonly name: string;
  readonly message: string;
  readonly code?: ErrorCode;
}

/** Makes plain data of an error. */
export function packError(error: unknown): CrossingError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { name, message, ...(isSpeechError(error) && { code: error.code }) };
}

/** The error that was packed, of the same kind. */
export function unpackError({ name, message, code }: CrossingError): Error {
  if (code !== undefined) return new SpeechError(code, message);
  if (name === "TypeError") return new TypeError(message);
  if (name === "RangeError") return new RangeError(message);
  return new Error(message);
}
