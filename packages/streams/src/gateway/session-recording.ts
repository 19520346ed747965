import type { SoundFormat } from "../voice/encodings.ts";
import type { GatewayLog } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { SessionName } from "./session-name.ts";

/** Where a session's sound is kept. */
export interface SessionRecording {
  /** Takes mono samples. */
  write(samples: Float32Array): Promise<void>;
  close(): Promise<void>;
}

/** What recordings need of the gateway. */
export interface RecordingHost {
  readonly metrics: GatewayMetrics;
  readonly log: GatewayLog;
  /** Opens the recording of a session, where calls are recorded. */
  readonly record: ((name: SessionName, format: SoundFormat, startMs: number) => Promise<SessionRecording>) | undefined;
}

/** Keeps one session's sound, where calls are kept. What goes wrong is told and counted, and ends nothing else. */
export class SoundKeeper {
  readonly #host: RecordingHost;
  readonly #name: SessionName;
  #recording: SessionRecording | undefined;
  #rateHz = 0;
  #isOver = false;

  constructor(host: RecordingHost, name: SessionName) {
    this.#host = host;
    this.#name = name;
  }

  /** Keeps samples that end at a time of the caller's clock. */
  async keep(samples: Float32Array, format: SoundFormat, endMs: number): Promise<void> {
    const { record, log } = this.#host;
    if (!record || this.#isOver) return;
    try {
      const { sampleRateHz } = format;
      if (this.#recording && this.#rateHz !== sampleRateHz) await this.close();
      this.#rateHz = sampleRateHz;
      this.#recording ??= await record(this.#name, format, endMs - (samples.length * 1000) / sampleRateHz);
      await this.#recording.write(samples);
    } catch (error) {
      // A full disk must not end a call.
      this.#isOver = true;
      this.#host.metrics.recordingsFailed.inc();
      log.error(`${this.#name.id}: recording stopped: ${String(error)}`, { sessionId: this.#name.id });
    }
  }

  async close(): Promise<void> {
    const recording = this.#recording;
    this.#recording = undefined;
    await recording?.close().catch((error: unknown) => {
      this.#host.metrics.recordingsFailed.inc();
      this.#host.log.error(`${this.#name.id}: recording is incomplete: ${String(error)}`, { sessionId: this.#name.id });
    });
  }
}
