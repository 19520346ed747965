import { SpeechError } from "../errors.ts";
import { checkPacket } from "./arguments.ts";
import type { SpeechStream } from "./stream.ts";
import type { StreamSet } from "./stream-set.ts";

/** What a stream needs of the engine it belongs to. */
export interface StreamHost {
  readonly set: StreamSet;
  readonly maxPendingSec: number;
  /** Rate of the samples that this stream is fed. */
  readonly rateHz: number;
  /** Goes on with the work that waits. */
  start(): void;
  /** Wakes those that wait for a condition. */
  wake(): void;
  /** Waits for a condition. @throws what ended the engine */
  until(isTrue: () => boolean): Promise<void>;
}

/** Beyond this a caller that does not wait is refused: what waits must fit into memory. */
export const REFUSED_AFTER_SEC = 120;

/**
 * One stream of an engine on the calling thread. What its caller asks happens in the order in which it is asked: sound
 * that is fed behind `endUtterance` or `save` waits for these, so that what they see is what was fed before them.
 */
export class LocalStream implements SpeechStream {
  readonly id: number;
  readonly #host: StreamHost;
  /** Settled when everything asked so far that others have to wait for is done. */
  #turn: Promise<void> = Promise.resolve();
  #numInLine = 0;
  /** Sound behind an `endUtterance` or `save` under way. */
  #heldSec = 0;
  #isOpen = true;
  #hasFinished = false;

  constructor(id: number, host: StreamHost) {
    this.id = id;
    this.#host = host;
  }

  async feed(samples: Float32Array): Promise<void> {
    const { set, rateHz, maxPendingSec } = this.#host;
    checkPacket(samples);
    this.#check();
    if (this.#hasFinished) throw this.#ended("no sound after its end", "a packet");
    if (set.pendingSec(this.id) + this.#heldSec > REFUSED_AFTER_SEC) {
      throw new SpeechError(
        "OVER_CAPACITY",
        `stream ${this.id}: expected at most ${REFUSED_AFTER_SEC} s of sound to wait, got more. Await each \`feed\`.`,
      );
    }
    if (this.#numInLine === 0) {
      this.#take(samples);
    } else {
      const sec = samples.length / rateHz;
      const held = samples.slice();
      this.#heldSec += sec;
      await this.#inLine(async () => {
        this.#heldSec -= sec;
        if (this.#isOpen) this.#take(held);
      });
    }
    await this.#until(() => !set.isBusy(this.id) || set.pendingSec(this.id) <= maxPendingSec);
  }

  async endUtterance(): Promise<void> {
    this.#check();
    await this.#inLine(async () => {
      await this.#untilIdle();
      if (this.#isOpen) this.#host.set.cut(this.id);
    });
    this.#checkFailure();
  }

  async finish(): Promise<void> {
    const { set } = this.#host;
    this.#check();
    if (!this.#hasFinished) {
      this.#hasFinished = true;
      await this.#inLine(async () => {
        if (!this.#isOpen) return;
        set.finish(this.id);
        this.#host.start();
      });
    }
    await this.#until(() => set.hasEnded(this.id));
    await this.close();
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#host.set.close(this.id);
    this.#host.wake();
  }

  async save(): Promise<Uint8Array> {
    this.#check();
    return this.#inLine(async () => {
      await this.#untilIdle();
      this.#check();
      return this.#host.set.save(this.id);
    });
  }

  #take(samples: Float32Array): void {
    this.#host.set.feed(this.id, samples);
    this.#host.start();
  }

  #check(): void {
    if (!this.#isOpen) throw this.#ended("an open stream", "one that has ended");
    this.#checkFailure();
  }

  #checkFailure(): void {
    const failure = this.#isOpen ? this.#host.set.failure(this.id) : undefined;
    if (failure) throw failure;
  }

  #ended(expected: string, got: string): SpeechError {
    return new SpeechError("CLOSED", `stream ${this.id}: expected ${expected}, got ${got}. Open another.`);
  }

  /** Does something behind everything that was put in line before it. */
  #inLine<T>(action: () => Promise<T>): Promise<T> {
    this.#numInLine++;
    const result = this.#turn.then(action);
    const leave = () => {
      this.#numInLine--;
    };
    this.#turn = result.then(leave, leave);
    return result;
  }

  #untilIdle(): Promise<void> {
    return this.#until(() => !this.#host.set.isBusy(this.id));
  }

  /** Waits for a condition, or the end of the stream. @throws why the stream cannot go on */
  async #until(isTrue: () => boolean): Promise<void> {
    const { set, until } = this.#host;
    await until(() => !this.#isOpen || set.failure(this.id) !== undefined || isTrue());
    this.#checkFailure();
  }
}
