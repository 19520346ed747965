import { isSpeechError, type SpeechEngine } from "@nemo-stt/core";
import type { Clock } from "../clock.ts";

/** How long a full engine is waited for. */
export interface Admission {
  readonly clock: Clock;
  readonly wait: (ms: number) => Promise<void>;
  readonly admissionMs: number;
}

const RETRY_MS = 100;

/**
 * An engine whose `open` waits for room instead of refusing at once: the caller's socket is not read meanwhile, so that
 * a short rush costs a little latency and no call.
 * @returns an engine that refuses (`OVER_CAPACITY`) after `admissionMs`
 */
export function patientEngine(engine: SpeechEngine, { clock, wait, admissionMs }: Admission): SpeechEngine {
  return {
    sampleRateHz: engine.sampleRateHz,
    modes: engine.modes,
    defaultContext: engine.defaultContext,
    get numStreams() {
      return engine.numStreams;
    },
    drain: () => engine.drain(),
    close: () => engine.close(),
    async open(options, onEvent, saved) {
      const deadline = clock.nowMs() + admissionMs;
      for (;;) {
        try {
          return await engine.open(options, onEvent, saved);
        } catch (error) {
          if (!isSpeechError(error) || error.code !== "OVER_CAPACITY" || clock.nowMs() >= deadline) throw error;
        }
        await wait(RETRY_MS);
      }
    },
  };
}
