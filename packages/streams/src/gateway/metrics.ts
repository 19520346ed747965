import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What is read off the gateway when somebody looks. */
export interface Observed {
  readonly numAudioConnections: number;
  readonly numTextConnections: number;
  readonly numSessions: number;
  readonly numCalls: number;
  readonly queuedSec: number;
  readonly numKeptRecords: number;
  readonly isDraining: boolean;
  readonly audioPort: number;
  readonly textPort: number;
}

/** Latencies that people tell apart, in seconds. */
const LATENCY_BUCKETS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10];

/** Everything that a gateway counts; a registry of its own, so that several gateways can run in one process. */
export class GatewayMetrics {
  readonly registry = new Registry();
  readonly #names = { registers: [this.registry] };
  readonly #counter = (name: string, help: string) =>
    new Counter({ name: `nemo_stt_gateway_${name}`, help, ...this.#names });

  readonly audioBytes = this.#counter("audio_bytes_total", "Bytes of sound that were received.");
  readonly audioSeconds = this.#counter("audio_seconds_total", "Sound that was received, in seconds.");
  readonly connections = this.#counter("connections_total", "Connections that were accepted on both ports.");
  readonly connectionsRefused = this.#counter("connections_refused_total", "Connections that were refused or failed.");
  readonly sessionsStarted = this.#counter("sessions_started_total", "Sessions that began.");
  readonly sessionsDone = this.#counter("sessions_done_total", "Sessions that ended after their last final.");
  readonly sessionsFailed = this.#counter("sessions_failed_total", "Sessions that failed.");
  readonly callsEnded = this.#counter("calls_total", "Calls that ended.");
  readonly throttled = this.#counter("throttled_total", "Sessions that were refused because the engine was full.");
  readonly tuplesSent = this.#counter("tuples_sent_total", "Records that were sent to text readers, repeats included.");
  readonly textBytes = this.#counter("text_bytes_total", "Bytes that were sent to text readers.");
  readonly repeats = this.#counter("chunks_repeated_total", "Chunks that came twice and were dropped.");
  readonly missing = this.#counter("chunks_missing_total", "Chunks that never came.");
  readonly discarded = this.#counter("chunks_discarded_total", "Chunks of sessions that had failed.");
  readonly strayMarks = this.#counter("marks_stray_total", "Marks that could not be told to be of any session.");
  readonly restarts = this.#counter("sessions_restarted_total", "Sessions whose application began again.");
  readonly held = this.#counter("held_total", "Times that an audio connection was not read because a queue was full.");
  readonly readersCut = this.#counter("readers_cut_total", "Text readers that were cut because they took nothing.");
  readonly finalsLost = this.#counter("finals_lost_total", "Finals that no reader took within the time they are kept.");
  readonly recordingsFailed = this.#counter("recordings_failed_total", "Recordings that could not be written.");
  readonly hostile = this.#counter("streams_invalid_total", "Audio connections that sent no valid format: bin.");
  readonly latency = new Histogram({
    name: "nemo_stt_gateway_text_latency_seconds",
    help: "From when the last sample that a text needed came until the text.",
    buckets: LATENCY_BUCKETS,
    ...this.#names,
  });

  readonly #observe: () => Observed;

  /** @param observe called whenever metrics are read */
  constructor(observe: () => Observed) {
    this.#observe = observe;
    const gauge = (name: string, help: string, value: (now: Observed) => number) =>
      new Gauge({
        name: `nemo_stt_gateway_${name}`,
        help,
        ...this.#names,
        collect() {
          this.set(value(observe()));
        },
      });
    gauge("audio_connections", "Audio connections that are open.", (now) => now.numAudioConnections);
    gauge("text_connections", "Text readers that are connected.", (now) => now.numTextConnections);
    gauge("sessions", "Sessions that are live.", (now) => now.numSessions);
    gauge("calls", "Calls that are live.", (now) => now.numCalls);
    gauge("queued_seconds", "Sound that waits for the engine.", (now) => now.queuedSec);
    gauge("records_kept", "Records that are kept for readers that come back.", (now) => now.numKeptRecords);
    gauge("draining", "1 while no new sessions are taken.", (now) => Number(now.isDraining));
  }

  /** A session ended. */
  sessionEnded(isFailed: boolean): void {
    (isFailed ? this.sessionsFailed : this.sessionsDone).inc();
  }

  /**
   * The same numbers under the names that users of the Streams toolkits know: those of the speech gateway's operators
   * (`WatsonSTT`, `IBMVoiceGatewaySource`), where something of the kind is there.
   */
  async streamsMetrics(): Promise<Record<string, number>> {
    const of = async (counter: Counter) => (await counter.get()).values.reduce((sum, { value }) => sum + value, 0);
    const now = this.#observe();
    const failed = await of(this.connectionsRefused);
    const [done, broken] = [await of(this.sessionsDone), await of(this.sessionsFailed)];
    return {
      nVoiceCallsProcessed: await of(this.callsEnded),
      nVoiceCallsThrottled: await of(this.throttled),
      nSpeechDataBytesReceived: await of(this.audioBytes),
      nOutputTuplesSent: await of(this.tuplesSent),
      nFullAudioConversationsReceived: done + broken,
      nFullAudioConversationsTranscribed: done,
      nFullAudioConversationsFailed: broken,
      nAudioBytesSend: await of(this.audioBytes),
      nWebsocketConnectionAttempts: (await of(this.connections)) + failed,
      nWebsocketConnectionAttemptsFailed: failed,
      nWebsocketConnectionAttemptsCurrent: now.numAudioConnections + now.numTextConnections,
      audioPort: now.audioPort,
      textPort: now.textPort,
    };
  }
}
