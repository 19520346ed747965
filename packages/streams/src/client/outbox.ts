import { type Item, tupleItem } from "../items.ts";
import type { STT_UP, SttUp } from "../spl/schemas.ts";
import { signalChunk } from "../spl/signals.ts";
import type { TcpSink } from "./tcp-sink.ts";

/** What was given to be sent and is not settled: a chunk or a mark. */
export type Held = { readonly seq: bigint; readonly chunk?: SttUp };

/** Who waits until a number was sent. */
interface Waiter {
  readonly seq: bigint;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What a session sends, in the order of its numbers from a place on. Whoever wants something once more moves the place
 * back: what is asked for twice before it could be sent is sent once, however busy the peer is.
 */
export class Outbox {
  readonly #sessionId: string;
  readonly #sink: TcpSink<typeof STT_UP>;
  #held: Held[] = [];
  /** The number that is sent next. */
  #place = 0n;
  /** The first number that was never sent. */
  #unsent = 0n;
  /** The number of the session's end, where it has one. */
  #endSeq: bigint | undefined;
  /** What has no number and goes first. */
  #notices: Item<SttUp>[] = [];
  #waiters: Waiter[] = [];
  #isOver = false;
  #pumping: Promise<void> | undefined;
  /** Chunks that were sent again. */
  numResent = 0;

  constructor(sessionId: string, sink: TcpSink<typeof STT_UP>) {
    this.#sessionId = sessionId;
    this.#sink = sink;
  }

  /** Resolves when there is nothing to send. */
  async idle(): Promise<void> {
    while (this.#pumping) await this.#pumping;
  }

  /** In the order of their numbers; marks with nothing between them have one number. */
  get held(): readonly Held[] {
    return this.#held;
  }

  /** Forgets everything but this; nobody need wait for what is gone. */
  keep(held: Held[]): void {
    this.#held = held;
    const first = held[0]?.seq ?? this.#endSeq;
    this.#release((seq) => first === undefined || seq < first);
  }

  /** Holds a chunk or a mark and sends it after all before it. Resolves when it was sent. @throws what the sink throws */
  add(held: Held): Promise<void> {
    this.#held.push(held);
    return this.#sent(held.seq);
  }

  /** Sends the session's end after everything else. Resolves when it was sent. @throws what the sink throws */
  end(seq: bigint): Promise<void> {
    this.#endSeq = seq;
    return this.#sent(seq);
  }

  /** Sends something that has no number as soon as it can be. What the sink throws is nobody's business: it has ended. */
  say(item: Item<SttUp>): void {
    this.#notices.push(item);
    this.#pump();
  }

  /** Everything that is held from a number on is wanted once more. */
  goBack(seq: bigint): void {
    if (seq < this.#place) this.#place = seq;
    this.#pump();
  }

  /** Nobody wants anything any more: what was not sent is not. */
  stop(error?: Error): void {
    this.#isOver = true;
    this.#release(() => true, error);
  }

  #sent(seq: bigint): Promise<void> {
    if (this.#isOver || seq < this.#unsent) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ seq, resolve, reject });
      this.#pump();
    });
  }

  #release(isOver: (seq: bigint) => boolean, error?: unknown): void {
    const over = this.#waiters.filter(({ seq }) => isOver(seq));
    if (over.length > 0) this.#waiters = this.#waiters.filter(({ seq }) => !isOver(seq));
    for (const { resolve, reject } of over) error === undefined ? resolve() : reject(error);
  }

  #pump(): void {
    this.#pumping ??= this.#sendAll().finally(() => {
      this.#pumping = undefined;
      if (this.#hasNext()) this.#pump();
    });
  }

  async #sendAll(): Promise<void> {
    for (let next = this.#take(); next; next = this.#take()) {
      try {
        await this.#sink.submit(next.item);
        this.#settle(next.seq);
      } catch (error) {
        this.#settle(next.seq, error);
      }
    }
  }

  #hasNext(): boolean {
    return this.#notices.length > 0 || (!this.#isOver && this.#next() !== undefined);
  }

  /** The number at the place, or the first above it. */
  #next(): Held | "end" | undefined {
    const next = this.#held[this.#held.findLastIndex(({ seq }) => seq < this.#place) + 1];
    return next ?? (this.#endSeq !== undefined && this.#place <= this.#endSeq ? "end" : undefined);
  }

  #take(): { readonly item: Item<SttUp>; readonly seq?: bigint } | undefined {
    const notice = this.#notices.shift();
    if (notice) return { item: notice };
    const next = this.#isOver ? undefined : this.#next();
    if (next === undefined) return undefined;
    const seq = next === "end" ? (this.#endSeq as bigint) : next.seq;
    // Before it is sent: an ask that comes meanwhile moves the place back.
    this.#place = seq + 1n;
    if (next === "end") return { item: tupleItem(signalChunk(this.#sessionId, "end", seq)), seq };
    if (!next.chunk) return { item: tupleItem(signalChunk(this.#sessionId, "mark", seq)), seq };
    if (seq < this.#unsent) this.numResent++;
    return { item: tupleItem(next.chunk), seq };
  }

  /** A number was sent, or could not be; all before it need no more waiting for. */
  #settle(seq: bigint | undefined, error?: unknown): void {
    if (seq === undefined) return;
    if (seq >= this.#unsent) this.#unsent = seq + 1n;
    this.#release((waited) => waited < seq);
    this.#release((waited) => waited === seq, error);
  }
}
