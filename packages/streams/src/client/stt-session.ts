import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import { STT_DOWN, STT_UP, type SttDown, type SttUp } from "../spl/schemas.ts";
import { RECORDS, signalChunk } from "../spl/signals.ts";
import type { CompositeText } from "./composite.ts";
import type { Peer, Retry } from "./connect.ts";
import { TcpSink } from "./tcp-sink.ts";
import { TcpSource } from "./tcp-source.ts";

/** How a session speaks to the service. */
export interface SttSessionOptions {
  /** Unique for every start: a service must not take it for its own past. Without options. */
  readonly name: string;
  /** What follows the name, `key=value` joined by `&`. */
  readonly options?: string;
  readonly audio: Peer;
  readonly text: Peer;
  readonly retry?: Retry;
  /** Up to so much the whole window is held for restarts of the service, beyond it what is not settled; 8 MiB unless told. */
  readonly replayBytes?: number;
  /** Called with what the output port carries, in order. */
  readonly onItem: (item: Item<CompositeText>) => void;
  /** Called with the code of what went wrong. */
  readonly onProblem?: (code: "SERVICE_RESTARTED" | "RESULTS_MISSED", detail: string) => void;
}

/** What was sent and is not settled: a chunk or a mark. */
type Held = { readonly seq: bigint; readonly chunk?: SttUp };

/**
 * The SPL composite `SttSession` as a program, state for state but for one: what is not settled is held however much it is,
 * where the composite forgets the oldest beyond `replayBytes` and tells so. A TCPSink for sound, a TCPSource for text, and between them
 * the Custom that numbers, holds and sends again.
 */
export class SttSession {
  readonly sessionId: string;
  readonly sink: TcpSink<typeof STT_UP>;
  readonly source: TcpSource<typeof STT_DOWN>;
  readonly #options: SttSessionOptions;
  #sending: Promise<void> = Promise.resolve();
  #sent = 0n;
  #held: Held[] = [];
  #next = 0n;
  #settledBelow = 0n;
  #settledWith: bigint | undefined;
  /** Below it nothing needs a second hearing. */
  #settled = 0n;
  #heldBytes = 0;
  /** All of the window is held, settled or not. */
  #isWhole = true;
  /** Finals of the window that were given on, and those of them that come again because the window is heard again. */
  #numTold = 0;
  #numSkipped = 0;
  #incarnation: bigint | undefined;
  #service = "";
  /** A mark stands behind the last chunk. */
  #isMarked = true;
  #isEnding = false;
  #isEnded = false;
  /** Chunks that were sent again. */
  numResent = 0;

  constructor(options: SttSessionOptions) {
    this.#options = options;
    this.sessionId = `${options.name}?resume=1${options.options ? `&${options.options}` : ""}`;
    this.sink = new TcpSink(STT_UP, options.audio, options.retry);
    this.source = new TcpSource(STT_DOWN, options.text, (item) => this.#onDown(item), options.retry);
  }

  /** Resolves when the text port has sent its final mark, and the sound's connection is closed. */
  get done(): Promise<void> {
    return this.source.done.then(() => this.#sending);
  }

  /** A tuple of the input port. @param timestampMs when its sound began */
  submit(audioChunk: Uint8Array, timestampMs: number): Promise<void> {
    if (audioChunk.length === 0) return this.#sending;
    const { sessionId } = this;
    const chunk = { sessionId, seq: this.#sent++, audioTimestamp: BigInt(Math.round(timestampMs)), audioChunk };
    this.#held.push({ seq: chunk.seq, chunk });
    this.#isMarked = false;
    this.#heldBytes += audioChunk.length;
    if (this.#heldBytes > (this.#options.replayBytes ?? 8_388_608)) this.#forgetSettled();
    return this.#send(tupleItem(chunk));
  }

  /** A window mark of the input port. */
  submitMark(): Promise<void> {
    if (this.#isMarked && !this.#held.some(({ chunk }) => !chunk)) this.#options.onItem(WINDOW_MARK);
    else {
      // Marks with nothing between them are one on the wire.
      const seq = this.#isMarked ? this.#sent - 1n : this.#sent++;
      this.#held.push({ seq });
      if (!this.#isMarked) this.#later(this.#signal("mark", seq));
    }
    this.#isMarked = true;
    return this.#sending;
  }

  /** The final mark of the input port. */
  submitFinal(): Promise<void> {
    this.#isEnding = true;
    return this.#signal("end", this.#sent);
  }

  /** What is not settled: chunks and marks. */
  get numHeld(): number {
    return this.#held.length;
  }

  /** Gives it up: nothing is sent or read any more; idempotent. */
  async close(): Promise<void> {
    this.source.close();
    await this.sink.close();
  }

  #send(item: Item<SttUp>): Promise<void> {
    const sent = this.#sending.then(() => this.sink.submit(item));
    // What comes after a failure fails for itself.
    this.#sending = sent.catch(() => {});
    return sent;
  }

  /** Nobody waits for it: a sink that was closed takes nothing more, as an operator that has ended. */
  #later(sent: Promise<void>): void {
    sent.catch(() => {});
  }

  #signal(signal: "mark" | "end" | "reader", seq: bigint): Promise<void> {
    return this.#send(tupleItem(signalChunk(this.sessionId, signal, seq)));
  }

  #onDown(item: Item<SttDown>): void {
    if (item.kind === "tuple") this.#onRecord(item.tuple);
    else if (item.kind === "final") {
      this.#end();
      this.#later(this.#send(FINAL_MARK));
    }
  }

  #onRecord(record: SttDown): void {
    const { sessionId, seq, text, confidence } = record;
    if (sessionId === "" && confidence === RECORDS.service) this.#onService(seq, text);
    else if (sessionId === "" && confidence === RECORDS.reader) {
      this.#later(this.#signal("reader", seq));
      if (this.#isEnded) this.#later(this.#signal("end", 0n));
    } else if (sessionId !== this.sessionId || this.#isEnded) return;
    else if (confidence === RECORDS.sendAgain) this.#sendAgain(seq);
    else if (confidence === RECORDS.settled) {
      this.#settledBelow = seq;
      this.#settledWith = BigInt(text);
    } else if (seq >= this.#next) this.#onResult(record);
  }

  /** A service tells who it is: another one knows nothing of us, and numbers its results from 0. */
  #onService(incarnation: bigint, service: string): void {
    const isSame = this.#service === service;
    this.#service = service;
    const isOther = this.#incarnation !== undefined && this.#incarnation !== incarnation;
    this.#incarnation = incarnation;
    if (!isOther || this.#isEnded) return;
    this.#next = 0n;
    this.#settledWith = undefined;
    // One that recognises alike hears the window again and says the same; any other goes on where nothing is settled.
    if (!isSame || !this.#isWhole) this.#forgetSettled();
    this.#numSkipped = this.#isWhole ? this.#numTold : 0;
    this.#options.onProblem?.("SERVICE_RESTARTED", `${this.#held.length}`);
    // Marks with nothing unsettled before them have nothing to wait for.
    while (this.#held.length > 0 && !this.#held[0].chunk) this.#answer(this.#held[0].seq);
    this.#sendAgain(0n);
    if (this.#isEnding && this.#held.length === 0) this.#end();
  }

  #sendAgain(from: bigint): void {
    let marked: bigint | undefined;
    for (const { seq, chunk } of this.#held) {
      if (seq < from) continue;
      if (chunk) {
        this.numResent++;
        this.#later(this.#send(tupleItem(chunk)));
      } else if (seq !== marked) this.#later(this.#signal("mark", seq));
      if (!chunk) marked = seq;
    }
    if (this.#isEnding && this.#sent >= from) this.#later(this.#signal("end", this.#sent));
  }

  #onResult({ seq, text, isFinal, confidence }: SttDown): void {
    if (seq > this.#next && confidence !== RECORDS.end) this.#options.onProblem?.("RESULTS_MISSED", `${seq}`);
    this.#next = seq + 1n;
    if (confidence === RECORDS.end) this.#end();
    else if (confidence === RECORDS.markAnswered) this.#onAnswer(BigInt(text));
    else {
      const isSpoken = isFinal && text !== "";
      if (this.#numSkipped > 0) this.#numSkipped -= isSpoken ? 1 : 0;
      else {
        this.#numTold += isSpoken ? 1 : 0;
        if (!isFinal || isSpoken) this.#options.onItem(tupleItem({ text, isFinal, confidence }));
      }
      if (isFinal && this.#settledWith === seq) this.#settle(this.#settledBelow);
    }
  }

  #settle(below: bigint): void {
    this.#settled = below;
    if (!this.#isWhole) this.#forgetSettled();
  }

  #forgetSettled(): void {
    this.#isWhole = false;
    this.#hold(this.#held.filter((held) => !held.chunk || held.seq >= this.#settled));
  }

  #hold(held: Held[]): void {
    this.#held = held;
    this.#heldBytes = held.reduce((sum, { chunk }) => sum + (chunk?.audioChunk.length ?? 0), 0);
  }

  /** Everything up to a number is settled; where there is a mark, a window has ended. */
  #onAnswer(upTo: bigint): void {
    if (!this.#held.some(({ seq, chunk }) => !chunk && seq <= upTo)) {
      this.#settle(upTo + 1n);
      return;
    }
    this.#answer(upTo);
    this.#settled = upTo + 1n;
    this.#isWhole = true;
    this.#numTold = 0;
    this.#numSkipped = 0;
  }

  #answer(mark: bigint): void {
    const settled = this.#held.filter(({ seq }) => seq <= mark);
    this.#hold(this.#held.slice(settled.length));
    for (const { chunk } of settled) if (!chunk) this.#options.onItem(WINDOW_MARK);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.onItem(FINAL_MARK);
  }
}
