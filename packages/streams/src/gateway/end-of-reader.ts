import type { SessionLog } from "./journal.ts";

/** When a text reader is sent the final mark, which ends it for good. */
export type EndReaders =
  /** When the one application that it serves has ended, and it is its port's only reader; the default. */
  | "application"
  /** When no session is live any more, whoever they belonged to. */
  | "idle"
  /** Never: sessions end by their end record alone. */
  | "never";

/**
 * What one text reader has seen, and what follows from it: whether it serves one session, and whether the end of a
 * session is its end. A final mark ends a TCPSource for ever, so a reader that may still be needed never gets one.
 */
export class ReaderView {
  #mode: EndReaders;
  /** Sessions that were live when the reader came, or that began since; or the only one, where that had ended before. */
  readonly #sessions = new Set<SessionLog>();
  readonly #passed = new Set<SessionLog>();
  readonly #isBackfilled: boolean;

  /** @param kept sessions that the reader is shown when it comes */
  constructor(mode: EndReaders, kept: readonly SessionLog[]) {
    this.#mode = mode;
    const live = kept.filter((log) => !log.isEnded);
    for (const log of live.length === 0 && kept.length === 1 ? kept : live) this.add(log);
    // A reader that missed the beginning cannot tell a repeated mark from a new one unless its record stands before it.
    this.#isBackfilled = kept.some((log) => log.nodes.length > 0);
  }

  /** Sessions that count. */
  get sessions(): ReadonlySet<SessionLog> {
    return this.#sessions;
  }

  /** A session began. Those whose applications name their readers are none of this one's, unless it is named. */
  add(log: SessionLog): void {
    if (!log.resumes || this.#mode === "idle") this.#sessions.add(log);
  }

  /** The reader said that it wants no final mark (it sent a byte, which no TCPSource does). */
  endByRecords(): void {
    this.#mode = "never";
  }

  /** Marks may stand alone: there is but one session whose they can be, and none of them is a repeat. */
  get allowsBareMarks(): boolean {
    return !this.#isBackfilled && this.#sessions.size <= 1 && this.#mode !== "never";
  }

  /**
   * The reader comes to a session's end. True where that is its own end.
   * @param isAlone no other reader is there: others would be those of applications that have not begun yet
   */
  pass(log: SessionLog, isAlone: boolean): boolean {
    this.#passed.add(log);
    const known = [...this.#sessions];
    if (this.#mode === "never" || known.some((other) => !this.#passed.has(other))) return false;
    if (this.#mode === "idle") return true;
    return isAlone && known.includes(log) && known.every((other) => other.applicationId === log.applicationId);
  }
}
