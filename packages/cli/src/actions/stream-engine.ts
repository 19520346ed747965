import { type BatchReport, openSpeechEngine, type Precision, type SpeechEngine } from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openAnyModel, openModel } from "@nemo-stt/node";
import { now } from "./clock.ts";

/** How the engine of a command is opened. */
export interface StreamEngineOptions {
  readonly model?: string;
  readonly precision: Precision;
  readonly numThreads: number;
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
 * The one place where commands open an engine for streams.
 * @throws SpeechError `MODEL_UNSUPPORTED` for a model that cannot be streamed
 */
export async function openStreamEngine(options: StreamEngineOptions): Promise<StreamEngine> {
  const { precision, numThreads, maxStreams, onBatch, onExport } = options;
  const model = await openAnyModel(options.model ?? BUNDLED_MODELS.speech, { precision, numThreads, onExport });
  const vad = await openModel(BUNDLED_MODELS.vad);
  const engine = await openSpeechEngine(model, nodeRuntime(), { now, numThreads, maxStreams, onBatch, vad });
  return { name: model.name, engine };
}
