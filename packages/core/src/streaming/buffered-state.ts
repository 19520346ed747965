import type { CtcState } from "../decoding/ctc.ts";
import type { TransducerState } from "../decoding/transducer-state.ts";
import type { SavedBuffer } from "./buffered-stream.ts";
import type { SavedPlaces } from "./place-silences.ts";
import { invalidState, packState, unpackState } from "./saved-stream.ts";
import type { SavedDetector } from "./silence.ts";
import type { StreamOptions } from "./stream.ts";
import type { SavedUtterances } from "./utterances.ts";

/** A buffered stream as plain data. */
export interface SavedBuffered {
  readonly options: StreamOptions;
  readonly buffer: SavedBuffer;
  readonly state: CtcState | TransducerState;
  readonly utterances: SavedUtterances;
  readonly detector?: SavedDetector;
  readonly places?: SavedPlaces;
}

/** The form of the blob; a reader refuses what it does not know. */
const SCHEMA = "nemo-stt/buffered/2";

/** Writes a stream as one blob. */
export function serializeBuffered(stream: SavedBuffered, fingerprint: string): Uint8Array {
  return packState(SCHEMA, fingerprint, stream);
}

/**
 * Reads a blob.
 * @throws SpeechError `STATE_INVALID` for one that is damaged, of another version or of another model
 */
export function parseBuffered(blob: Uint8Array, fingerprint: string): SavedBuffered {
  const stream = unpackState(SCHEMA, fingerprint, blob) as SavedBuffered;
  const { options, buffer, state, utterances } = stream ?? {};
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const isSound =
    buffer?.samples?.data instanceof Float32Array &&
    isCount(buffer.samples.firstSample) &&
    isCount(buffer.nextSample) &&
    buffer.samples.firstSample <= buffer.nextSample &&
    buffer.nextSample <= buffer.samples.firstSample + buffer.samples.data.length;
  const isFound = Array.isArray(state?.hypothesis?.tokens) && isCount(utterances?.numFinal);
  if (isSound && isFound && typeof options === "object" && options !== null) return stream;
  throw invalidState(
    "every part of a stream",
    "one with parts missing or of other sizes",
    "It is damaged; begin a new stream.",
  );
}
