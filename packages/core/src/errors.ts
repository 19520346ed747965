/**
 * Every failure that is the world's fault (a file, a model, a recording, a peer) is a `SpeechError` with one of these
 * stable codes. A caller's own mistake (a wrong option) is a built-in `TypeError` or `RangeError` instead; a value of the
 * wrong type handed to an engine or a stream is a `TypeError` with the code `ARGUMENT_INVALID` (`ArgumentError`).
 * `exitCode` is what the command line ends with.
 */
export const ERROR_TABLE = {
  /** A file is corrupt, truncated or hostile. */
  FORMAT_INVALID: { exitCode: 65 },
  /** A valid file of a kind that is not read here. */
  FORMAT_UNSUPPORTED: { exitCode: 65 },
  /** A size, depth or count beyond a documented limit. */
  LIMIT_EXCEEDED: { exitCode: 65 },
  /** A NeMo model that is recognised and not supported, or one with an unknown part that could change the numbers. */
  MODEL_UNSUPPORTED: { exitCode: 69 },
  /** The checkpoint contradicts itself: a tensor is missing, or its shape does not fit. */
  MODEL_INVALID: { exitCode: 65 },
  /** A recording in a format that cannot be decoded here. */
  AUDIO_UNSUPPORTED: { exitCode: 65 },
  /** A recording that is corrupt, empty where sound is needed, or holds values that are not sound. */
  AUDIO_INVALID: { exitCode: 65 },
  /** A file or model name that does not exist or cannot be read. */
  NOT_FOUND: { exitCode: 66 },
  /** A file that cannot be written. */
  WRITE_FAILED: { exitCode: 73 },
  /** The graph runtime refused a graph or failed in a run. */
  RUNTIME_FAILED: { exitCode: 70 },
  /** A download failed. */
  NETWORK_FAILED: { exitCode: 69 },
  /** Used after `close()`. */
  CLOSED: { exitCode: 70 },
  /** No room for a further stream, or more fed than the queue holds. Try again later, or elsewhere. */
  OVER_CAPACITY: { exitCode: 75 },
  /** A peer or a caller was silent for longer than allowed. */
  TIMED_OUT: { exitCode: 75 },
  /** A saved stream that is damaged, of another version or of another model. */
  STATE_INVALID: { exitCode: 65 },
  /** A comparison with a reference failed. */
  VERIFY_FAILED: { exitCode: 1 },
} as const;

/** The stable code of a `SpeechError`. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/**
 * A failure with a stable `code`. Messages read `where: expected X, got Y. What to do.`
 *
 * Check `error.code`, not `instanceof`: the code survives duplicate packages, workers and the wire.
 */
export class SpeechError extends Error {
  override readonly name = "SpeechError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** True for any error that carries one of our codes, whichever copy of the package threw it. */
export function isSpeechError(error: unknown): error is SpeechError {
  return error instanceof Error && "code" in error && typeof error.code === "string" && error.code in ERROR_TABLE;
}
