import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import {
  type BatchReport,
  type BatchRules,
  type Calibration,
  checkArgument,
  checkCounts,
  checkNumbers,
  checkObject,
  checkStreamable,
  checkVoiceModel,
  checkWord,
  type GraphLocation,
  isBuffered,
  type ModelSpec,
  type Precision,
  type SpeechEngine,
  type SpeechEngineOptions,
  SpeechError,
  type StreamEvent,
  type StreamOptions,
  textTokenizer,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, type LoadModelOptions, locateModel, openAnyModel, openModel } from "../model.ts";
import type { CreateWorker } from "./engine-thread.ts";
import type { EngineStream } from "./remote-stream.ts";
import { placesPerThread, streamKind } from "./stream-kind.ts";
import { type EngineStatistics, ThreadedEngine } from "./threaded-engine.ts";

/** How an engine uses the machine. */
export interface OpenEngineOptions
  extends Pick<LoadModelOptions, "precision" | "onExport" | "onWarning">,
    Pick<SpeechEngineOptions, "method" | "buffered"> {
  /** Threads, each with the whole model; as many as the machine has cores unless told. */
  readonly numWorkers?: number;
  /** Threads inside one operator; 1 unless told. */
  readonly numThreads?: number;
  /**
   * Streams at a time. Unless told, as many as the machine carries in real time: what a batch costs is measured at the
   * start and corrected by every batch, and `open` refuses a stream that would take a thread beyond 80 % of its time.
   */
  readonly maxStreams?: number;
  /** Ends streams of which nothing was asked for so long with `TIMED_OUT`; never unless told. */
  readonly idleTimeoutSec?: number;
  /**
   * Sound between two snapshots of a stream; 10 s unless told. What a stream needs to survive the end of its
   * thread is this sound, in memory, and a snapshot, about as much as 10 s of it, on the disk (in memory, too, where the
   * disk has no room); going on takes the time of this sound's recognition.
   */
  readonly snapshotSec?: number;
  readonly batches?: BatchRules;
  /** The voice activity model of streams whose endpoint asks for `vad`: the bundled one unless told, none for `false`. */
  readonly vad?: string | false;
  /** Makes probabilities of confidences in place of the model's own calibration. */
  readonly calibration?: Calibration;
  /** Told when a thread has died: its streams go on in others, so this is for the record only. */
  readonly onCrash?: (error: SpeechError) => void;
  /** Told of every batch of every thread. */
  readonly onBatch?: (report: BatchReport) => void;
  readonly clock?: EngineClock;
  /** Makes the threads; for limits of their own, and for tests. */
  readonly createWorker?: CreateWorker;
}

/** Time as an engine needs it. */
export interface EngineClock {
  /** Seconds since anything. */
  now(): number;
  /** Calls again and again, about every so many seconds, until what it gives is called; keeps no process alive. */
  repeat(seconds: number, action: () => void): () => void;
}

/** An engine whose streams share the machine's cores. */
export interface Engine extends SpeechEngine {
  /** What it recognises with. */
  readonly model: { readonly name: string; readonly blankId: number };
  open(options: StreamOptions, onEvent: (event: StreamEvent) => void, saved?: Uint8Array): Promise<EngineStream>;
  statistics(): EngineStatistics;
}

const SYSTEM_CLOCK: EngineClock = {
  now: () => performance.now() / 1000,
  repeat(seconds, action) {
    const timer = setInterval(action, seconds * 1000).unref();
    return () => clearInterval(timer);
  },
};

/**
 * Opens an engine: many live streams on one model, in threads of their own. The calling thread passes packets and events
 * only, and never waits for a matrix.
 * Models whose encoder has no caches go in overlapping windows, as in `openSpeechEngine`; `modes` tells.
 * @param model as `loadModel` takes it: the bundled English model unless told
 * @throws SpeechError `MODEL_UNSUPPORTED` for classifiers, or for caches where there are none, and as `openAnyModel`
 */
export async function openEngine(
  model: string = BUNDLED_MODELS.speech,
  options: OpenEngineOptions = {},
): Promise<Engine> {
  checkOptions(model, options);
  const numWorkers = options.numWorkers ?? availableParallelism();
  const described = await describe(model, options);
  const kind = streamKind(described.name, described.spec, described.inWindows, options.buffered);
  const vad = options.vad === false ? undefined : await openModel(options.vad ?? BUNDLED_MODELS.vad);
  if (vad) checkVoiceModel(vad);
  const engine = new ThreadedEngine(kind, {
    numWorkers,
    maxStreams: options.maxStreams,
    idleTimeoutSec: options.idleTimeoutSec ?? Number.POSITIVE_INFINITY,
    snapshotSec: options.snapshotSec ?? 10,
    clock: options.clock ?? SYSTEM_CLOCK,
    onCrash: options.onCrash,
    onBatch: options.onBatch,
    createWorker: options.createWorker ?? ((entry, workerOptions) => new Worker(entry, workerOptions)),
    start: {
      model: described.place,
      method: described.inWindows ? "buffered" : "cache-aware",
      buffered: options.buffered,
      vadFolder: vad && folderOf(vad.graphs.encoder),
      calibration: options.calibration ?? described.calibration,
      precision: options.precision,
      maxStreams: options.maxStreams ?? placesPerThread(kind, numWorkers),
      numThreads: options.numThreads ?? 1,
      batches: options.batches,
      measures: options.maxStreams === undefined,
    },
  });
  await engine.start();
  return engine;
}

/** @throws ArgumentError for values of the wrong type, RangeError for numbers that make no sense */
function checkOptions(model: string, options: OpenEngineOptions): void {
  const advice = "Give a path, a model's name, or nothing for the bundled model.";
  checkArgument(typeof model === "string", "openEngine: model", "a string", model, advice);
  checkObject("openEngine: options", options);
  const { method, precision, vad } = options;
  checkWord("openEngine: options.method", method, ["cache-aware", "buffered"]);
  checkWord("openEngine: options.precision", precision, ["float32", "float16", "int8"] satisfies Precision[]);
  const isVad = vad === undefined || vad === false || typeof vad === "string";
  checkArgument(isVad, "openEngine: options.vad", "a string or false", vad, "Leave it out for the bundled model.");
  checkNumbers("openEngine: options", options, [...COUNTS, ...SECONDS]);
  checkCounts("openEngine: options", options, COUNTS);
  for (const name of SECONDS) {
    const value = options[name] ?? 1;
    if (value > 0) continue; // False for NaN, too.
    throw new RangeError(
      `openEngine: options.${name}: expected seconds above 0, got ${value}. Leave it out, or give some.`,
    );
  }
  for (const name of ["onCrash", "onBatch", "onExport", "onWarning", "createWorker"] as const) {
    const isRight = options[name] === undefined || typeof options[name] === "function";
    checkArgument(isRight, `openEngine: options.${name}`, "a function", options[name], "Leave it out, or give one.");
  }
}

const COUNTS = ["numWorkers", "numThreads", "maxStreams"] as const;
const SECONDS = ["idleTimeoutSec", "snapshotSec"] as const;

/** A model as an engine needs it: what it is, and where threads open it from. */
interface Described {
  readonly name: string;
  readonly spec: ModelSpec;
  readonly calibration: Calibration | undefined;
  readonly place: string;
  readonly inWindows: boolean;
}

async function describe(
  model: string,
  { method, precision, onExport, onWarning }: OpenEngineOptions,
): Promise<Described> {
  const opened = await openAnyModel(model, { precision, onExport, onWarning });
  const { name, spec, calibration } = opened;
  textTokenizer(opened);
  const inWindows = isBuffered(opened, method);
  if (!("graphs" in opened)) {
    // Another tool's graphs: threads load them for themselves.
    await opened.close();
    return { name, spec, calibration, inWindows, place: await locateModel(model) };
  }
  if (!inWindows) checkStreamable(spec, name, "Leave out `method`: it goes in overlapping windows.");
  if (!inWindows && !opened.graphs.streaming) {
    const text = `${name}: expected a streaming graph, got an export without one. Export the model again.`;
    throw new SpeechError("MODEL_UNSUPPORTED", text);
  }
  return { name, spec, calibration, inWindows, place: folderOf(opened.graphs.encoder) };
}

/** Models of `openModel` lie on a disk. */
const folderOf = (graph: GraphLocation): string => dirname((graph as { readonly path: string }).path);
