import type { Clock } from "../clock.ts";
import { isResuming } from "./session-name.ts";

/** A record of a session, as text readers are sent it, with what stands behind it. */
export interface JournalRecord {
  /** Counts the session's records from 0. */
  readonly seq: bigint;
  readonly text: string;
  readonly isFinal: boolean;
  readonly confidence: number;
  /** A window mark stands behind it. */
  readonly endsWindow: boolean;
  /** The session ends here: there is no text. */
  readonly endsSession: boolean;
  /** Nothing but its mark is worth sending: an empty final of a window in which nothing was said. */
  readonly isMarkOnly: boolean;
  /** Chunks below are settled with it. */
  readonly settlesBelow?: bigint;
}

/** How long records are kept for readers that come back. */
export interface Retention {
  /** At least this long after a reader took them; 60 s unless told. */
  readonly keepMs: number;
  /** At least so many of the latest of every live session; 1000 unless told. */
  readonly keepRecords: number;
  /** Finals that no reader has taken are kept this long; a day unless told. */
  readonly keepUntakenMs: number;
}

/** Retention unless told otherwise. */
export const RETENTION: Retention = { keepMs: 60_000, keepRecords: 1000, keepUntakenMs: 24 * 3600_000 };

/** A session's part of the journal. */
export class SessionLog {
  readonly sessionId: string;
  /** Its application speaks in records and signals; its reader is told which one it is. */
  readonly resumes: boolean;
  /** The audio connection on which the session began: which application it belongs to. Below 0 where nobody knows. */
  applicationId: number;
  readonly startedAtMs: number;
  readonly nodes: Node[] = [];
  nextSeq: bigint;
  isEnded = false;
  /** Readers that come from now on are not shown it: its own have it all, or another session has taken its name. */
  isHidden = false;
  /** Finals that no reader has taken. */
  numUntaken = 0;

  constructor(sessionId: string, applicationId: number, startedAtMs: number, nextSeq = 0n) {
    this.sessionId = sessionId;
    this.resumes = isResuming(sessionId);
    this.applicationId = applicationId;
    this.startedAtMs = startedAtMs;
    this.nextSeq = nextSeq;
  }
}

/** A record's place in the journal: readers go from one to the next. */
export interface Node {
  /** Counts all records of the journal. */
  readonly serial: number;
  readonly log: SessionLog;
  readonly record: JournalRecord;
  readonly atMs: number;
  takenAtMs: number | undefined;
  isRemoved: boolean;
  next: Node | undefined;
}

/** A session's log as plain data. */
export interface SavedLog {
  readonly sessionId: string;
  readonly nextSeq: bigint;
  readonly isEnded: boolean;
  readonly records: readonly (JournalRecord & { readonly isTaken: boolean })[];
}

/** A reader's place. What it has not passed is not removed. */
export interface JournalReader {
  /** The last node that was passed. */
  readonly place: Node;
  /** Passes the next node, if there is one. */
  advance(): Node | undefined;
  /** Records that it has not passed. */
  readonly numBehind: number;
  /** Resolves as soon as there is a next node, or after `detach`. */
  next(): Promise<void>;
  /** Lets `next` resolve: there is something to do besides records. */
  nudge(): void;
  /** The reader is gone; idempotent. */
  detach(): void;
}

/** What stands in front of the first record, so that a reader always has a place. */
const ROOT = {
  seq: 0n,
  text: "",
  isFinal: false,
  confidence: 0,
  endsWindow: false,
  endsSession: false,
  isMarkOnly: true,
};

/** All records of all sessions in the order in which they came: a linked list in which readers hold places. */
export class Journal {
  readonly #clock: Clock;
  readonly #retention: Retention;
  readonly #logs = new Set<SessionLog>();
  readonly #readers = new Set<Reader>();
  /** The last node in front of everything that is kept. */
  #first: Node;
  #last: Node;
  #numNodes = 0;

  constructor(clock: Clock, retention: Partial<Retention> = {}) {
    this.#clock = clock;
    this.#retention = { ...RETENTION, ...retention };
    this.#first = this.#node(new SessionLog("", 0, clock.nowMs()), ROOT);
    this.#last = this.#first;
  }

  /** Sessions of which something is kept, ended ones too. */
  get logs(): ReadonlySet<SessionLog> {
    return this.#logs;
  }

  /** Opens a session's log. */
  open(sessionId: string, applicationId: number, nextSeq?: bigint): SessionLog {
    const log = new SessionLog(sessionId, applicationId, this.#clock.nowMs(), nextSeq);
    this.#logs.add(log);
    return log;
  }

  /** Appends a record and wakes the readers. */
  append(log: SessionLog, record: Omit<JournalRecord, "seq">): void {
    const node = this.#node(log, { ...record, seq: log.nextSeq++ });
    log.nodes.push(node);
    if (record.isFinal) log.numUntaken++;
    log.isEnded ||= record.endsSession;
    this.#last.next = node;
    this.#last = node;
    for (const reader of this.#readers) reader.wake?.();
  }

  /** The logs that readers may still want. */
  save(): SavedLog[] {
    return [...this.#logs]
      .filter((log) => !log.isHidden)
      .map(({ sessionId, nextSeq, isEnded, nodes }) => ({
        sessionId,
        nextSeq,
        isEnded,
        records: nodes.map(({ record, takenAtMs }) => ({ ...record, isTaken: takenAtMs !== undefined })),
      }));
  }

  /** Puts a log back; what was taken is kept as if it had been taken now. */
  restore({ sessionId, nextSeq, isEnded, records }: SavedLog): SessionLog {
    const log = this.open(sessionId, -1);
    for (const { isTaken, ...record } of records) {
      log.nextSeq = record.seq;
      this.append(log, record);
      if (isTaken) this.take(this.#last);
    }
    log.nextSeq = nextSeq;
    log.isEnded = isEnded;
    return log;
  }

  /** A reader in front of everything that is kept. */
  attach(): JournalReader {
    const reader = new Reader(
      this.#first,
      () => this.#numNodes,
      () => this.#readers.delete(reader),
    );
    this.#readers.add(reader);
    return reader;
  }

  /** Takes note that a reader was sent a record: from now on it is kept for as long as a reader that was cut needs. */
  take(node: Node): void {
    if (node.takenAtMs !== undefined) return;
    node.takenAtMs = this.#clock.nowMs();
    if (node.record.isFinal && !node.isRemoved) node.log.numUntaken--;
  }

  /** Removes what need not be kept any longer; gives the number of finals that nobody took within their time. */
  sweep(): number {
    const passed = Math.min(...[...this.#readers].map((reader) => reader.place.serial), Number.POSITIVE_INFINITY);
    let numLost = 0;
    let hasRemoved = false;
    for (const log of [...this.#logs]) {
      const before = log.nodes.length;
      numLost += this.#sweepLog(log, passed);
      hasRemoved ||= log.nodes.length < before;
      if (log.isEnded && log.nodes.length === 0) this.#logs.delete(log);
    }
    if (hasRemoved) this.#unlink();
    return numLost;
  }

  #sweepLog(log: SessionLog, passed: number): number {
    // Of a live session the latest records stay; of an ended one nothing but what time and readers say.
    const numOpen = log.isEnded ? log.nodes.length : Math.max(0, log.nodes.length - this.#retention.keepRecords);
    if (numOpen === 0) return 0;
    const kept: Node[] = [];
    let numLost = 0;
    log.nodes.forEach((node, i) => {
      if (i >= numOpen || node.serial > passed || !this.#isOver(node)) kept.push(node);
      else {
        node.isRemoved = true;
        if (node.record.isFinal && node.takenAtMs === undefined) numLost++;
      }
    });
    if (kept.length < log.nodes.length) log.nodes.splice(0, log.nodes.length, ...kept);
    log.numUntaken -= numLost;
    return log.isHidden ? 0 : numLost;
  }

  #isOver({ log, record, atMs, takenAtMs }: Node): boolean {
    const { keepMs, keepUntakenMs } = this.#retention;
    const now = this.#clock.nowMs();
    if (takenAtMs !== undefined) return now - takenAtMs >= keepMs;
    // Interims are worth nothing once they are old, nor is what nobody is shown; finals wait for a reader.
    return now - atMs >= (record.isFinal && !log.isHidden ? keepUntakenMs : keepMs);
  }

  /** Takes removed nodes out of the list. Readers stand behind them or on them; the way forward stays. */
  #unlink(): void {
    for (let node = this.#first; node.next; ) {
      if (node.next.isRemoved && node.next !== this.#last) node.next = node.next.next;
      else node = node.next;
    }
  }

  #node(log: SessionLog, record: JournalRecord): Node {
    const serial = this.#numNodes++;
    return { serial, log, record, atMs: this.#clock.nowMs(), takenAtMs: undefined, isRemoved: false, next: undefined };
  }
}

class Reader implements JournalReader {
  place: Node;
  wake: (() => void) | undefined;
  readonly #count: () => number;
  readonly #onDetach: () => void;
  #isDetached = false;

  constructor(place: Node, count: () => number, onDetach: () => void) {
    this.place = place;
    this.#count = count;
    this.#onDetach = onDetach;
  }

  get numBehind(): number {
    return this.#count() - 1 - this.place.serial;
  }

  advance(): Node | undefined {
    const { next } = this.place;
    if (next) this.place = next;
    return next;
  }

  next(): Promise<void> {
    if (this.place.next || this.#isDetached) return Promise.resolve();
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = undefined;
        resolve();
      };
    });
  }

  nudge(): void {
    this.wake?.();
  }

  detach(): void {
    this.#isDetached = true;
    this.#onDetach();
    this.wake?.();
  }
}
