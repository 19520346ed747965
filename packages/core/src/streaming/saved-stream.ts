import type { ModelSpec } from "../config/spec.ts";
import { streamGeometry } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";
import type { SavedIntake } from "./audio-intake.ts";
import type { SavedLane } from "./lane.ts";
import type { SavedDetector } from "./silence.ts";
import type { StreamOptions } from "./stream.ts";
import type { SavedUtterances } from "./utterances.ts";

/** A stream as plain data. */
export interface SavedStream {
  readonly options: StreamOptions;
  readonly intake: SavedIntake;
  readonly lanes: readonly SavedLane[];
  readonly utterances: SavedUtterances;
  readonly detector?: SavedDetector;
}

/** The form of the blob; a reader refuses what it does not know. */
const SCHEMA = "nemo-stt/stream/1";

const MAGIC = [0x4e, 0x53, 0x54, 0x53];
/** Magic, then the length of the JSON part as uint32, little-endian. */
const HEADER_BYTES = 8;

declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (label?: string, options?: { fatal: boolean }) => { decode(bytes: Uint8Array): string };

/**
 * Writes a stream as one blob: magic, JSON, and behind it the arrays that the JSON names by place and length
 * (little-endian float32).
 */
export function serializeStreamState(stream: SavedStream, fingerprint: string): Uint8Array {
  return packState(SCHEMA, fingerprint, stream);
}

/** Writes any plain data as such a blob. */
export function packState(schema: string, fingerprint: string, stream: unknown): Uint8Array {
  const arrays: Float32Array[] = [];
  let numFloats = 0;
  const json = JSON.stringify({ schema, fingerprint, stream }, (_key, value) => {
    if (!(value instanceof Float32Array)) return value;
    arrays.push(value);
    numFloats += value.length;
    return { $float32: [numFloats - value.length, value.length] };
  });
  const text = new TextEncoder().encode(json);
  const start = HEADER_BYTES + Math.ceil(text.length / 4) * 4;
  const blob = new Uint8Array(start + numFloats * 4);
  blob.set(MAGIC);
  new DataView(blob.buffer).setUint32(4, text.length, true);
  blob.set(text, HEADER_BYTES);
  let offset = start;
  for (const array of arrays) {
    blob.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), offset);
    offset += array.byteLength;
  }
  return blob;
}

/**
 * Reads a blob.
 * @throws SpeechError `STATE_INVALID` for one that is damaged, of another version or of another model
 */
export function parseStreamState(blob: Uint8Array, fingerprint: string, spec: ModelSpec): SavedStream {
  const stream = unpackState(SCHEMA, fingerprint, blob) as SavedStream;
  checkShapes(stream, spec);
  return stream;
}

/** Reads a blob of `packState`; what is in it is for the caller to check. @throws SpeechError `STATE_INVALID` */
export function unpackState(expectedSchema: string, fingerprint: string, blob: Uint8Array): unknown {
  const { schema, fingerprint: found, stream } = readParts(blob);
  if (schema !== expectedSchema) {
    throw invalidState(`schema ${expectedSchema}`, String(schema), "It was saved by another version.");
  }
  if (found !== fingerprint) {
    throw invalidState(
      `a stream of model ${fingerprint.slice(0, 16)}`,
      `one of ${String(found).slice(0, 16)}`,
      "Open it with the model it was saved with.",
    );
  }
  return stream;
}

function readParts(blob: Uint8Array): { schema: unknown; fingerprint: unknown; stream: unknown } {
  const damaged = (what: string) => invalidState("a saved stream", what, "It is damaged; begin a new stream.");
  if (blob.length < HEADER_BYTES || MAGIC.some((byte, i) => blob[i] !== byte)) throw damaged("bytes that are none");
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(4, true);
  const start = HEADER_BYTES + Math.ceil(length / 4) * 4;
  if (start > blob.length) throw damaged(`one that was cut off after ${blob.length} bytes`);
  const floats = new Float32Array(blob.slice(start, start + Math.floor((blob.length - start) / 4) * 4).buffer);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(blob.subarray(HEADER_BYTES, HEADER_BYTES + length));
    return JSON.parse(text, (_key, value) => {
      const place = value?.$float32;
      if (place === undefined) return value;
      const [offset, count] = place;
      if (
        !(
          Number.isInteger(offset) &&
          Number.isInteger(count) &&
          offset >= 0 &&
          count >= 0 &&
          offset + count <= floats.length
        )
      ) {
        throw new RangeError("array outside of the blob");
      }
      return floats.slice(offset, offset + count);
    });
  } catch (cause) {
    throw damaged(`one that cannot be read (${(cause as Error).message})`);
  }
}

/** Checks what would otherwise be written over memory of other streams, or give noise for sound. */
function checkShapes(stream: SavedStream, { encoder }: ModelSpec): void {
  const isFloats = (value: unknown) => value instanceof Float32Array;
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const { intake, lanes, utterances, options } = stream ?? {};
  const isSound =
    isFloats(intake?.features?.tail) && isFloats(intake?.frames?.data) && isCount(intake?.frames?.firstFrame);
  const isLane = ({ cache, state, attContext }: SavedLane) =>
    isFloats(cache?.rows) &&
    isCount(cache?.numSteps) &&
    Array.isArray(attContext) &&
    Array.isArray(state?.hypothesis?.tokens) &&
    encoder.kind === "conformer" &&
    cache.rows.length === cacheRows(encoder, cache.numSteps) * encoder.modelSize;
  const isWhole = isSound && Array.isArray(lanes) && lanes.length > 0 && lanes.every(isLane);
  if (isWhole && isCount(utterances?.numFinal) && typeof options === "object") return;
  throw invalidState(
    "every part of a stream",
    "one with parts missing or of other sizes",
    "It is damaged; begin a new stream.",
  );
}

function cacheRows(encoder: Extract<ModelSpec["encoder"], { kind: "conformer" }>, numSteps: number): number {
  const { maxLeft, convLeft } = streamGeometry(encoder);
  return encoder.numLayers * (2 * Math.min(maxLeft, numSteps) + Math.min(convLeft, numSteps));
}

/** What is thrown for a blob that cannot be gone on with. */
export function invalidState(expected: string, got: string, advice: string): SpeechError {
  return new SpeechError("STATE_INVALID", `stream: expected ${expected}, got ${got}. ${advice}`);
}
