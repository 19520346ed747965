import { sampleBytes } from "@nemo-stt/core";
import type { SttUp } from "../spl/schemas.ts";
import { CHUNKS_MISSING } from "../spl/signals.ts";
import { Voice, type VoiceOptions } from "../voice/voice.ts";
import { Asking } from "./asking.ts";
import { closedUnder, failureOf, silentFor } from "./failure.ts";
import { type EndReason, partyRef } from "./feed.ts";
import { type InTurn, Intake, type Sent } from "./intake.ts";
import type { SessionLog } from "./journal.ts";
import { createLevelMeter, type LevelMeter } from "./level-meter.ts";
import type { SavedSession, SessionHost, SessionSetup } from "./session-host.ts";
import type { SessionName } from "./session-name.ts";
import { SoundKeeper } from "./session-recording.ts";
import { SessionTexts } from "./session-texts.ts";
import { WindowHeaders } from "./window-headers.ts";

/** A caller's voice, from chunks to records. Chunks are taken in order, one at a time, from a bounded queue. */
export class Session {
  readonly name: SessionName;
  readonly records: SessionLog;
  readonly #host: SessionHost;
  readonly #setup: SessionSetup;
  #voice: Voice;
  readonly #levels: LevelMeter;
  readonly #sound: SoundKeeper;
  readonly #headers: WindowHeaders;
  #intake: Intake;
  readonly #texts: SessionTexts;
  readonly #asking: Asking;
  #waitsSinceMs = 0;
  #first: SttUp | undefined;
  #tail: Promise<void> = Promise.resolve();
  #queuedSec = 0;
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
    this.#intake = new Intake(setup.nextSeq, setup.name.resumes);
    this.#asking = new Asking(host.clock);
    this.#sound = new SoundKeeper(host, setup.name);
    this.#texts = new SessionTexts(host, setup);
    this.#headers = new WindowHeaders(setup.name.resumes ? host.headers : undefined, setup.name.id);
    this.activeAtMs = host.clock.nowMs();
    this.#levels = createLevelMeter();
    this.#voice = new Voice(this.#voiceOptions());
    host.feed.publish({ type: "session-started", ...this.#ref() });
  }

  /** Goes on with a session that was saved. */
  async restore(saved: SavedSession): Promise<void> {
    this.#intake = Intake.restore(saved.intake, this.name.resumes);
    this.#texts.restore(saved);
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
    await this.#sound.close();
    const { id: sessionId } = this.name;
    return { sessionId, intake: this.#intake.save(), ...this.#texts.save(), first: this.#first, voice };
  }

  /** Leaves the session to another gateway, which its application will send everything to that is not settled. */
  async release(): Promise<void> {
    this.#state = "ended";
    await this.#tail;
    await this.#voice.close();
    await this.#sound.close();
    this.#host.feed.publish({ type: "session-ended", reason: "drained", heardSec: this.heardSec, ...this.#ref() });
    this.#setup.call.leave(this.name, "drained");
  }

  #voiceOptions(): VoiceOptions {
    const { name, format, stream } = this.#setup;
    return {
      engine: this.#host.engine,
      format,
      stream,
      clock: this.#host.clock,
      name: `session ${name.id.slice(0, 80)}`,
      onText: (text) => this.#texts.take(text),
    };
  }

  /** The chunk that comes next. */
  get nextSeq(): bigint {
    return this.#intake.nextSeq ?? 0n;
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
    this.#intake.restart();
    this.#first = undefined;
    void this.#enqueue(async () => {
      await this.#voice.endWindow();
      this.#texts.restart();
      this.#voice = new Voice(this.#voiceOptions());
    });
  }

  /**
   * Takes what was sent. Resolves when the next may come: the caller does not read its socket meanwhile.
   * @param connectionId where it came
   */
  async offer(sent: Sent, connectionId: number): Promise<void> {
    this.touch();
    const { metrics } = this.#host;
    if (this.#state !== "live") {
      metrics.discarded.inc();
      return;
    }
    const wasWaiting = this.#intake.isWaiting;
    const turns = this.#intake.offer(sent, connectionId);
    if (turns !== "held" || !wasWaiting) this.#waitsSinceMs = this.activeAtMs;
    if (turns === "held") {
      if (!wasWaiting && this.#asking.isFirstDue) this.#ask();
      return;
    }
    this.#asking.onArrived();
    if (turns === "repeat") metrics.repeats.inc();
    else await this.#takeAll(turns);
  }

  /** Its peer is there: it was heard just now, or waits to be read. */
  touch(): void {
    this.activeAtMs = this.#host.clock.nowMs();
  }

  /** All at once: what comes meanwhile comes after them. */
  async #takeAll(turns: readonly InTurn[]): Promise<void> {
    await Promise.all(turns.map((turn) => this.#take(turn)));
  }

  async #take({ sent, numMissing }: InTurn): Promise<void> {
    if (sent.kind === "chunk") await this.#chunk(sent.chunk, numMissing);
    else if (sent.kind === "mark") await this.#enqueue(() => this.#endWindow(sent.seq));
    else await this.end("final-mark");
  }

  async #chunk(chunk: SttUp, numMissing: number): Promise<void> {
    this.#first ??= chunk;
    const seconds = this.#seconds(chunk);
    this.#queuedSec += seconds;
    void this.#enqueue(async () => {
      try {
        if (numMissing > 0) await this.#onGap(chunk, numMissing);
        await this.#hear(chunk);
      } finally {
        this.#queuedSec -= seconds;
      }
    });
    await this.#room();
  }

  /** A mark with a number of its own, which its answer gives back. */
  async #endWindow(seq: bigint): Promise<void> {
    this.#texts.beginMark(seq);
    await this.#voice.endWindow();
    await this.#headers.endWindow(seq);
    this.#texts.answerMark(seq);
  }

  /**
   * Looks at the clock: asks for what is missing, gives it up in the end.
   * @param isCut nobody is there who sends: what was on its way is lost, if anything was
   */
  async sweep(isCut: boolean): Promise<void> {
    if (this.#state !== "live") return;
    const { isWaiting } = this.#intake;
    if (isWaiting && this.#isHopeless(isCut)) await this.#takeAll(this.#intake.giveUp());
    else if ((isWaiting || isCut) && this.#asking.isDue) this.#ask();
  }

  /** Nobody sends again what is missing. A peer that was cut may come back with it, until its session ends. */
  #isHopeless(isCut: boolean): boolean {
    const { clock, limits } = this.#host;
    const waitedMs = clock.nowMs() - this.#waitsSinceMs;
    if (!this.name.resumes) return waitedMs >= limits.takeUpMs;
    return waitedMs >= limits.repeatMs || (!isCut && clock.nowMs() - this.activeAtMs >= limits.resendMs);
  }

  #ask(): void {
    if (!this.name.resumes) return;
    this.#asking.onAsked();
    this.#host.ask(this.records, this.nextSeq);
  }

  /** A reader of its own came: what was asked of another may not have been heard. */
  onReader(): void {
    if (this.#state === "live" && this.#intake.isWaiting) this.#ask();
  }

  #seconds({ audioChunk }: SttUp): number {
    const { encoding, numChannels, sampleRateHz } = this.#voice.format;
    return audioChunk.length / (sampleBytes(encoding) * numChannels) / sampleRateHz;
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
    this.touch();
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
    for (const turn of this.#intake.giveUp()) if (turn.sent.kind !== "end") await this.#take(turn);
    await this.#enqueue(() => {
      this.#texts.beginEnd();
      return this.#voice.endWindow();
    });
    await this.#close(reason, this.#silence(reason));
    this.#state = "ended";
    this.#setup.onEnded(this);
  }

  /** What is wrong with an end that its application did not ask for. */
  #silence(reason: EndReason): Error | undefined {
    const { reconnectMs, staleMs } = this.#host.limits;
    if (reason === "vanished") return silentFor(this.name.id, reconnectMs);
    return reason === "stale" ? silentFor(this.name.id, staleMs) : undefined;
  }

  /** Abandons the session now, without its tail; its end is still signalled, and why where it can be. */
  async abandon(reason: EndReason, error?: unknown): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = "failed";
    await this.#voice.close();
    await this.#close(reason, error ?? closedUnder(this.name.id));
    await this.end(reason);
  }

  /** Signals the end, once: after the last final nothing comes but why it failed, if it did, and the end record. */
  async #close(reason: EndReason, error?: unknown): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#sound.close();
    await this.#headers.forget();
    if (error !== undefined) this.#texts.tell(failureOf(error));
    this.#texts.end();
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
    const { code, message } = failureOf(error);
    if (code === "OVER_CAPACITY") this.#host.metrics.throttled.inc();
    this.#host.log.error(`${this.name.id}: ${message}`, { code, sessionId: this.name.id });
    this.#host.feed.publish({ type: "failed", code, message, ...this.#ref() });
    await this.#voice.close().catch((later: unknown) => {
      this.#host.log.error(`${this.name.id}: closing failed: ${String(later)}`, { sessionId: this.name.id });
    });
    // The end is signalled at once: nobody waits for a session that gives no more text.
    await this.#close("failed", error);
  }

  async #hear(chunk: SttUp): Promise<void> {
    const host = this.#host;
    host.metrics.audioBytes.inc(chunk.audioChunk.length);
    this.#texts.beginChunk(chunk.seq);
    this.#headers.resume(this.#voice, chunk);
    const samples = await this.#voice.feed(chunk.audioChunk, Number(chunk.audioTimestamp));
    await this.#headers.keep(this.#voice, chunk);
    this.#texts.endChunk(this.#voice);
    if (samples.length === 0) return;
    host.metrics.audioSeconds.inc(samples.length / this.#voice.format.sampleRateHz);
    await this.#sound.keep(samples, this.#voice.format, this.#voice.endMs);
    this.#setup.call.hear(this.name, this.#voice.endMs);
    if (!host.feed.isHeard) return;
    const level = this.#levels.take(samples, this.#voice.format.sampleRateHz);
    if (level) host.feed.publish({ type: "level", ...level, endMs: this.#voice.endMs, ...this.#ref() });
  }

  async #onGap(chunk: SttUp, numMissing: number): Promise<void> {
    // Before the first sound there is no clock: chunks are as long as the one that came.
    const unheardMs = Math.round(numMissing * this.#seconds(chunk) * 1000);
    const isHeard = this.#voice.heardSec > 0;
    const missingMs = isHeard ? Math.max(0, Number(chunk.audioTimestamp) - this.#voice.endMs) : unheardMs;
    this.#host.metrics.missing.inc(numMissing);
    const message = `${this.name.id}: ${numMissing} chunks before ${chunk.seq} never came (${missingMs} ms).`;
    this.#host.log.warn(message, { code: CHUNKS_MISSING, sessionId: this.name.id });
    this.#texts.tell({ code: CHUNKS_MISSING, message });
    this.#host.feed.publish({ type: "gap", numMissing, missingMs, ...this.#ref() });
    await this.#voice.skip(missingMs);
  }

  #ref() {
    return partyRef(this.name.callId, this.name.id, this.name.channel);
  }
}
