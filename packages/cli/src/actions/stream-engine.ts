import { availableParallelism } from "node:os";
import type { BatchReport } from "@nemo-stt/core";
import { type Engine, openEngine } from "@nemo-stt/node";
import type { StreamFlags } from "../commands/stream.ts";
import type { Console } from "../console.ts";
import { precisionOf } from "../options.ts";
import { engineOptionsOf } from "../stream-options.ts";

/** A recording has no more. */
const MAX_CHANNELS = 32;

/**
 * The engine of `stream`: in threads of its own, so that keys, signals and the clock of the calling thread never wait for a
 * matrix.
 * @throws SpeechError `MODEL_UNSUPPORTED` for classifiers
 */
export async function openStreamEngine(
  flags: StreamFlags,
  console: Console,
  onBatch: (report: BatchReport) => void,
): Promise<Engine> {
  let bar: ReturnType<Console["progress"]> | undefined;
  return openEngine(flags.model, {
    precision: precisionOf(flags.quantize),
    numThreads: flags.threads,
    // A thread carries many streams, but two parties of a call need not wait for each other.
    numWorkers: flags.channels === "split" ? Math.min(2, availableParallelism()) : 1,
    maxStreams: MAX_CHANNELS,
    ...(await engineOptionsOf(flags)),
    onBatch,
    onWarning: console.err,
    onExport: ({ writtenBytes, totalBytes }) => {
      bar ??= console.progress("prepare model", totalBytes);
      bar.update(writtenBytes);
    },
  }).finally(() => bar?.stop());
}
