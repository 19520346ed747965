import { isSpeechError, type SpeechEngine, type StreamOptions } from "@nemo-stt/core";
import type { Clock } from "../clock.ts";
import type { SttUp } from "../spl/schemas.ts";
import type { SoundFormat } from "../voice/encodings.ts";
import { type SavedVoice, Voice, type VoiceOptions, type VoiceText } from "../voice/voice.ts";
import type { Call } from "./call.ts";
import { type EndReason, type GatewayFeed, partyRef } from "./feed.ts";
import type { Journal, SessionLog } from "./journal.ts";
import { createLevelMeter, type LevelMeter } from "./level-meter.ts";
import type { GatewayLimits } from "./limits.ts";
import type { GatewayLog } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { SessionName } from "./session-name.ts";

/** Where a session's sound is kept. */
export interface SessionRecording {
  /** Takes mono samples. */
  write(samples: Float32Array): Promise<void>;
  close(): Promise<void>;
}

/** What sessions share. */
export interface SessionHost {
  readonly engine: SpeechEngine;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly limits: GatewayLimits;
  readonly metrics: GatewayMetrics;
  readonly feed: GatewayFeed;
  readonly log: GatewayLog;
  readonly wait: (ms: number) => Promise<void>;
  /** Opens the recording of a session, where calls are recorded. */
  readonly record: ((name: SessionName, format: SoundFormat, startMs: number) => Promise<SessionRecording>) | undefined;
}

/** How a session is heard. */
export interface SessionSetup {
  readonly name: SessionName;
  readonly log: SessionLog;
  readonly call: Call;
  readonly format: SoundFormat;
  readonly stream: StreamOptions;
  /** The chunk that comes next; more than 0 where an earlier session of this id is gone on with. */
  readonly nextSeq: bigint;
  /** Called once, after the end record. */
  readonly onEnded: (session: Session) => void;
}

/** A live session as plain data; its log is saved with the journal. */
export interface SavedSession {
  readonly sessionId: string;
  readonly nextSeq: bigint;
  readonly hadInterim: boolean;
  readonly first: SttUp | undefined;
  readonly voice: SavedVoice;
}

/** A caller's voice, from chunks to records. Chunks are taken in order, one at a time, from a bounded queue. */
export class Session {
  readonly name: SessionName;
  readonly records: SessionLog;
  readonly #host: SessionHost;
  readonly #setup: SessionSetup;
  #voice: Voice;
  readonly #levels: LevelMeter;
  #recording: SessionRecording | undefined;
  #recordedHz = 0;
  #isRecordingOver = false;
  #nextSeq: bigint;
  #first: SttUp | undefined;
  #tail: Promise<void> = Promise.resolve();
  #queuedSec = 0;
  #hadInterim = false;
  #state: "live" | "saving" | "ending" | "failed" | "ended" = "live";
  #isClosed = false;
  #end: Promise<void> | undefined;
  /** When anything came of it last. */
  activeAtMs: number;

  constructor(host: SessionHost, setup: SessionSetup) {
    this.name = setup.name;
    this.records = setup.log;
    this.#host = host;
    this.#setup = setup;
    this.#nextSeq = setup.nextSeq;
    this.activeAtMs = host.clock.nowMs();
    this.#levels = createLevelMeter();
    this.#voice = new Voice(this.#voiceOptions());
    host.feed.publish({ type: "session-started", ...this.#ref() });
  }

  /** Goes on with a session that was saved. */
  async restore(saved: SavedSession): Promise<void> {
    this.#nextSeq = saved.nextSeq;
    this.#hadInterim = saved.hadInterim;
    this.#first = saved.first;
    this.#voice = await Voice.restore(this.#voiceOptions(), saved.voice);
  }

  /** Everything needed to go on elsewhere, after all that came; this session is over and says nothing of it. */
  async save(): Promise<SavedSession | undefined> {
    if (this.#state !== "live") return undefined;
    // What comes from here on is not counted: its sender sends it again.
    this.#state = "saving";
    await this.#tail;
    if (this.isFailed) return undefined;
    this.#state = "ended";
    const voice = await this.#voice.save();
    await this.#closeRecording();
    const { id: sessionId } = this.name;
    return { sessionId, nextSeq: this.#nextSeq, hadInterim: this.#hadInterim, first: this.#first, voice };
  }

  #voiceOptions(): VoiceOptions {
    const { name, format, stream } = this.#setup;
    return {
      engine: this.#host.engine,
      format,
      stream,
      clock: this.#host.clock,
      name: `session ${name.id.slice(0, 80)}`,
      onText: (text) => this.#onText(text),
    };
  }

  /** The chunk that comes next. */
  get nextSeq(): bigint {
    return this.#nextSeq;
  }

  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** It failed: what comes of it is thrown away until its application ends it. */
  get isFailed(): boolean {
    return this.#state === "failed";
  }

  /** Sound that waits for the engine. */
  get queuedSec(): number {
    return this.#queuedSec;
  }

  /** Sound so far. */
  get heardSec(): number {
    return this.#voice.heardSec;
  }

  /** A chunk 0 that is the one this session began with: a repeat, and no new beginning. */
  isSameStart(chunk: SttUp): boolean {
    const first = this.#first;
    if (first === undefined || first.seq !== chunk.seq || first.audioTimestamp !== chunk.audioTimestamp) return false;
    return Buffer.compare(first.audioChunk, chunk.audioChunk) === 0;
  }

  /**
   * Its application was started again and counts from 0. What was said is told, with a mark; records go on in number,
   * because a reader that saw the old ones would drop new ones that begin at 0.
   */
  restart(): void {
    this.#host.metrics.restarts.inc();
    this.#host.log.warn(`${this.name.id}: its application began again.`, { sessionId: this.name.id });
    this.#nextSeq = 0n;
    this.#first = undefined;
    void this.#enqueue(async () => {
      await this.#voice.endWindow();
      this.#voice = new Voice(this.#voiceOptions());
    });
  }

  /** Takes a chunk. Resolves when the next may come: the caller does not read its socket meanwhile. */
  async offer(chunk: SttUp): Promise<void> {
    this.activeAtMs = this.#host.clock.nowMs();
    const { metrics } = this.#host;
    if (this.#state !== "live") {
      metrics.discarded.inc();
      return;
    }
    if (chunk.seq < this.#nextSeq) {
      metrics.repeats.inc();
      return;
    }
    const numMissing = Number(chunk.seq - this.#nextSeq);
    this.#nextSeq = chunk.seq + 1n;
    this.#first ??= chunk;
    const seconds = this.#seconds(chunk);
    this.#queuedSec += seconds;
    void this.#enqueue(async () => {
      try {
        if (numMissing > 0) await this.#onGap(chunk, numMissing);
        await this.#take(chunk);
      } finally {
        this.#queuedSec -= seconds;
      }
    });
    await this.#room();
  }

  #seconds({ audioChunk }: SttUp): number {
    const { encoding, numChannels, sampleRateHz } = this.#voice.format;
    const frameBytes = (encoding === "s16le" ? 2 : 1) * numChannels;
    return audioChunk.length / frameBytes / sampleRateHz;
  }

  async #room(): Promise<void> {
    const { limits, wait, metrics } = this.#host;
    const isFull = () =>
      this.#state === "live" &&
      (this.#queuedSec > limits.maxQueuedSec || this.records.numUntaken > limits.maxUntakenFinals);
    if (!isFull()) return;
    metrics.held.inc();
    while (isFull()) await wait(20);
  }

  /** Ends an utterance: its final comes, then the mark. */
  async mark(): Promise<void> {
    this.activeAtMs = this.#host.clock.nowMs();
    if (this.#state !== "live") return;
    await this.#enqueue(() => this.#voice.endWindow());
  }

  /** Ends the session after everything that came; its end record is sent exactly once. Idempotent. */
  end(reason: EndReason): Promise<void> {
    if (this.#state === "live") this.#state = "ending";
    this.#end ??= this.#finish(reason);
    return this.#end;
  }

  async #finish(reason: EndReason): Promise<void> {
    await this.#enqueue(() => this.#voice.endWindow());
    await this.#close(reason);
    this.#state = "ended";
    this.#setup.onEnded(this);
  }

  /** Abandons the session now, without its tail; its end is still signalled. */
  async abandon(reason: EndReason): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = "failed";
    await this.#voice.close();
    await this.#close(reason);
    await this.end(reason);
  }

  /** Signals the end, once: after the last final nothing comes but the end record. */
  async #close(reason: EndReason): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#closeRecording();
    this.#append({ text: "", isFinal: true, confidence: -1, endsSession: true });
    this.#host.metrics.sessionEnded(reason === "failed");
    this.#host.feed.publish({ type: "session-ended", reason, heardSec: this.heardSec, ...this.#ref() });
    this.#setup.call.leave(this.name, reason);
  }

  /** Runs work after all earlier work. A failure of it is the session's failure, and is told there. */
  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(async () => {
      if (this.isFailed || this.isEnded) return;
      try {
        await work();
      } catch (error) {
        await this.#fail(error);
      }
    });
    return this.#tail;
  }

  async #fail(error: unknown): Promise<void> {
    this.#state = "failed";
    const code = isSpeechError(error) ? error.code : "INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    if (code === "OVER_CAPACITY") this.#host.metrics.throttled.inc();
    this.#host.log.error(`${this.name.id}: ${message}`, { code, sessionId: this.name.id });
    this.#host.feed.publish({ type: "failed", code, message, ...this.#ref() });
    await this.#voice.close().catch((later: unknown) => {
      this.#host.log.error(`${this.name.id}: closing failed: ${String(later)}`, { sessionId: this.name.id });
    });
    // The end is signalled at once: nobody waits for a session that gives no more text.
    await this.#close("failed");
  }

  async #take(chunk: SttUp): Promise<void> {
    const host = this.#host;
    host.metrics.audioBytes.inc(chunk.audioChunk.length);
    const samples = await this.#voice.feed(chunk.audioChunk, Number(chunk.audioTimestamp));
    if (samples.length === 0) return;
    host.metrics.audioSeconds.inc(samples.length / this.#voice.format.sampleRateHz);
    await this.#record(samples);
    this.#setup.call.hear(this.name, this.#voice.endMs);
    if (!host.feed.isHeard) return;
    const level = this.#levels.take(samples, this.#voice.format.sampleRateHz);
    if (level) host.feed.publish({ type: "level", ...level, endMs: this.#voice.endMs, ...this.#ref() });
  }

  async #onGap(chunk: SttUp, numMissing: number): Promise<void> {
    const missingMs = this.#voice.heardSec === 0 ? 0 : Math.max(0, Number(chunk.audioTimestamp) - this.#voice.endMs);
    this.#host.metrics.missing.inc(numMissing);
    this.#host.log.warn(`${this.name.id}: ${numMissing} chunks before ${chunk.seq} never came (${missingMs} ms).`, {
      sessionId: this.name.id,
    });
    this.#host.feed.publish({ type: "gap", numMissing, missingMs, ...this.#ref() });
    await this.#voice.skip(missingMs);
  }

  async #record(samples: Float32Array): Promise<void> {
    const { record, log } = this.#host;
    if (!record || this.#isRecordingOver) return;
    try {
      const { sampleRateHz } = this.#voice.format;
      if (this.#recording && this.#recordedHz !== sampleRateHz) await this.#closeRecording();
      this.#recordedHz = sampleRateHz;
      const startMs = this.#voice.endMs - (samples.length * 1000) / sampleRateHz;
      this.#recording ??= await record(this.name, this.#voice.format, startMs);
      await this.#recording.write(samples);
    } catch (error) {
      // A full disk must not end a call; it is told, and counted.
      this.#isRecordingOver = true;
      this.#host.metrics.recordingsFailed.inc();
      log.error(`${this.name.id}: recording stopped: ${String(error)}`, { sessionId: this.name.id });
    }
  }

  async #closeRecording(): Promise<void> {
    const recording = this.#recording;
    this.#recording = undefined;
    await recording?.close().catch((error: unknown) => {
      this.#host.metrics.recordingsFailed.inc();
      this.#host.log.error(`${this.name.id}: recording is incomplete: ${String(error)}`, { sessionId: this.name.id });
    });
  }

  #onText(text: VoiceText): void {
    const isMarkOnly = text.isFinal && text.text === "" && !this.#hadInterim;
    this.#hadInterim = !text.isFinal;
    this.#append({ ...text, endsSession: false, isMarkOnly });
    this.#setup.call.text(this.name, text);
    if (text.text !== "") this.#host.metrics.latency.observe(text.latencyMs / 1000);
    if (isMarkOnly) return;
    const { confidence, startMs, endMs, latencyMs } = text;
    const times = { text: text.text, confidence, startMs, endMs, latencyMs };
    this.#host.feed.publish({ type: text.isFinal ? "final" : "interim", ...times, ...this.#ref() });
  }

  #append(record: {
    text: string;
    isFinal: boolean;
    confidence: number;
    endsSession: boolean;
    endsWindow?: boolean;
    isMarkOnly?: boolean;
  }): void {
    const { text, isFinal, confidence, endsSession, endsWindow = false, isMarkOnly = false } = record;
    this.#host.journal.append(this.records, { text, isFinal, confidence, endsSession, endsWindow, isMarkOnly });
  }

  #ref() {
    return partyRef(this.name.callId, this.name.id, this.name.channel);
  }
}
