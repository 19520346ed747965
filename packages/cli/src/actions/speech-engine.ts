import { openLocalEngine, type SpeechEngine } from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openModel } from "@nemo-stt/node";
import { precisionOf, type Quantize } from "../options.ts";

/** What a live engine is made of. */
export interface EngineFlags {
  readonly model?: string;
  readonly quantize?: Quantize;
  readonly threads: number;
  readonly maxStreams: number;
}

/**
 * Opens an engine for live streams.
 * @throws SpeechError of the model
 */
export async function openEngine({ model, quantize, threads, maxStreams }: EngineFlags): Promise<SpeechEngine> {
  const opened = await openModel(model ?? BUNDLED_MODELS.speech, { precision: precisionOf(quantize) });
  return openLocalEngine(opened, nodeRuntime(), {
    maxStreams,
    numThreads: threads,
    now: () => performance.now() / 1000,
  });
}
