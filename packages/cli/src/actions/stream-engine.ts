import { type BatchReport, openSpeechEngine, type Precision, type SpeechEngine, SpeechError } from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openAnyModel, openEngine, openModel } from "@nemo-stt/node";
import { now } from "./clock.ts";

/** How the engine of a command is opened. */
export interface StreamEngineOptions {
  readonly model?: string;
  readonly precision: Precision;
  readonly numThreads: number;
  readonly numWorkers: number;
  readonly maxStreams: number;
  readonly onBatch: (report: BatchReport) => void;
  /** Told while a checkpoint is exported for the first time. */
  readonly onExport?: (progress: { writtenBytes: number; totalBytes: number }) => void;
}

/** An engine, and what to call its model. */
export interface StreamEngine {
  readonly name: string;
  readonly engine: SpeechEngine;
}

/**
 * The one place where commands open an engine for streams: in threads of its own, so that keys, signals and the clock of
 * the calling thread never wait for a matrix.
 * @throws SpeechError `MODEL_UNSUPPORTED` for a model that cannot be streamed
 */
export async function openStreamEngine(options: StreamEngineOptions): Promise<StreamEngine> {
  const { model: named = BUNDLED_MODELS.speech, precision, onExport, ...engineOptions } = options;
  const { numThreads, maxStreams, onBatch } = options;
  const model = await openAnyModel(named, { precision, numThreads, onExport });
  if (!model.tokenizer) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${model.name}: expected a model that writes text, got ${model.spec.className}, a classifier. Use it with \`vad\`.`,
    );
  }
  if ("graphs" in model && model.graphs.streaming) {
    return { name: model.name, engine: await openEngine(named, { precision, ...engineOptions }) };
  }
  // Without caches a stream goes in overlapping windows, on this thread.
  const vad = await openModel(BUNDLED_MODELS.vad);
  const engine = await openSpeechEngine(model, nodeRuntime(), { now, numThreads, maxStreams, onBatch, vad });
  return { name: model.name, engine };
}
