import type { ModelSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import type { SavedIntake } from "./audio-intake.ts";
import { savedRows } from "./cache-pool.ts";
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
const SCHEMA = "nemo-stt/stream/2";

const MAGIC = [0x4e, 0x53, 0x54, 0x53];
/** Magic, the length of the JSON part and a sum over all that follows, each uint32, little-endian. */
const HEADER_BYTES = 12;

declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (label?: string, options?: { fatal: boolean }) => { decode(bytes: Uint8Array): string };

/** Arrays of a state, by the key that stands for them in JSON. */
const ARRAYS = { $float32: Float32Array, $float64: Float64Array } as const;

/** Numbers that JSON has no word for (an utterance without a limit is `Infinity` long), by name. */
const NUMBER = "$number";

/**
 * Writes a stream as one blob: header, JSON, and behind it the arrays that the JSON names by kind, place in bytes and
 * length (little-endian). The sum in the header tells a damaged blob from a sound one.
 */
export function serializeStreamState(stream: SavedStream, fingerprint: string): Uint8Array {
  return packState(SCHEMA, fingerprint, stream);
}

/** Writes any plain data as such a blob. */
export function packState(schema: string, fingerprint: string, stream: unknown): Uint8Array {
  const arrays: (Float32Array | Float64Array)[] = [];
  let numBytes = 0;
  const json = JSON.stringify({ schema, fingerprint, stream }, (_key, value) => {
    if (typeof value === "number" && !Number.isFinite(value)) return { [NUMBER]: String(value) };
    const kind = Object.entries(ARRAYS).find(([, type]) => value instanceof type)?.[0];
    if (kind === undefined) return value;
    arrays.push(value);
    const place = numBytes;
    numBytes += value.byteLength;
    return { [kind]: [place, value.length] };
  });
  const text = new TextEncoder().encode(json);
  const start = HEADER_BYTES + Math.ceil(text.length / 4) * 4;
  const blob = new Uint8Array(start + numBytes);
  blob.set(MAGIC);
  blob.set(text, HEADER_BYTES);
  let offset = start;
  for (const array of arrays) {
    blob.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), offset);
    offset += array.byteLength;
  }
  const header = new DataView(blob.buffer);
  header.setUint32(4, text.length, true);
  header.setUint32(8, sumOf(blob), true);
  return blob;
}

/** FNV-1a over the words behind the header: 1 ms for 4 MB. */
function sumOf(blob: Uint8Array): number {
  const words = new Uint32Array(blob.buffer, blob.byteOffset + HEADER_BYTES, (blob.length - HEADER_BYTES) >> 2);
  let sum = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) sum = Math.imul(sum ^ words[i], 0x01000193);
  return sum >>> 0;
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
    const advice = "It was saved by another version, or of a stream of another kind (with caches, in windows).";
    throw invalidState(`schema ${expectedSchema}`, String(schema), advice);
  }
  if (found !== fingerprint) {
    throw invalidState(
      `a stream of model ${shortened(fingerprint)}`,
      `one of ${shortened(String(found))}`,
      "Open it with the model it was saved with.",
    );
  }
  return stream;
}

/** A fingerprint as people compare it: the beginning of the checkpoint's, and the precision that stands behind it. */
const shortened = (fingerprint: string): string => fingerprint.replace(/^(\w{16})\w*/, "$1").slice(0, 32);

/** How a saved stream is recognised, without reading the rest. @throws SpeechError `STATE_INVALID` */
export function savedStreamOptions(blob: Uint8Array): StreamOptions {
  const { stream } = parseJson(jsonBytes(blob));
  return stream?.options ?? {};
}

/**
 * A saved stream of one mode as one of another. It costs what one of that mode's own costs, and this is what it is for:
 * what it remembers was heard in the first mode, and so its text is not that of either. What it has heard must be whole
 * chunks of both.
 */
export function savedInMode(blob: Uint8Array, attContext: readonly [number, number]): Uint8Array {
  const { fingerprint, stream } = readParts(blob);
  const { options, lanes } = stream;
  const moved = {
    ...stream,
    options: { ...options, attContext },
    lanes: lanes.map((lane) => ({ ...lane, attContext })),
  };
  return packState(SCHEMA, String(fingerprint), moved);
}

const damaged = (what: string) => invalidState("a saved stream", what, "It is damaged; begin a new stream.");

/** The JSON part. */
function jsonBytes(blob: Uint8Array): Uint8Array {
  if (blob.length < HEADER_BYTES || MAGIC.some((byte, i) => blob[i] !== byte)) throw damaged("bytes that are none");
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(4, true);
  if (HEADER_BYTES + length > blob.length) throw damaged(`one that was cut off after ${blob.length} bytes`);
  return blob.subarray(HEADER_BYTES, HEADER_BYTES + length);
}

interface Parts {
  readonly schema: unknown;
  readonly fingerprint: unknown;
  readonly stream: SavedStream;
}

function parseJson(bytes: Uint8Array, revive: (value: unknown) => unknown = (value) => value): Parts {
  const reviver = (_key: string, value: unknown) => {
    const number = (value as Record<string, unknown> | null)?.[NUMBER];
    return number === undefined ? revive(value) : Number(number);
  };
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes), reviver);
  } catch (cause) {
    throw damaged(`one that cannot be read (${(cause as Error).message})`);
  }
}

function readParts(blob: Uint8Array): Parts {
  const json = jsonBytes(blob);
  const whole = blob.slice(); // At the beginning of a buffer of its own, as views of words and floats need it.
  if (sumOf(whole) !== new DataView(whole.buffer).getUint32(8, true)) throw damaged("one whose sum is another");
  const start = HEADER_BYTES + Math.ceil(json.length / 4) * 4;
  return parseJson(json, (value) => {
    for (const [kind, type] of Object.entries(ARRAYS)) {
      const place = (value as Record<string, unknown> | null)?.[kind];
      if (place !== undefined) return arrayAt(whole.buffer, start, type, place as [number, number]);
    }
    return value;
  });
}

function arrayAt(
  buffer: ArrayBuffer,
  start: number,
  type: (typeof ARRAYS)[keyof typeof ARRAYS],
  [place, count]: readonly [number, number],
): Float32Array | Float64Array {
  const begin = start + place;
  const end = begin + count * type.BYTES_PER_ELEMENT;
  const isInside = Number.isInteger(place) && Number.isInteger(count) && place >= 0 && count >= 0;
  if (!isInside || end > buffer.byteLength) throw new RangeError("array outside of the blob");
  return new type(buffer.slice(begin, end));
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
    cache.rows.length === savedRows(encoder, cache.numSteps) * encoder.modelSize;
  const numLanes = options?.fastAttContext ? 2 : 1;
  const isWhole = isSound && Array.isArray(lanes) && lanes.length === numLanes && lanes.every(isLane);
  const counts = [utterances?.numFinal, utterances?.numAsked, utterances?.numSpaces];
  if (isWhole && counts.every(isCount) && typeof options === "object") return;
  throw invalidState(
    "every part of a stream",
    "one with parts missing or of other sizes",
    "It is damaged; begin a new stream.",
  );
}

/** What is thrown for a blob that cannot be gone on with. */
export function invalidState(expected: string, got: string, advice: string): SpeechError {
  return new SpeechError("STATE_INVALID", `stream: expected ${expected}, got ${got}. ${advice}`);
}
