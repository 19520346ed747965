import type { Socket } from "node:net";
import type { EndpointRules, SpeechEngine } from "@nemo-stt/core";
import { type Clock, SYSTEM_CLOCK } from "../clock.ts";
import { RECORDS } from "../spl/signals.ts";
import type { SoundFormat } from "../voice/encodings.ts";
import { patientEngine } from "./admission.ts";
import { serveAudio } from "./audio-connection.ts";
import type { Call } from "./call.ts";
import type { EndReaders } from "./end-of-reader.ts";
import { type EndReason, GatewayFeed } from "./feed.ts";
import { type HeaderStore, openHeaderStore } from "./header-store.ts";
import { Journal, RETENTION, type Retention } from "./journal.ts";
import { GATEWAY_LIMITS, type GatewayLimits } from "./limits.ts";
import { type Listener, listen, type TlsOptions } from "./listener.ts";
import type { GatewayLog } from "./log.ts";
import { GatewayMetrics, type Observed } from "./metrics.ts";
import { openRecorder, type Recorder } from "./recorder.ts";
import { limitWarnings } from "./repeated-warnings.ts";
import type { SessionHost } from "./session-host.ts";
import type { SessionName } from "./session-name.ts";
import { SessionTable } from "./session-table.ts";
import { prepareState, takeState, writeState } from "./state-file.ts";
import { type TextPort, TextPorts, type TextPortsHost } from "./text-ports.ts";

/** How a gateway runs. */
export interface GatewayOptions {
  readonly engine: SpeechEngine;
  /** Loopback unless told. */
  readonly host?: string;
  /** 5601 unless told; 0 for any free one. */
  readonly audioPort?: number;
  /** One port 5602 unless told. */
  readonly textPorts?: readonly TextPort[];
  readonly tls?: TlsOptions;
  /** Of sessions whose id and header do not tell: 16-bit PCM at 16 kHz, mono, unless told. */
  readonly format?: Partial<SoundFormat>;
  readonly attContext?: readonly number[];
  /** When utterances end. */
  readonly endpoint?: EndpointRules;
  /** What the engine recognises with: applications that expect another are told so in the log. */
  readonly model?: { readonly name: string; readonly blankId?: number };
  readonly endReaders?: EndReaders;
  readonly limits?: Partial<GatewayLimits>;
  readonly retention?: Partial<Retention>;
  /** A folder where calls are kept. */
  readonly recordFolder?: string;
  /**
   * A file for what is live when the gateway stops: the next one goes on with it, so that a restart in mid-call loses
   * nothing of what came. Without it live calls are ended. Beside it, in the folder `${stateFile}.headers`, is what headers of
   * WAV files said that sessions began with, for a gateway that follows one that was killed.
   */
  readonly stateFile?: string;
  readonly log: GatewayLog;
  readonly clock?: Clock;
  readonly epochMs?: () => number;
}

/** A running gateway. */
export interface Gateway {
  readonly audioPort: number;
  /** In the order in which they were asked for. */
  readonly textPorts: readonly number[];
  readonly table: SessionTable;
  readonly feed: GatewayFeed;
  readonly metrics: GatewayMetrics;
  /** No new sessions are taken. */
  readonly isDraining: boolean;
  /**
   * Takes no new sessions, lets live ones end by themselves for `limits.drainMs`, ends the rest with their last finals,
   * gives readers time to take them, then closes. With a state file live sessions are saved at once instead, and nobody is
   * told of an end. Idempotent.
   * @throws SpeechError `WRITE_FAILED` where the state cannot be written; everything was ended then
   */
  drain(): Promise<void>;
  /** Cuts everything now; ends are still signalled. Idempotent. */
  close(): Promise<void>;
}

const SWEEP_MS = 500;
const POLL_MS = 50;

/**
 * Starts the TCP service of the Streams toolkit.
 * @throws SpeechError `NETWORK_FAILED`, `WRITE_FAILED`, `FORMAT_INVALID` for certificates, `STATE_INVALID`, and the engine's for
 * an attention context that it does not have
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const gateway = new RunningGateway(options);
  await gateway.start();
  return gateway;
}

class RunningGateway implements Gateway {
  readonly table: SessionTable;
  readonly feed: GatewayFeed;
  readonly metrics: GatewayMetrics;
  isDraining = false;
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #readers = new TextPorts();
  readonly #recorder: Recorder | undefined;
  readonly #headers: HeaderStore | undefined;
  #audio: Listener | undefined;
  #text: Listener[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  /** A number for this start of the service; sessions that are gone on with know it. */
  #incarnation = (BigInt(Date.now()) << 16n) + BigInt(Math.floor(Math.random() * 65_536));
  #numAccepted = 0;
  #drained: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#limits = { ...GATEWAY_LIMITS, ...options.limits };
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#journal = new Journal(this.#clock, options.retention);
    this.feed = new GatewayFeed(options.epochMs ?? Date.now);
    this.metrics = new GatewayMetrics(() => this.#observed());
    const { recordFolder, stateFile, log, epochMs = Date.now } = options;
    this.#recorder = recordFolder ? openRecorder(recordFolder, epochMs) : undefined;
    this.#headers = stateFile ? openHeaderStore(`${stateFile}.headers`, log, epochMs) : undefined;
    this.table = new SessionTable(this.#sessionHost(), {
      format: { encoding: "s16le", sampleRateHz: 16_000, numChannels: 1, ...options.format },
      attContext: options.attContext,
      endpoint: options.endpoint,
      onSessionStarted: (log) => this.#readers.onSessionStarted(log),
      onReaderNamed: (reader, sessionId) => this.#readers.name(reader, sessionId),
      onNamed: (name) => this.#compare(name),
      onCallEnded: (call, reason) => this.#describe(call, reason),
    });
  }

  /** Tells when an application expects another model; it is served with the one that is here. */
  #compare({ id, model, blankId }: SessionName): void {
    const { log, model: ours } = this.#options;
    if (!ours) return;
    const tell = (what: string, expected: string, got: string) =>
      log.warn(`${id}: expected ${what} ${expected}, got ${got}. Its parameter and the gateway's model differ.`);
    if (model !== undefined && stemOf(model) !== stemOf(ours.name)) tell("the model", model, ours.name);
    if (blankId !== undefined && ours.blankId !== undefined && blankId !== ours.blankId)
      tell("the blank token", `${blankId}`, `${ours.blankId}`);
  }

  #describe(call: Call, reason: EndReason): void {
    const written = this.#recorder?.finish(call, reason);
    void written?.catch((error: unknown) => {
      this.metrics.recordingsFailed.inc();
      this.#options.log.error(`${call.id}: its description could not be written: ${String(error)}`);
    });
  }

  #sessionHost(): SessionHost {
    const { engine, log } = this.#options;
    const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    const admission = { clock: this.#clock, wait, admissionMs: this.#limits.admissionMs };
    const shared = { clock: this.#clock, journal: this.#journal, limits: this.#limits, log, wait };
    const recorder = this.#recorder;
    return {
      ...shared,
      engine: patientEngine(engine, admission),
      metrics: this.metrics,
      feed: this.feed,
      headers: this.#headers,
      ask: ({ sessionId }, seq) =>
        this.#readers.notify({ sessionId, seq, text: "", isFinal: false, confidence: RECORDS.sendAgain }),
      record: recorder && ((name, format, startMs) => recorder.open(name, format, startMs)),
    };
  }

  async start(): Promise<void> {
    const { host = "127.0.0.1", tls, audioPort = 5601, textPorts = [{ port: 5602 }], log } = this.#options;
    const { maxConnections, handshakeMs } = this.#limits;
    const warn = limitWarnings(
      (text) => log.warn(text),
      () => this.#clock.nowMs(),
    );
    const onRefused = (reason: string) => {
      this.metrics.connectionsRefused.inc();
      warn(reason);
    };
    const shared = { host, tls, maxConnections, handshakeMs, onRefused };
    await this.#checkContext();
    await this.#recorder?.prepare();
    await this.#headers?.prepare();
    if (this.#options.stateFile) {
      await prepareState(this.#options.stateFile);
      await this.#restore(this.#options.stateFile);
    }
    try {
      this.#audio = await listen({ ...shared, port: audioPort, serve: (socket) => this.#serveAudio(socket) });
      for (const port of textPorts) {
        const read = this.#readers.add(port);
        const serve = (socket: Socket) => {
          this.metrics.connections.inc();
          return read(socket, ++this.#numAccepted, this.#textHost());
        };
        this.#text.push(await listen({ ...shared, port: port.port, serve }));
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  /** A context that the model does not have would fail every session: it is met before anybody calls. */
  async #checkContext(): Promise<void> {
    const { attContext, engine } = this.#options;
    if (!attContext) return;
    const stream = await engine.open({ attContext }, () => {});
    await stream.close();
  }

  get audioPort(): number {
    return this.#audio?.port ?? 0;
  }

  get textPorts(): readonly number[] {
    return this.#text.map((listener) => listener.port);
  }

  async #serveAudio(socket: Socket): Promise<void> {
    this.metrics.connections.inc();
    const { table, metrics } = this;
    await serveAudio(socket, ++this.#numAccepted, { table, metrics, limits: this.#limits, log: this.#options.log });
  }

  #textHost(): TextPortsHost {
    const { endReaders = "application", retention, log, model, attContext } = this.#options;
    return {
      journal: this.#journal,
      metrics: this.metrics,
      log,
      clock: this.#clock,
      incarnation: this.#incarnation,
      service: ["resume", model?.name, attContext].filter(Boolean).join(" "),
      stalledReaderMs: this.#limits.stalledReaderMs,
      keepMs: retention?.keepMs ?? RETENTION.keepMs,
      endReaders,
    };
  }

  #sweep(): void {
    this.table.sweep();
    this.#readers.sweep();
    const numLost = this.#journal.sweep();
    if (numLost === 0) return;
    this.metrics.finalsLost.inc(numLost);
    this.#options.log.error(`gateway: ${numLost} finals were kept for as long as told, and no reader took them.`);
  }

  #observed(): Observed {
    const sessions = [...this.table.sessions.values()];
    return {
      numAudioConnections: this.#audio?.numConnections ?? 0,
      numTextConnections: this.#readers.connected.length,
      numSessions: sessions.length,
      numCalls: this.table.calls.size,
      queuedSec: sessions.reduce((sum, session) => sum + session.queuedSec, 0),
      numKeptRecords: [...this.#journal.logs].reduce((sum, log) => sum + log.nodes.length, 0),
      isDraining: this.isDraining,
      audioPort: this.audioPort,
      textPort: this.textPorts[0] ?? 0,
    };
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #restore(stateFile: string): Promise<void> {
    const state = await takeState(stateFile);
    if (!state) return;
    const { log } = this.#options;
    this.#incarnation = state.incarnation;
    for (const saved of state.logs) {
      const records = this.#journal.restore(saved);
      const session = state.sessions.find(({ sessionId }) => sessionId === saved.sessionId && !saved.isEnded);
      if (!session) continue;
      await this.table.restore(session, records).catch((error: unknown) => {
        log.error(
          `${saved.sessionId}: could not be gone on with: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
    }
    log.info(`gateway: goes on with ${this.table.sessions.size} sessions.`);
  }

  async #saveAndClose(stateFile: string): Promise<void> {
    // What is read no more is sent again: TCPSinks notice that their connection is gone.
    const stopped = this.#audio?.stop();
    this.#audio?.cut();
    await stopped;
    const calls = [...this.table.calls.values()];
    const sessions = await this.table.save();
    for (const call of calls) this.#describe(call, "drained");
    try {
      await writeState(stateFile, { incarnation: this.#incarnation, sessions, logs: this.#journal.save() });
    } catch (error) {
      for (const call of calls) call.end();
      throw error;
    } finally {
      await this.close();
    }
  }

  async #drain(): Promise<void> {
    this.isDraining = true;
    this.table.isClosed = true;
    const { stateFile } = this.#options;
    if (stateFile) {
      await this.#saveAndClose(stateFile);
      return;
    }
    await this.table.release();
    // The port stays open for sessions that are live and were cut; new ones are turned away.
    await this.#until(() => this.table.sessions.size === 0, this.#limits.drainMs);
    await this.table.finishAll("drained");
    // Readers are given what is theirs, but no final mark on its account: they come back to the next gateway.
    const isTaken = () =>
      this.#readers.connected.length === 0 || [...this.#journal.logs].every((log) => log.numUntaken === 0);
    await this.#until(isTaken, this.#limits.stalledReaderMs / 10);
    await this.close();
  }

  async #until(isDone: () => boolean, timeoutMs: number): Promise<void> {
    const deadline = this.#clock.nowMs() + timeoutMs;
    while (!isDone() && this.#clock.nowMs() < deadline) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.isDraining = true;
    this.table.isClosed = true;
    clearInterval(this.#timer);
    await this.table.abandonAll("drained");
    const listeners = [...(this.#audio ? [this.#audio] : []), ...this.#text];
    const stopped = listeners.map((listener) => listener.stop());
    for (const listener of listeners) listener.cut();
    await Promise.all(stopped);
    await this.#recorder?.close();
  }
}

/** A model's name without folder and ending. */
const stemOf = (name: string): string => (name.split("/").at(-1) ?? "").replace(/\.[a-z]+$/i, "");
