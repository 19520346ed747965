import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { textEncoder } from "../checkpoint/text.ts";
import { stepSec } from "../config/geometry.ts";
import { streamObstacle } from "../config/streaming.ts";
import type { ModelPackage } from "../recognition/package.ts";
import { openRecognizer, type Recognizer } from "../recognition/recognizer.ts";
import type { Runtime } from "../runtime.ts";
import { type BufferedOptions, bufferedModes, latencyMode } from "./buffered-modes.ts";
import { type BufferedParts, createBufferedSet } from "./buffered-set.ts";
import { createLocalEngine } from "./local-engine.ts";
import { type EngineOptions, openLocalEngine } from "./open-engine.ts";
import { createSilenceDetectors, LOOKAHEAD_SEC } from "./silence.ts";
import type { SpeechEngine } from "./stream.ts";
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
  const hasCaches =
    isPackage(model) && model.graphs.streaming !== undefined && streamObstacle(model.spec) === undefined;
  const isBuffered = options.method ? options.method === "buffered" : !hasCaches;
  if (!isBuffered && isPackage(model)) return openLocalEngine(model, runtime, options);
  const { set, parts, release } = await openBufferedSet(model, runtime, options);
  const modes = parts.modes.map((mode) => latencyMode(parts.spec, mode));
  // Less than a window cannot be heard: a caller may feed that much, and the usual 2 s, before it waits.
  const windowSec = Math.max(...modes.map(({ latencySec = 0 }) => latencySec));
  const maxPendingSec = options.maxPendingSec ?? 2 + windowSec;
  return createLocalEngine(parts, set, { ...options, maxPendingSec, modes, release });
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
