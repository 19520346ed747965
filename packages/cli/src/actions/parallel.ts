import type { Recognizer, TranscribeOptions, TranscribeResult } from "@nemo-stt/core";
import { type LoadModelOptions, loadModel, workerRuntime } from "@nemo-stt/node";

/** A recogniser whose graphs run on this thread, or on several of their own. */
export interface ParallelRecognizer {
  readonly recognizer: Recognizer;
  /** As the recogniser's own, in the same order, with the same texts. */
  transcribe(waveforms: readonly Float32Array[], options: TranscribeOptions): Promise<TranscribeResult[]>;
  close(): Promise<void>;
}

/** So many parts for each worker: the more, the shorter one works alone at the end, and the smaller the batches. */
const PARTS_PER_WORKER = 2;

/** Loads a model for `numWorkers` threads, each of which holds its weights; one is this thread itself. */
export async function loadParallel(
  model: string | undefined,
  options: LoadModelOptions,
  numWorkers: number,
): Promise<ParallelRecognizer> {
  if (numWorkers === 1) {
    const recognizer = await loadModel(model, options);
    return { recognizer, transcribe: recognizer.transcribe, close: recognizer.close };
  }
  const runtime = workerRuntime({ numWorkers });
  try {
    const recognizer = await loadModel(model, { ...options, runtime });
    return {
      recognizer,
      transcribe: (waveforms, wanted) =>
        transcribeInParts(recognizer, waveforms, wanted, numWorkers * PARTS_PER_WORKER),
      async close() {
        await recognizer.close();
        await runtime.close();
      },
    };
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

/** Deals waveforms out by length, so that parts take about as long as each other. */
async function transcribeInParts(
  recognizer: Recognizer,
  waveforms: readonly Float32Array[],
  options: TranscribeOptions,
  numParts: number,
): Promise<TranscribeResult[]> {
  const order = waveforms.map((_, i) => i).sort((a, b) => waveforms[b].length - waveforms[a].length);
  const parts = Array.from({ length: numParts }, (_, part) => order.filter((_, rank) => rank % numParts === part));
  const results: TranscribeResult[] = new Array(waveforms.length);
  // All are waited for, so that none goes on behind an error.
  const settled = await Promise.allSettled(
    parts.map(async (part) => {
      const own = await recognizer.transcribe(
        part.map((i) => waveforms[i]),
        options,
      );
      part.forEach((i, rank) => {
        results[i] = own[rank];
      });
    }),
  );
  for (const part of settled) if (part.status === "rejected") throw part.reason;
  return results;
}
