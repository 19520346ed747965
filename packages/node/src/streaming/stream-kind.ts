import { totalmem } from "node:os";
import {
  type BatchReport,
  type BufferedOptions,
  bufferedMode,
  bufferedModes,
  defaultContext,
  type LatencyMode,
  lanesOf,
  type ModelSpec,
  type StreamOptions,
  speechModes,
  stepSec,
  streamCacheBytes,
} from "@nemo-stt/core";
import type { LaneMode } from "./admission.ts";

/** What an engine has to know of its model's streams: with caches, or in overlapping windows. */
export interface StreamKind {
  readonly name: string;
  /** NeMo puts the blank behind the vocabulary. */
  readonly blankId: number;
  readonly sampleRateHz: number;
  readonly modes: readonly LatencyMode[];
  readonly defaultContext: readonly number[];
  /** Memory of one stream in one mode: caches, or the sound of a window. */
  readonly laneBytes: number;
  /** The modes that read a stream. @throws SpeechError `MODEL_UNSUPPORTED` for contexts that the model does not have */
  lanesOf(options: StreamOptions): readonly LaneMode[];
  /** Sound that a batch brought further. */
  soundSec(report: BatchReport): number;
}

/** The streams of a model. */
export function streamKind(name: string, spec: ModelSpec, inWindows: boolean, buffered?: BufferedOptions): StreamKind {
  const { transducer, ctc } = spec.heads;
  const blankId = transducer?.vocabularySize ?? (ctc?.numClasses ?? 1) - 1;
  const shared = {
    name,
    blankId,
    sampleRateHz: spec.sampleRateHz,
    modes: speechModes(spec, inWindows, buffered),
    defaultContext: defaultContext(spec),
  };
  if (!inWindows) {
    return {
      ...shared,
      laneBytes: streamCacheBytes(spec),
      lanesOf: (options) => lanesOf(spec, options),
      soundSec: ({ numSteps }) => numSteps * stepSec(spec),
    };
  }
  const modes = bufferedModes(spec, buffered);
  const windowSteps = modes.map(({ sizes }) => sizes.leftSteps + sizes.chunkSteps + sizes.rightSteps);
  return {
    ...shared,
    laneBytes: Math.ceil(Math.max(...windowSteps) * stepSec(spec) * spec.sampleRateHz) * BYTES_PER_SAMPLE,
    lanesOf: (options) => [bufferedMode(spec, modes, options)],
    // Steps count what overlaps, too; each window brings its stream a chunk further, the last one up to `right` more.
    soundSec: (report) => report.modes.reduce((sum, { chunkSec }) => sum + chunkSec, 0),
  };
}

const BYTES_PER_SAMPLE = 4;
/** Streams of one thread, at most: far beyond what any model carries on one core of today. */
const MAX_STREAMS_PER_THREAD = 512;
/** The part of the machine's memory that caches may take when all places are taken. */
const CACHE_SHARE = 0.25;
/** A stream with a fast and a slow lane takes two places; a buffer of sound may be twice what is in it. */
const LANES_PER_STREAM = 2;

/** Streams for which a thread sets memory aside. */
export function placesPerThread({ laneBytes }: StreamKind, numWorkers: number): number {
  // What a container may use is less than its machine has.
  const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  const bytes = (memoryBytes * CACHE_SHARE) / numWorkers;
  const places = Math.floor(bytes / (LANES_PER_STREAM * laneBytes));
  return Math.max(1, Math.min(MAX_STREAMS_PER_THREAD, places));
}
