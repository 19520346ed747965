import { FINAL_MARK, type Item, tupleItem, WINDOW_MARK } from "../items.ts";
import { STT_DOWN, STT_UP, type SttDown } from "../spl/schemas.ts";
import type { Peer, Retry } from "./connect.ts";
import { TcpSink } from "./tcp-sink.ts";
import { TcpSource } from "./tcp-source.ts";

/** What the composite's output port carries. */
export interface CompositeText {
  readonly text: string;
  readonly isFinal: boolean;
  readonly confidence: number;
}

/** How a composite speaks to the service. */
export interface CompositeOptions {
  readonly sessionId: string;
  readonly audio: Peer;
  readonly text: Peer;
  readonly retry?: Retry;
  /** Called with what the output port carries, in order. */
  readonly onItem: (item: Item<CompositeText>) => void;
}

/**
 * A plain SPL application as a program: a TCPSink for sound, a TCPSource for text, and between them two Customs that hold
 * nothing. Records of other sessions and repeats are dropped; a window mark is passed on when the record before it was; a
 * session's end record becomes the final mark. The toolkit's own composite is `SttSession`.
 */
export class SttComposite {
  readonly sink: TcpSink<typeof STT_UP>;
  readonly source: TcpSource<typeof STT_DOWN>;
  readonly #options: CompositeOptions;
  #seq = 0n;
  #next = 0n;
  /** The record before a mark was passed on, or there was none yet. */
  #isFresh = true;
  #isEnded = false;

  constructor(options: CompositeOptions) {
    this.#options = options;
    this.sink = new TcpSink(STT_UP, options.audio, options.retry);
    this.source = new TcpSource(STT_DOWN, options.text, (item) => this.#onDown(item), options.retry);
  }

  /** Resolves when the output port has ended. */
  get done(): Promise<void> {
    return this.source.done;
  }

  /** A tuple of the input port. @param timestampMs when its sound began */
  async submit(audioChunk: Uint8Array, timestampMs: number): Promise<void> {
    const { sessionId } = this.#options;
    const audioTimestamp = BigInt(Math.round(timestampMs));
    await this.sink.submit(tupleItem({ sessionId, seq: this.#seq++, audioTimestamp, audioChunk }));
  }

  /** A window mark of the input port. */
  submitMark(): Promise<void> {
    return this.sink.submit(WINDOW_MARK);
  }

  /** The final mark of the input port. */
  submitFinal(): Promise<void> {
    return this.sink.submit(FINAL_MARK);
  }

  #onDown(item: Item<SttDown>): void {
    if (this.#isEnded) return;
    if (item.kind === "tuple") this.#onRecord(item.tuple);
    else if (item.kind === "final") this.#end();
    else if (this.#isFresh) this.#options.onItem(WINDOW_MARK);
  }

  #onRecord({ sessionId, seq, text, isFinal, confidence }: SttDown): void {
    // What the service says of itself is nobody's.
    if (sessionId === "") return;
    this.#isFresh = sessionId === this.#options.sessionId && seq >= this.#next;
    if (!this.#isFresh) return;
    this.#next = seq + 1n;
    if (confidence < 0) this.#end();
    else this.#options.onItem(tupleItem({ text, isFinal, confidence }));
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.onItem(FINAL_MARK);
    this.source.close();
  }
}
