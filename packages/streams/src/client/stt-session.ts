import { ERROR_TABLE, type ErrorCode, SpeechError } from "@nemo-stt/core";
import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import { STT_DOWN, STT_UP, type SttDown } from "../spl/schemas.ts";
import { CHUNKS_MISSING, RECORDS, signalChunk } from "../spl/signals.ts";
import type { CompositeText } from "./composite.ts";
import type { Peer, Retry } from "./connect.ts";
import { type Held, Outbox } from "./outbox.ts";
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
  /**
   * Called with the code of what went wrong: `SERVICE_RESTARTED`, `RESULTS_MISSED`, or what the service says: `CHUNKS_MISSING`
   * where it went on without some sound, any other code where the session ends with it (`done` rejects with it then).
   */
  readonly onProblem?: (code: string, detail: string) => void;
}

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
  readonly #outbox: Outbox;
  #sent = 0n;
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
  /** Why the service ended the session, if it did. */
  #failure: SpeechError | undefined;

  constructor(options: SttSessionOptions) {
    this.#options = options;
    this.sessionId = `${options.name}?resume=1${options.options ? `&${options.options}` : ""}`;
    this.sink = new TcpSink(STT_UP, options.audio, options.retry);
    this.#outbox = new Outbox(this.sessionId, this.sink);
    this.source = new TcpSource(STT_DOWN, options.text, (item) => this.#onDown(item), options.retry);
  }

  /**
   * Resolves when the text port has sent its final mark, and the sound's connection is closed.
   * @throws SpeechError where the service refused the session or failed in it: its code, `RUNTIME_FAILED` for others
   */
  get done(): Promise<void> {
    return this.source.done
      .then(() => this.#outbox.idle())
      .then(() => {
        if (this.#failure) throw this.#failure;
      });
  }

  /**
   * A tuple of the input port. Resolves when it was sent.
   * @param timestampMs when its sound began
   * @throws SpeechError where the session has failed; `CLOSED` after its end
   */
  async submit(audioChunk: Uint8Array, timestampMs: number): Promise<void> {
    if (this.#isEnded) throw this.#failure ?? afterEnd(this.sessionId);
    if (audioChunk.length === 0) return;
    const { sessionId } = this;
    const chunk = { sessionId, seq: this.#sent++, audioTimestamp: BigInt(Math.round(timestampMs)), audioChunk };
    this.#isMarked = false;
    this.#heldBytes += audioChunk.length;
    const sent = this.#outbox.add({ seq: chunk.seq, chunk });
    if (this.#heldBytes > (this.#options.replayBytes ?? 8_388_608)) this.#forgetSettled();
    await sent;
  }

  /** A window mark of the input port. Resolves when it was sent. */
  async submitMark(): Promise<void> {
    const isMarked = this.#isMarked;
    this.#isMarked = true;
    if (isMarked && !this.#outbox.held.some(({ chunk }) => !chunk)) this.#options.onItem(WINDOW_MARK);
    // Marks with nothing between them are one on the wire.
    else await this.#outbox.add({ seq: isMarked ? this.#sent - 1n : this.#sent++ });
  }

  /** The final mark of the input port. Resolves when it was sent. */
  async submitFinal(): Promise<void> {
    this.#isEnding = true;
    await this.#outbox.end(this.#sent);
  }

  /** What is not settled: chunks and marks. */
  get numHeld(): number {
    return this.#outbox.held.length;
  }

  /** Chunks that were sent again. */
  get numResent(): number {
    return this.#outbox.numResent;
  }

  /** Gives it up: nothing is sent or read any more; idempotent. */
  async close(): Promise<void> {
    this.source.close();
    await this.sink.close();
  }

  #onDown(item: Item<SttDown>): void {
    if (item.kind === "tuple") this.#onRecord(item.tuple);
    else if (item.kind === "final") {
      this.#end();
      this.#outbox.say(FINAL_MARK);
    }
  }

  #onRecord(record: SttDown): void {
    const { sessionId, seq, text, confidence } = record;
    if (sessionId === "" && confidence === RECORDS.service) this.#onService(seq, text);
    else if (sessionId === "" && confidence === RECORDS.reader) {
      this.#outbox.say(tupleItem(signalChunk(this.sessionId, "reader", seq)));
      if (this.#isEnded) this.#outbox.say(tupleItem(signalChunk(this.sessionId, "end", 0n)));
    } else if (sessionId !== this.sessionId || this.#isEnded) return;
    else if (confidence === RECORDS.sendAgain) this.#outbox.goBack(seq);
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
    this.#options.onProblem?.("SERVICE_RESTARTED", `${this.#outbox.held.length}`);
    // Marks with nothing unsettled before them have nothing to wait for.
    while (this.#outbox.held.length > 0 && !this.#outbox.held[0].chunk) this.#answer(this.#outbox.held[0].seq);
    this.#outbox.goBack(0n);
    if (this.#isEnding && this.#outbox.held.length === 0) this.#end();
  }

  #onResult({ seq, text, isFinal, confidence }: SttDown): void {
    if (seq > this.#next && confidence !== RECORDS.end) this.#options.onProblem?.("RESULTS_MISSED", `${seq}`);
    this.#next = seq + 1n;
    if (confidence === RECORDS.end) this.#end();
    else if (confidence === RECORDS.error) this.#onError(text);
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

  /** `CODE: message`. Where sound is missing the session goes on; anything else ends it. */
  #onError(text: string): void {
    const at = text.indexOf(": ");
    const [code, message] = [text.slice(0, at), text.slice(at + 2)];
    if (code !== CHUNKS_MISSING) this.#failure = new SpeechError(codeOf(code), message);
    this.#options.onProblem?.(code, message);
  }

  #settle(below: bigint): void {
    this.#settled = below;
    if (!this.#isWhole) this.#forgetSettled();
  }

  #forgetSettled(): void {
    this.#isWhole = false;
    this.#hold(this.#outbox.held.filter((held) => !held.chunk || held.seq >= this.#settled));
  }

  #hold(held: Held[]): void {
    this.#outbox.keep(held);
    this.#heldBytes = held.reduce((sum, { chunk }) => sum + (chunk?.audioChunk.length ?? 0), 0);
  }

  /** Everything up to a number is settled; where there is a mark, a window has ended. */
  #onAnswer(upTo: bigint): void {
    if (!this.#outbox.held.some(({ seq, chunk }) => !chunk && seq <= upTo)) {
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
    const settled = this.#outbox.held.filter(({ seq }) => seq <= mark);
    this.#hold(this.#outbox.held.slice(settled.length));
    for (const { chunk } of settled) if (!chunk) this.#options.onItem(WINDOW_MARK);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#outbox.stop(this.#failure);
    this.#options.onItem(FINAL_MARK);
  }
}

/** A code of the wire as ours, which know fewer. */
const codeOf = (code: string): ErrorCode => (code in ERROR_TABLE ? (code as ErrorCode) : "RUNTIME_FAILED");

const afterEnd = (sessionId: string): SpeechError =>
  new SpeechError(
    "CLOSED",
    `session ${sessionId.slice(0, 80)}: expected no sound after its end, got some. Begin another session.`,
  );
