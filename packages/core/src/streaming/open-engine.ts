import { checkArgument, checkCounts, checkNumbers, checkObject } from "../arguments.ts";
import { stepSec } from "../config/geometry.ts";
import type { ConformerSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { createFeatureExtractor } from "../features/extractor.ts";
import { loadTransducer } from "../recognition/acoustic.ts";
import type { ModelPackage } from "../recognition/package.ts";
import { textTokenizer } from "../recognition/writes-text.ts";
import type { Runtime } from "../runtime.ts";
import type { Calibration } from "../transcript/calibration.ts";
import type { BatchRules } from "./batch.ts";
import { createCachePool } from "./cache-pool.ts";
import { createLocalEngine, type LocalEngineOptions } from "./local-engine.ts";
import { checkStreamable, WINDOWS_ADVICE } from "./modes.ts";
import { createSilenceDetectors, LOOKAHEAD_SEC } from "./silence.ts";
import type { SpeechEngine } from "./stream.ts";
import { createStreamEncoder } from "./stream-encoder.ts";
import { createStreamSet, type StreamParts, type StreamSet } from "./stream-set.ts";
import { openVoiceModel } from "./voice/open.ts";

/** What an engine on the calling thread is given. */
export interface EngineOptions extends Omit<LocalEngineOptions, "release" | "modes"> {
  /** Streams at a time; memory for their caches is set aside, and used as they come. 64 unless told. */
  readonly maxStreams?: number;
  readonly numThreads?: number;
  readonly batches?: BatchRules;
  /** Seconds of any clock that goes on, for the order of work and for measurements. */
  readonly now: () => number;
  /** The voice activity model of streams whose endpoint asks for `vad`: any NeMo MarbleNet, of frames or of windows. */
  readonly vad?: ModelPackage;
  /** Makes probabilities of confidences in place of the model's own calibration. */
  readonly calibration?: Calibration;
}

/** A set of streams and what it was made of. */
export interface OpenStreamSet {
  readonly set: StreamSet;
  readonly parts: StreamParts;
  /** Frees the graphs. */
  release(): Promise<void>;
}

/** A stream with a fast and a slow lane takes two places. */
const LANES_PER_STREAM = 2;

/**
 * Loads the graphs that streams need.
 * @throws SpeechError `MODEL_UNSUPPORTED` for a model that cannot be streamed, `RUNTIME_FAILED` when a graph is refused
 */
export async function openStreamSet(
  model: ModelPackage,
  runtime: Runtime,
  options: EngineOptions,
): Promise<OpenStreamSet> {
  const { spec, tokenizer, graphs } = model;
  checkModel(model);
  const numThreads = options.numThreads ?? 1;
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(each: T): T => {
    opened.push(each);
    return each;
  };
  const release = async () => {
    await Promise.all(opened.map((each) => each.close()));
  };
  try {
    const streaming = graphs.streaming as NonNullable<typeof graphs.streaming>;
    const session = keep(await runtime.load(streaming, { numThreads }));
    const transducer = keep(await loadTransducer(model, runtime, numThreads));
    const voice = { numThreads, lookaheadSec: LOOKAHEAD_SEC };
    const vad = options.vad && keep(await openVoiceModel(options.vad, runtime, voice));
    const pool = createCachePool(spec.encoder as ConformerSpec, LANES_PER_STREAM * (options.maxStreams ?? 64));
    const parts: StreamParts = {
      spec,
      fingerprint: model.fingerprint,
      tokenizer: tokenizer as NonNullable<typeof tokenizer>,
      extractor: createFeatureExtractor({ ...spec.features, padTo: 0 }, model.featureTensors),
      encoder: createStreamEncoder(spec, session, pool),
      networks: transducer.networks,
      calibration: options.calibration ?? model.calibration,
      detectors: createSilenceDetectors(spec.sampleRateHz, stepSec(spec), vad),
      now: options.now,
    };
    return { set: createStreamSet(parts, options.batches), parts, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Loads a model and opens an engine for streams on the calling thread. @throws as `openStreamSet` */
export async function openLocalEngine(
  model: ModelPackage,
  runtime: Runtime,
  options: EngineOptions,
): Promise<SpeechEngine> {
  checkEngineOptions("openLocalEngine", options);
  const { set, parts, release } = await openStreamSet(model, runtime, options);
  return createLocalEngine(parts, set, { ...options, release });
}

/** Refuses options of an engine on the calling thread. @throws ArgumentError for the wrong type, RangeError for counts that are none */
export function checkEngineOptions(where: string, options: EngineOptions): void {
  checkObject(`${where}: options`, options);
  checkNumbers(`${where}: options`, options, ["maxStreams", "numThreads", "maxPendingSec"]);
  checkCounts(`${where}: options`, options, ["maxStreams", "numThreads"]);
  const isClock = typeof options.now === "function";
  checkArgument(isClock, `${where}: options.now`, "a function", options.now, "Give one that tells seconds.");
}

function checkModel(model: ModelPackage): void {
  const { name, spec, graphs } = model;
  textTokenizer(model);
  checkStreamable(spec, name, WINDOWS_ADVICE);
  if (graphs.streaming) return;
  const text = `${name}: expected a streaming graph, got an export without one. Export the model again.`;
  throw new SpeechError("MODEL_UNSUPPORTED", text);
}
