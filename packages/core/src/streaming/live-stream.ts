import { subsamplingFactor } from "../config/geometry.ts";
import type { ModelSpec } from "../config/spec.ts";
import type { StreamGeometry } from "../config/streaming.ts";
import type { Encoded } from "../recognition/acoustic.ts";
import type { AudioIntake } from "./audio-intake.ts";
import { numChunksOf, type Work } from "./batch.ts";
import { doneSteps, heardFrames, type Lane, lastTurnOf, nextChunk, turnOf } from "./lane.ts";
import type { SilenceDetector } from "./silence.ts";
import type { StreamEvent, StreamOptions } from "./stream.ts";
import type { Utterances } from "./utterances.ts";

/** All steps of a stream as the encoder gave them, for comparisons: to be copied, because their memory is freed behind the call. */
export type StepSink = (encoded: Encoded, row: number, lane: Lane) => void;

/** A stream of a set. */
export interface LiveStream {
  readonly id: number;
  readonly intake: AudioIntake;
  readonly lanes: readonly Lane[];
  readonly utterances: Utterances;
  readonly detector: SilenceDetector | undefined;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onStep: StepSink | undefined;
  readonly options: StreamOptions;
  /** When frames came: those up to `endFrame` at `at`, oldest first; those that all lanes have heard are forgotten. */
  readonly arrivals: { readonly endFrame: number; readonly at: number }[];
  /** When each lane's next chunk became complete. */
  readonly readySince: (number | undefined)[];
  /** Lanes in a batch that is being computed. */
  numBusy: number;
  isClosed: boolean;
  hasEnded: boolean;
  /** Why the stream cannot go on. */
  failure: Error | undefined;
}

/** Notes that frames have come, or that no more will. */
export function noteArrival({ intake, arrivals }: LiveStream, at: number): void {
  const endFrame = intake.endFrame === undefined ? intake.frames.endFrame : Number.POSITIVE_INFINITY;
  if (endFrame > (arrivals.at(-1)?.endFrame ?? 0)) arrivals.push({ endFrame, at });
}

const arrivalOf = ({ arrivals }: LiveStream, frame: number): number | undefined =>
  arrivals.find(({ endFrame }) => endFrame >= frame)?.at;

/** When each chunk of a run became complete. */
export function chunkArrivals({ stream, lane, chunk, since }: Work<LiveStream>, geometry: StreamGeometry): number[] {
  const turn = turnOf(lane, geometry);
  const frames = geometry.factor * lane.mode.chunkSteps;
  return Array.from({ length: numChunksOf(chunk) }, (_, i) => arrivalOf(stream, turn + i * frames) ?? since);
}

/** Notes which lanes have a complete chunk, and since when. */
export function noteReady(stream: LiveStream, spec: ModelSpec, geometry: StreamGeometry, now: () => number): void {
  if (stream.failure) return;
  const { lanes, intake, arrivals, readySince } = stream;
  for (const [i, lane] of lanes.entries()) {
    const isReady = nextChunk(lane, intake, spec, geometry) !== undefined;
    // What a saved stream brought along has been there since it was opened.
    readySince[i] = isReady ? (arrivalOf(stream, turnOf(lane, geometry)) ?? readySince[i] ?? now()) : undefined;
  }
  const next = Math.min(...lanes.map((lane) => turnOf(lane, geometry)));
  const numOld = arrivals.findIndex(({ endFrame }) => endFrame >= next);
  arrivals.splice(0, numOld < 0 ? arrivals.length : numOld);
}

/** True while a lane has a complete chunk. */
export const isWaiting = ({ readySince }: Pick<LiveStream, "readySince">): boolean =>
  readySince.some((since) => since !== undefined);

/**
 * The chunks of a stream that may be done next: those whose sound was complete first, and behind them those of the same
 * lane that no other lane's chunk comes before. So what lanes know of each other, and with it every event, does not
 * depend on when what is computed.
 */
export function workOf<S extends LiveStream>(stream: S, spec: ModelSpec, geometry: StreamGeometry): Work<S>[] {
  const { lanes, intake, readySince, numBusy } = stream;
  if (numBusy > 0) return [];
  const turns = lanes.map((lane, i) =>
    readySince[i] === undefined ? Number.POSITIVE_INFINITY : turnOf(lane, geometry),
  );
  const next = Math.min(...turns);
  return lanes.flatMap((lane, i) => {
    const since = readySince[i];
    const chunk = since !== undefined && turns[i] === next && nextChunk(lane, intake, spec, geometry);
    if (!chunk || since === undefined) return [];
    const { chunkSteps } = lane.mode;
    const limit = Math.min(...turns.filter((_, other) => other !== i));
    const maxChunks = 1 + Math.floor((limit - next) / (geometry.factor * chunkSteps));
    return [{ stream, lane, since, chunk: { ...chunk, numSteps: Math.min(chunk.numSteps, maxChunks * chunkSteps) } }];
  });
}

/** True when one lane has done its chunk of some sound, and another has yet to do its own that ends with the same frame. */
export function isBetweenLanes({ lanes, readySince }: LiveStream, geometry: StreamGeometry): boolean {
  return lanes.some((lane, i) => {
    const turn = turnOf(lane, geometry);
    const isLast = (other: Lane) => other !== lane && lastTurnOf(other, geometry) === turn;
    return readySince[i] !== undefined && lanes.some(isLast);
  });
}

/** The streams of a batch, each once. */
export const streamsOf = <S>(batch: readonly Work<S>[]): Set<S> => new Set(batch.map(({ stream }) => stream));

/** Sound that the furthest lane has heard. */
export function heardSec({ lanes, intake }: LiveStream, { features }: ModelSpec, geometry: StreamGeometry): number {
  const frames = Math.max(...lanes.map((lane) => heardFrames(lane, geometry)));
  const sec = (frames * features.hopSamples) / features.sampleRateHz;
  return Math.min(sec, intake.durationSec ?? Number.POSITIVE_INFINITY);
}

/** Sound behind the slowest lane's last step. */
export function pendingSec({ intake, lanes }: LiveStream, { encoder, features }: ModelSpec): number {
  const encodedFrames = Math.min(...lanes.map(doneSteps)) * subsamplingFactor(encoder);
  return (Math.max(0, intake.frames.endFrame - encodedFrames) * features.hopSamples) / features.sampleRateHz;
}
