import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { checkWord } from "../arguments.ts";
import { textEncoder } from "../checkpoint/text.ts";
import { stepSec } from "../config/geometry.ts";
import type { ModelSpec } from "../config/spec.ts";
import { streamModes, streamObstacle } from "../config/streaming.ts";
import type { ModelPackage } from "../recognition/package.ts";
import { openRecognizer, type Recognizer } from "../recognition/recognizer.ts";
import type { Runtime } from "../runtime.ts";
import { type BufferedOptions, bufferedModes, latencyMode } from "./buffered-modes.ts";
import { type BufferedParts, createBufferedSet } from "./buffered-set.ts";
import { createLocalEngine } from "./local-engine.ts";
import { checkEngineOptions, type EngineOptions, openStreamSet } from "./open-engine.ts";
import { createSilenceDetectors, LOOKAHEAD_SEC } from "./silence.ts";
import { measureStepCosts, measureWindowCosts, type StepCost } from "./step-costs.ts";
import type { LatencyMode, SpeechEngine } from "./stream.ts";
import type { StreamSet } from "./stream-set.ts";
import { openVoiceModel } from "./voice/open.ts";

/** What an engine for any model is given. */
export interface SpeechEngineOptions extends EngineOptions {
  /** Overlapping windows even where the encoder has caches; only where it has none unless told. */
  readonly method?: "cache-aware" | "buffered";
  /** What overlapping windows hear. */
  readonly buffered?: BufferedOptions;
}

/** A model of ours before its graphs are loaded, or any that is loaded: graphs of other tools, too. */
export type SpeechModel = ModelPackage | Recognizer;

/**
 * Opens an engine for any model that writes text: with caches where the encoder has them, in overlapping windows where it
 * has none (full attention, convolutions that look ahead, features normalised over the recording, graphs of other tools).
 * `modes` of the engine says which, and the latency.
 *
 * A recogniser that is handed over is closed with the engine.
 * @throws SpeechError `MODEL_UNSUPPORTED` for classifiers, or for caches where there are none; `RUNTIME_FAILED`
 */
export async function openSpeechEngine(
  model: SpeechModel,
  runtime: Runtime,
  options: SpeechEngineOptions,
): Promise<SpeechEngine> {
  checkEngineOptions("openSpeechEngine", options);
  checkWord("openSpeechEngine: options.method", options.method, ["cache-aware", "buffered"]);
  const opened = await openSpeechSet(model, runtime, options);
  const { maxPendingSec = opened.maxPendingSec } = options;
  return createLocalEngine(opened, opened.set, { ...options, ...opened, maxPendingSec });
}

/** Streams of any model, by whichever method, and what an engine has to know of them. */
export interface SpeechSet {
  readonly set: StreamSet;
  readonly spec: ModelSpec;
  readonly modes: readonly LatencyMode[];
  /** Sound that a stream may have waiting before its caller should wait. */
  readonly maxPendingSec: number;
  /** What batches cost, while there are no streams yet. */
  measureCosts(): Promise<StepCost[]>;
  /** Frees the graphs. */
  release(): Promise<void>;
}

/** Opens the streams of `openSpeechEngine` without an engine around them. @throws as it does */
export async function openSpeechSet(
  model: SpeechModel,
  runtime: Runtime,
  options: SpeechEngineOptions,
): Promise<SpeechSet> {
  if (!isBuffered(model, options.method) && isPackage(model)) {
    const opened = await openStreamSet(model, runtime, options);
    const { spec } = opened.parts;
    const measureCosts = () => measureStepCosts(opened, options.batches);
    return { ...opened, spec, modes: speechModes(spec, false), maxPendingSec: MAX_PENDING_SEC, measureCosts };
  }
  const opened = await openBufferedSet(model, runtime, options);
  const { spec } = opened.parts;
  const modes = speechModes(spec, true, options.buffered);
  // Less than a window cannot be heard: a caller may feed that much, and the usual, before it waits.
  const windowSec = Math.max(...modes.map(({ latencySec = 0 }) => latencySec));
  const measureCosts = () => measureWindowCosts(opened);
  return { ...opened, spec, modes, maxPendingSec: MAX_PENDING_SEC + windowSec, measureCosts };
}

const MAX_PENDING_SEC = 2;

/** Whether streams of a model go in overlapping windows: where it has no caches, unless told. */
export function isBuffered(model: SpeechModel, method?: SpeechEngineOptions["method"]): boolean {
  if (method) return method === "buffered" || !isPackage(model);
  return !isPackage(model) || model.graphs.streaming === undefined || streamObstacle(model.spec) !== undefined;
}

/** The latency modes of a model's streams, by either method. */
export function speechModes(spec: ModelSpec, inWindows: boolean, options?: BufferedOptions): LatencyMode[] {
  if (inWindows) return bufferedModes(spec, options).map((mode) => latencyMode(spec, mode));
  return streamModes(spec).map(({ attContext, chunkSec }) => ({ attContext, chunkSec }));
}

/** A set of buffered streams and what it was made of. */
export interface OpenBufferedSet {
  readonly set: StreamSet;
  readonly parts: BufferedParts;
  /** Frees the graphs. */
  release(): Promise<void>;
}

/** Loads what buffered streams need. @throws as `openSpeechEngine` */
export async function openBufferedSet(
  model: SpeechModel,
  runtime: Runtime,
  options: SpeechEngineOptions,
): Promise<OpenBufferedSet> {
  const modes = bufferedModes(model.spec, options.buffered);
  const numThreads = options.numThreads ?? 1;
  const recognizer = isPackage(model) ? await openRecognizer(model, runtime, numThreads) : model;
  const { spec, tokenizer, extractor, acoustic } = recognizer;
  const voice = { numThreads, lookaheadSec: LOOKAHEAD_SEC };
  const vad = options.vad && (await openVoiceModel(options.vad, runtime, voice).catch((error) => closeWith(error)));
  const parts: BufferedParts = {
    spec,
    tokenizer,
    extractor,
    acoustic,
    fingerprint: recognizer.fingerprint ?? descriptionOf(recognizer),
    modes,
    calibration: options.calibration ?? model.calibration,
    maxStreams: options.maxStreams ?? 64,
    detectors: createSilenceDetectors(spec.sampleRateHz, stepSec(spec), vad),
    now: options.now,
  };
  const release = async () => {
    await Promise.all([recognizer.close(), vad?.close()]);
  };
  return { set: createBufferedSet(parts), parts, release };

  async function closeWith(error: unknown): Promise<never> {
    await recognizer.close();
    throw error;
  }
}

const isPackage = (model: SpeechModel): model is ModelPackage => "graphs" in model;

/** What streams of other tools' graphs are saved for: description and vocabulary, because the weights are not at hand. */
function descriptionOf({ name, spec, tokenizer }: Recognizer): string {
  const text = JSON.stringify({ name, spec, pieces: tokenizer.pieces });
  return bytesToHex(sha256(textEncoder.encode(text)));
}
