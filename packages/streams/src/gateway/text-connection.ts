import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { FINAL_MARK, tupleItem, WINDOW_MARK } from "../items.ts";
import { encodeItem } from "../spl/encode.ts";
import { STT_DOWN, type SttDown } from "../spl/schemas.ts";
import { RECORDS } from "../spl/signals.ts";
import { type EndReaders, ReaderView } from "./end-of-reader.ts";
import type { Journal, JournalReader, Node, SessionLog } from "./journal.ts";
import type { GatewayLog } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";

/** What a text connection needs of the gateway. */
export interface TextHost {
  readonly journal: Journal;
  readonly metrics: GatewayMetrics;
  readonly log: GatewayLog;
  /** Tells one start of the service from another. */
  readonly incarnation: bigint;
  /** What it recognises with. */
  readonly service: string;
  readonly clock: Clock;
  readonly stalledReaderMs: number;
  readonly endReaders: EndReaders;
  /** Which sessions this port shows. */
  readonly shows: (sessionId: string) => boolean;
  /** No other reader is at this port. */
  readonly isAlone: () => boolean;
  /** No reader was cut since then that may come back. */
  readonly isSettled: (sinceMs: number) => boolean;
}

/** What is written at once at most: a reader that is far behind must not cost its whole way in memory. */
const MAX_BATCH_BYTES = 64 * 1024;
/** A reader that is slower than its sessions for so long is cut: what it has not passed is kept, and costs memory. */
const MAX_BEHIND = 200_000;
/** A reader that does not know whose it is is told its number again after so long, then twice, four times, … */
const NAMING_MS = 1000;
/** A reader closes at once when it is sent the final mark; one that does not is gone. */
const CLOSING_MS = 10_000;

const WINDOW_BYTES = encodeItem(STT_DOWN, WINDOW_MARK);
const FINAL_BYTES = encodeItem(STT_DOWN, FINAL_MARK);

const NOTICE = { sessionId: "", text: "", isFinal: false };

/** One text reader: first everything that is kept, then what comes. */
export class TextConnection {
  readonly id: bigint;
  readonly #socket: Socket;
  readonly #host: TextHost;
  readonly #view: ReaderView;
  readonly #name: string;
  readonly #reader: JournalReader;
  /** Sessions that were hidden when the reader came. */
  readonly #hidden: ReadonlySet<SessionLog>;
  /**
   * It was behind: interims that are outdated are left out until it has caught up, but for those of applications that
   * resume, which take a gap in the numbers for results that are lost.
   */
  #isBehind = false;
  /** The session whose reader it is, where its application said so. */
  #sessionId: string | undefined;
  /** Sessions whose end it was sent, until it is known whose reader it is. */
  readonly #ended = new Set<string>();
  /** When it is told its number again, and how long after that once more. */
  #tellAtMs: number | undefined;
  #tellPauseMs = NAMING_MS;
  /** What is said besides records. */
  #notices: SttDown[] = [];
  #isFinalSent = false;
  #isConfirmed = false;

  /** @param id what applications call it by */
  constructor(socket: Socket, id: number, host: TextHost) {
    this.id = BigInt(id);
    this.#notices.push({ ...NOTICE, seq: host.incarnation, text: host.service, confidence: RECORDS.service });
    this.#notices.push({ ...NOTICE, seq: this.id, confidence: RECORDS.reader });
    this.#socket = socket;
    this.#host = host;
    this.#name = `text reader ${id} of ${socket.remoteAddress ?? ""}`;
    this.#reader = host.journal.attach();
    const logs = [...host.journal.logs].filter((log) => host.shows(log.sessionId));
    this.#hidden = new Set(logs.filter((log) => log.isHidden));
    this.#view = new ReaderView(
      host.endReaders,
      logs.filter((log) => !log.isHidden),
    );
  }

  /** The reader got its final mark and closed: it has everything. */
  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  /** A session began somewhere. */
  onSessionStarted(log: SessionLog): void {
    if (this.#host.shows(log.sessionId)) this.#view.add(log);
  }

  /** Its application says whose reader it is: it gets nothing else from now on, and ends with that session. */
  name(sessionId: string): void {
    this.#sessionId = sessionId;
    this.#reader.nudge();
  }

  /**
   * Looks at the clock: where a session has ended that may be the reader's, and its application does not say so, what it said
   * was lost with a connection for sound. It says it again when it is told the number again.
   */
  sweep(): void {
    if (this.isNamed || this.#ended.size === 0) return;
    const now = this.#host.clock.nowMs();
    this.#tellAtMs ??= now + this.#tellPauseMs;
    if (now < this.#tellAtMs) return;
    this.#tellPauseMs *= 2;
    this.#tellAtMs = now + this.#tellPauseMs;
    this.#notices.push({ ...NOTICE, seq: this.id, confidence: RECORDS.reader });
    this.#reader.nudge();
  }

  /** Its application said whose reader it is. */
  get isNamed(): boolean {
    return this.#sessionId !== undefined;
  }

  /** Says something besides records. */
  notify(notice: SttDown): void {
    if (!this.#host.shows(notice.sessionId)) return;
    if (this.#sessionId !== undefined && this.#sessionId !== notice.sessionId) return;
    this.#notices.push(notice);
    this.#reader.nudge();
  }

  /** Writes until the reader is gone or has got its final mark. */
  async serve(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
    // A reader that ends its side is gone; after the final mark that is the sign that it has everything.
    this.#socket.once("end", () => this.#onReaderEnded());
    // It must be read so that its end is seen.
    this.#socket.on("data", () => this.#view.endByRecords());
    void gone.then(() => this.#reader.detach());
    while (!this.#socket.destroyed && !this.#isFinalSent) {
      const { bytes, nodes } = this.#batch();
      if (bytes.length > 0) await this.#write(bytes, nodes, gone);
      else await this.#reader.next();
    }
    if (this.#isFinalSent) this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSING_MS);
    await gone;
    clearTimeout(timer);
  }

  #onReaderEnded(): void {
    this.#isConfirmed = this.#isFinalSent;
    // The next reader of these names is another application's: what is left of them is not for it.
    for (const log of this.#view.sessions)
      log.isHidden ||= this.#isConfirmed && this.#host.isAlone() && this.#host.isSettled(log.startedAtMs);
    this.#socket.destroy();
  }

  #batch(): { bytes: Uint8Array; nodes: Node[] } {
    const parts: Uint8Array[] = this.#notices.splice(0).map((notice) => encodeItem(STT_DOWN, tupleItem(notice)));
    const nodes: Node[] = [];
    let numBytes = 0;
    if (this.#sessionId !== undefined && this.#ended.has(this.#sessionId)) {
      this.#isFinalSent = true;
      parts.push(FINAL_BYTES);
    }
    while (numBytes < MAX_BATCH_BYTES && !this.#isFinalSent) {
      const node = this.#reader.advance();
      if (!node) break;
      if (node.isRemoved || this.#hidden.has(node.log) || !this.#isShown(node.log)) continue;
      for (const part of this.#bytesOf(node)) {
        parts.push(part);
        numBytes += part.length;
      }
      nodes.push(node);
    }
    return { bytes: Buffer.concat(parts), nodes };
  }

  #isShown({ sessionId }: SessionLog): boolean {
    if (this.#sessionId !== undefined) return this.#sessionId === sessionId;
    return this.#host.shows(sessionId);
  }

  /** A record and the mark that belongs to it; the end of a session as the final mark where it is the reader's end. */
  #bytesOf({ log, record }: Node): Uint8Array[] {
    const { sessionId } = log;
    if (record.endsSession) {
      const isOwnEnd = this.#sessionId === sessionId;
      this.#isFinalSent = isOwnEnd || (this.#view.pass(log, this.#host.isAlone()) && !this.isNamed);
      if (log.resumes && !isOwnEnd) this.#ended.add(sessionId);
      if (this.#isFinalSent && !isOwnEnd) return [FINAL_BYTES];
    }
    const isOutdated = !record.isFinal && log.nodes.at(-1)?.record !== record;
    if (this.#isBehind && isOutdated && !log.resumes) return [];
    const isBare = record.isMarkOnly && this.#view.allowsBareMarks;
    const { seq, text, isFinal, confidence } = record;
    const tuples: SttDown[] = isBare ? [] : [{ sessionId, seq, text, isFinal, confidence }];
    const { settlesBelow } = record;
    if (settlesBelow !== undefined) {
      const settled = { text: `${seq}`, isFinal: false, confidence: RECORDS.settled };
      tuples.unshift({ sessionId, seq: settlesBelow, ...settled });
    }
    this.#host.metrics.tuplesSent.inc(tuples.length);
    const bytes = tuples.map((tuple) => encodeItem(STT_DOWN, tupleItem(tuple)));
    if (record.endsWindow) bytes.push(WINDOW_BYTES);
    if (this.#isFinalSent) bytes.push(FINAL_BYTES);
    return bytes;
  }

  async #write(bytes: Uint8Array, nodes: readonly Node[], gone: Promise<void>): Promise<void> {
    const { journal, metrics, stalledReaderMs } = this.#host;
    let isFlushed = false;
    const flushed = new Promise<void>((resolve) => {
      this.#socket.write(bytes, (error) => {
        isFlushed = !error;
        resolve();
      });
    });
    const timer = setTimeout(() => this.#cut(`took nothing for ${stalledReaderMs} ms`), stalledReaderMs);
    await Promise.race([flushed, gone]);
    clearTimeout(timer);
    this.#isBehind = this.#reader.numBehind > 100;
    if (!isFlushed) return;
    metrics.textBytes.inc(bytes.length);
    for (const node of nodes) journal.take(node);
    if (this.#reader.numBehind > MAX_BEHIND) this.#cut(`is ${this.#reader.numBehind} records behind`);
  }

  #cut(reason: string): void {
    this.#host.metrics.readersCut.inc();
    this.#host.log.warn(`${this.#name}: ${reason} and was cut. It may come back: what it has not got is kept.`);
    this.#socket.destroy();
  }
}
