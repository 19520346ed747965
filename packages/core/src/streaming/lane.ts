import type { ModelSpec } from "../config/spec.ts";
import type { StreamGeometry, StreamMode } from "../config/streaming.ts";
import type { CtcState } from "../decoding/ctc.ts";
import type { OpenHypothesis } from "../decoding/open-hypothesis.ts";
import type { TransducerState } from "../decoding/transducer-state.ts";
import type { HeadDecoder } from "../recognition/head-decoder.ts";
import type { AudioIntake } from "./audio-intake.ts";
import type { CachePool, CacheSlot, SavedCache } from "./cache-pool.ts";
import { type StreamChunk, totalSteps } from "./stream-encoder.ts";

/** One latency mode reading one stream: what the encoder and the decoder remember of it. */
export interface Lane {
  readonly mode: StreamMode;
  readonly decoder: HeadDecoder;
  readonly slot: CacheSlot;
  readonly state: CtcState | TransducerState;
}

/** A lane as plain data. */
export interface SavedLane {
  readonly attContext: readonly [number, number];
  readonly cache: SavedCache;
  readonly state: CtcState | TransducerState;
}

/** Opens a lane, new or where it was saved. */
export function openLane(mode: StreamMode, decoder: HeadDecoder, pool: CachePool, saved?: SavedLane): Lane {
  return { mode, decoder, slot: pool.take(saved?.cache), state: saved?.state ?? decoder.createState() };
}

/** What a lane has found so far. */
export const hypothesisOf = ({ state }: Lane): OpenHypothesis => state.hypothesis;

/** A lane as plain data, independent of what its caches do next. @param room as in `CachePool.save` */
export function saveLane({ mode, slot, state }: Lane, pool: CachePool, room?: Float32Array): SavedLane {
  return { attContext: mode.attContext, cache: pool.save(slot, room), state };
}

/**
 * The next chunks of a lane, as many as have come whole and one call takes; undefined while there is none, or when all
 * steps are done. The last chunk of a recording that has ended takes the steps that are left.
 */
export function nextChunk(
  lane: Lane,
  intake: AudioIntake,
  spec: ModelSpec,
  geometry: StreamGeometry,
): StreamChunk | undefined {
  const { slot, mode } = lane;
  const { frames, endFrame } = intake;
  const { chunkSteps } = mode;
  const room = Math.max(chunkSteps, geometry.maxRunSteps - (geometry.maxRunSteps % chunkSteps));
  const heard = Math.floor((frames.endFrame - geometry.lookaheadFrames - 1) / geometry.factor) + 1 - slot.numSteps;
  let numSteps = Math.min(room, heard - (heard % chunkSteps));
  if (endFrame !== undefined) numSteps = Math.min(room, totalSteps(spec, geometry, endFrame) - slot.numSteps);
  return numSteps > 0 ? { slot, frames, numSteps, mode, endFrame } : undefined;
}

/** Steps that a lane has encoded and decoded. */
export const doneSteps = ({ state }: Lane): number => state.hypothesis.numSteps;

/**
 * The frame up to which the next chunk of a lane hears, were it whole: chunks of one stream are done in this order,
 * whatever comes when.
 */
export const turnOf = (lane: Lane, { factor, lookaheadFrames }: StreamGeometry): number =>
  factor * (doneSteps(lane) + lane.mode.chunkSteps - 1) + lookaheadFrames + 1;

/** The turn of a lane's last chunk that is done. */
export const lastTurnOf = (lane: Lane, { factor, lookaheadFrames }: StreamGeometry): number => {
  const { chunkSteps } = lane.mode;
  return factor * (Math.ceil(doneSteps(lane) / chunkSteps) * chunkSteps - 1) + lookaheadFrames + 1;
};

/** Frames that a lane has heard. */
export const heardFrames = (lane: Lane, { factor, lookaheadFrames }: StreamGeometry): number =>
  doneSteps(lane) === 0 ? 0 : factor * (doneSteps(lane) - 1) + lookaheadFrames + 1;

/** The first frame that a lane still has to hear. */
export const firstFrame = ({ slot }: Lane, { factor, lookbackFrames }: StreamGeometry): number =>
  factor * slot.numSteps - lookbackFrames;
