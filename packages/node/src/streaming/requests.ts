import { type Deferred, deferred } from "./deferred.ts";

/** What is asked of a stream beside sound, behind the sample at `position`. */
export interface StreamRequest {
  readonly number: number;
  /** `save` is answered by the blob; a `snapshot` is the engine's own, and goes to the disk. */
  readonly kind: "cut" | "finish" | "save" | "snapshot";
  readonly position: number;
}

interface Asked extends StreamRequest {
  readonly answer: Deferred<Uint8Array | undefined>;
}

/**
 * Requests of one stream since its last snapshot, in order. Those that are answered are kept, too, until a snapshot
 * lies behind them: where an utterance was cut is part of what another thread has to do again.
 */
export class Requests {
  #asked: Asked[] = [];
  #numSent = 0;
  #nextNumber = 0;
  #numWaiting = 0;

  /** True while one is not answered. */
  get isWaiting(): boolean {
    return this.#numWaiting > 0;
  }

  /** The next one to be sent. */
  get next(): StreamRequest | undefined {
    return this.#asked[this.#numSent];
  }

  /** Fulfilled when it is done: with the blob, where one was made. */
  ask(kind: StreamRequest["kind"], position: number): Promise<Uint8Array | undefined> {
    const answer = deferred<Uint8Array | undefined>();
    this.#asked.push({ number: this.#nextNumber++, kind, position, answer });
    this.#numWaiting++;
    const settle = () => {
      this.#numWaiting--;
    };
    answer.promise.then(settle, settle);
    return answer.promise;
  }

  markSent(): void {
    this.#numSent++;
  }

  /** Has everything sent again, to another thread. */
  unsend(): void {
    this.#numSent = 0;
  }

  /** Answers one; returns what it was. */
  done(number: number): StreamRequest["kind"] | undefined {
    const asked = this.#asked.find((request) => request.number === number);
    asked?.answer.resolve(undefined);
    return asked?.kind;
  }

  /** Answers one that saved the stream, and forgets it with all before it. Returns its position. */
  saved(number: number, blob: Uint8Array | undefined): number {
    const place = this.#asked.findIndex((request) => request.number === number);
    const forgotten = this.#asked.splice(0, place + 1);
    this.#numSent -= forgotten.length;
    const saved = forgotten[place];
    saved.answer.resolve(blob);
    return saved.position;
  }

  /** Answers all that are left: the stream has ended. */
  end(error: Error | undefined): void {
    for (const { answer } of this.#asked.splice(0)) error ? answer.reject(error) : answer.resolve(undefined);
  }
}
