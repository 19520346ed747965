import { type EndpointRules, isSpeechError, SpeechError } from "@nemo-stt/core";
import type { SttUp } from "../spl/schemas.ts";
import { RECORDS, signalOf } from "../spl/signals.ts";
import { ENCODINGS, type SoundFormat } from "../voice/encodings.ts";
import { Call } from "./call.ts";
import { errorRecord, failureOf } from "./failure.ts";
import type { EndReason } from "./feed.ts";
import type { Sent } from "./intake.ts";
import type { SessionLog } from "./journal.ts";
import { Session } from "./session.ts";
import type { SavedSession, SessionHost } from "./session-host.ts";
import { isResuming, parseSessionName, type SessionName } from "./session-name.ts";

/** Where chunks come from: sessions go with it when it ends them. */
export interface Connection {
  readonly id: number;
  readonly remoteAddress: string;
  /** Sessions that sent here last. */
  readonly sessions: Set<Session>;
  /** Ids that were refused: what comes for them is thrown away. */
  readonly refused: Set<string>;
  /** What it brought waits for its session: it is not read, and its sessions are not silent. */
  isHeld: boolean;
}

/** What the table needs besides what sessions share. */
export interface TableOptions {
  /** Of sessions whose id does not tell. */
  readonly format: SoundFormat;
  readonly attContext: readonly number[] | undefined;
  readonly endpoint: EndpointRules | undefined;
  readonly onCallEnded: (call: Call, reason: EndReason) => void;
  readonly onSessionStarted: (log: SessionLog) => void;
  /** An application says which text connection is a session's. */
  readonly onReaderNamed: (reader: bigint, sessionId: string) => void;
  /** A session id was read: what it expects can be compared with what is there. */
  readonly onNamed: (name: SessionName) => void;
}

/** Ended sessions whose numbers are remembered, so that one that comes back goes on with them. */
const MAX_REMEMBERED = 10_000;
/** A connection that sends more ids that are none is no application. */
const MAX_REFUSED = 100;

/** All live sessions by id. Finds the session of a chunk, begins new ones, ends those that nobody wants any more. */
export class SessionTable {
  readonly #host: SessionHost;
  readonly #options: TableOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #owners = new Map<Session, Connection>();
  readonly #detached = new Map<Session, { readonly sinceMs: number; readonly remoteAddress: string }>();
  readonly #calls = new Map<string, Call>();
  readonly #remembered = new Map<string, { nextSeq: bigint; nextRecord: bigint }>();
  /** No new sessions. */
  isClosed = false;

  constructor(host: SessionHost, options: TableOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Live sessions. */
  get sessions(): ReadonlyMap<string, Session> {
    return this.#sessions;
  }

  /** Live calls. */
  get calls(): ReadonlyMap<string, Call> {
    return this.#calls;
  }

  /**
   * Takes a chunk and resolves when the connection's next may come. A session that cannot begin is refused: its end is
   * signalled, the connection's other sessions go on.
   * @returns nothing where the session was refused, or was none yet
   * @throws SpeechError `CLOSED` while the gateway is being stopped, `LIMIT_EXCEEDED` for a connection of nonsense
   */
  async offer(connection: Connection, chunk: SttUp): Promise<Session | undefined> {
    const signal = signalOf(chunk);
    if (signal === "reader") {
      this.#options.onReaderNamed(chunk.seq, chunk.sessionId);
      const session = this.#sessions.get(chunk.sessionId);
      session?.onReader();
      return session;
    }
    if (connection.refused.has(chunk.sessionId)) {
      this.#host.metrics.discarded.inc();
      return undefined;
    }
    const sent: Sent = signal ? { kind: signal, seq: chunk.seq } : { kind: "chunk", chunk };
    try {
      const session = this.#find(connection, chunk, sent);
      if (!session) return undefined;
      this.#own(connection, session);
      connection.isHeld = true;
      await session.offer(sent, connection.id);
      return session;
    } catch (error) {
      if (!isSpeechError(error) || error.code === "CLOSED") throw error;
      this.#refuse(connection, chunk.sessionId, error);
      return undefined;
    } finally {
      connection.isHeld = false;
    }
  }

  /** A session that is none ends like one, so that its reader does; an application that knows such records is told why. */
  #endNothing(sessionId: string, connection: Connection, error?: SpeechError): void {
    const { journal } = this.#host;
    const log = journal.open(sessionId, connection.id);
    this.#options.onSessionStarted(log);
    const usual = { endsSession: false, endsWindow: false, isMarkOnly: false };
    if (error && log.resumes) journal.append(log, { ...usual, ...errorRecord(failureOf(error)) });
    journal.append(log, { ...usual, text: "", isFinal: true, confidence: RECORDS.end, endsSession: true });
  }

  #refuse(connection: Connection, sessionId: string, error: SpeechError): void {
    if (connection.refused.size >= MAX_REFUSED) throw error;
    connection.refused.add(sessionId);
    this.#host.metrics.sessionEnded(true);
    this.#host.log.warn(error.message, { code: error.code, sessionId });
    this.#endNothing(sessionId, connection, error);
  }

  #find(connection: Connection, chunk: SttUp, { kind }: Sent): Session | undefined {
    const session = this.#sessions.get(chunk.sessionId);
    if (session === undefined) {
      if (kind === "chunk" ? !this.#isLate(chunk) : !this.#isOver(chunk)) return this.#begin(connection, chunk);
      const isKept = [...this.#host.journal.logs].some((log) => log.sessionId === chunk.sessionId && !log.isHidden);
      if (!isKept && kind === "end") this.#endNothing(chunk.sessionId, connection);
      return undefined;
    }
    if (session.name.resumes) return session;
    const isOther = this.#owners.get(session) !== connection;
    // Somebody begins anew under the same id: an application that was started again.
    if (isOther && chunk.seq === 0n && session.nextSeq > 0n && !session.isSameStart(chunk)) session.restart();
    return session;
  }

  /** A repetition that came after all had ended; whoever sends again names no two sessions alike. */
  #isLate({ sessionId, seq }: SttUp): boolean {
    const isLate = isResuming(sessionId) && seq < (this.#remembered.get(sessionId)?.nextSeq ?? 0n);
    if (isLate) this.#host.metrics.repeats.inc();
    return isLate;
  }

  /** A mark or an end of a session that said nothing, or that has ended. */
  #isOver({ sessionId, seq }: SttUp): boolean {
    return seq === 0n || (this.#remembered.get(sessionId)?.nextSeq ?? -1n) >= seq;
  }

  #begin(connection: Connection, chunk: SttUp): Session {
    const { limits, journal, metrics } = this.#host;
    if (this.isClosed)
      throw new SpeechError("CLOSED", "gateway: expected no new sessions, got one. It is being stopped.");
    if (connection.sessions.size >= limits.maxSessionsPerConnection)
      throw full("LIMIT_EXCEEDED", limits.maxSessionsPerConnection, "sessions of a connection");
    if (this.#sessions.size >= limits.maxSessions) {
      metrics.throttled.inc();
      throw full("OVER_CAPACITY", limits.maxSessions, "live sessions");
    }
    const name = parseSessionName(chunk.sessionId);
    this.#options.onNamed(name);
    const before = chunk.seq === 0n ? undefined : this.#remembered.get(name.id);
    // Whoever begins at 0 reads from 0: what is left of an earlier session of that id would be taken for the new one's.
    if (chunk.seq === 0n) for (const log of journal.logs) log.isHidden ||= log.sessionId === name.id;
    const log = journal.open(name.id, connection.id, before?.nextRecord);
    const session = this.#create(name, log, chunk.seq === 0n ? 0n : before?.nextSeq);
    metrics.sessionsStarted.inc();
    this.#options.onSessionStarted(log);
    return session;
  }

  #create(name: SessionName, log: SessionLog, nextSeq: bigint | undefined): Session {
    const { endpoint } = this.#options;
    const attContext = name.attContext ?? this.#options.attContext;
    const session = new Session(this.#host, {
      name,
      log,
      call: this.#callOf(name),
      format: this.#formatOf(name),
      stream: {
        ...(attContext && { attContext }),
        ...(endpoint && { endpoint }),
      },
      nextSeq,
      onEnded: (ended) => this.#forget(ended),
    });
    this.#sessions.set(name.id, session);
    return session;
  }

  /** Saves all live sessions, which are over then without an end: another gateway goes on with them. */
  async save(): Promise<SavedSession[]> {
    const saved = await Promise.all([...this.#sessions.values()].map((session) => session.save()));
    this.#sessions.clear();
    this.#calls.clear();
    return saved.flatMap((session) => (session ? [session] : []));
  }

  /** Leaves the sessions that can be taken up to the gateway that follows; nobody is told of an end. */
  async release(): Promise<void> {
    const leaving = [...this.#sessions.values()].filter(({ name }) => name.resumes);
    for (const session of leaving) {
      this.#sessions.delete(session.name.id);
      this.#owners.get(session)?.sessions.delete(session);
      this.#owners.delete(session);
      this.#detached.delete(session);
    }
    await Promise.all(leaving.map((session) => session.release()));
  }

  /**
   * Goes on with a session that was saved. It waits for its peer.
   * @throws SpeechError `STATE_INVALID`, `OVER_CAPACITY` of the engine
   */
  async restore(saved: SavedSession, log: SessionLog): Promise<void> {
    const session = this.#create(parseSessionName(saved.sessionId), log, saved.intake.nextSeq);
    this.#detached.set(session, { sinceMs: this.#host.clock.nowMs(), remoteAddress: "" });
    await session.restore(saved).catch(async (error: unknown) => {
      await session.abandon("failed", error);
      throw error;
    });
  }

  #formatOf(name: SessionName): SoundFormat {
    const { format } = this.#options;
    const encoding = name.encoding ? ENCODINGS[name.encoding] : format.encoding;
    return { ...format, encoding, sampleRateHz: name.sampleRateHz ?? format.sampleRateHz };
  }

  #callOf(name: SessionName): Call {
    let call = this.#calls.get(name.callId);
    if (call === undefined || call.isEnded) {
      call = new Call(name.callId, {
        clock: this.#host.clock,
        feed: this.#host.feed,
        reconnectMs: this.#host.limits.reconnectMs,
        onCallEnded: (ended, reason) => {
          this.#calls.delete(ended.id);
          this.#host.metrics.callsEnded.inc();
          this.#options.onCallEnded(ended, reason);
        },
      });
      this.#calls.set(name.callId, call);
    }
    call.join(name);
    return call;
  }

  #own(connection: Connection, session: Session): void {
    const owner = this.#owners.get(session);
    if (owner === connection) return;
    owner?.sessions.delete(session);
    if (session.records.applicationId < 0) session.records.applicationId = connection.id;
    this.#detached.delete(session);
    this.#owners.set(session, connection);
    connection.sessions.add(session);
  }

  /**
   * The session that a connection's mark is of, when nothing came before it there: the only one that was cut from the same
   * address. TCPSink sends again, after it has reconnected, what it could not send.
   */
  adopt(connection: Connection): Session | undefined {
    const candidates = [...this.#detached].filter(
      ([, { remoteAddress }]) => remoteAddress === connection.remoteAddress,
    );
    if (candidates.length !== 1) return undefined;
    this.#own(connection, candidates[0][0]);
    return candidates[0][0];
  }

  /** A connection sent its final mark: its sessions end. Resolves after their last finals. */
  async endAll(connection: Connection): Promise<void> {
    await Promise.all([...connection.sessions].map((session) => session.end("final-mark")));
  }

  /** A connection was cut: its sessions wait for their peer. */
  detach(connection: Connection): void {
    const sinceMs = this.#host.clock.nowMs();
    for (const session of connection.sessions) {
      this.#owners.delete(session);
      if (session.isFailed) void session.end("failed");
      else this.#detached.set(session, { sinceMs, remoteAddress: connection.remoteAddress });
    }
    connection.sessions.clear();
  }

  /** Looks at the clock: sessions whose peer is gone, silent ones, calls that wait. */
  sweep(): void {
    const { clock, limits } = this.#host;
    const now = clock.nowMs();
    for (const [session, { sinceMs }] of this.#detached)
      if (now - sinceMs >= limits.reconnectMs) void session.end("vanished");
    for (const [session, { isHeld }] of this.#owners) if (isHeld) session.touch();
    for (const session of this.#sessions.values())
      if (now - session.activeAtMs >= limits.staleMs) void session.end("stale");
      else void session.sweep(this.#detached.has(session));
    for (const call of this.#calls.values()) call.sweep();
  }

  /** Ends all sessions with their last finals. */
  async finishAll(reason: EndReason): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.end(reason)));
    for (const call of this.#calls.values()) call.end();
  }

  /** Ends all sessions now. */
  async abandonAll(reason: EndReason): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.abandon(reason)));
    for (const call of this.#calls.values()) call.end();
  }

  #forget(session: Session): void {
    const { id } = session.name;
    if (this.#sessions.get(id) === session) this.#sessions.delete(id);
    this.#owners.get(session)?.sessions.delete(session);
    this.#owners.delete(session);
    this.#detached.delete(session);
    this.#remembered.delete(id);
    this.#remembered.set(id, { nextSeq: session.nextSeq, nextRecord: session.records.nextSeq });
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED) break;
      this.#remembered.delete(oldest);
    }
  }
}

const full = (code: "LIMIT_EXCEEDED" | "OVER_CAPACITY", max: number, what: string): SpeechError =>
  new SpeechError(
    code,
    `gateway: expected at most ${max} ${what}, got one more. Raise the limit, or use another gateway.`,
  );
