import type { SttUp } from "../spl/schemas.ts";

/** What a session is sent, everything with its number: a chunk, a window mark, or the end. */
export type Sent =
  | { readonly kind: "chunk"; readonly chunk: SttUp }
  | { readonly kind: "mark" | "end"; readonly seq: bigint };

/** What is the session's turn, and how many chunks before it never came. */
export interface InTurn {
  readonly sent: Sent;
  readonly numMissing: number;
}

/** An intake as plain data. What waits in it is not saved: it is sent again. */
export interface SavedIntake {
  readonly nextSeq: bigint | undefined;
}

/** What is held back at most: it is wanted only if nothing is sent again. */
const MAX_HELD_BYTES = 8 * 1024 * 1024;

const seqOf = (sent: Sent): bigint => (sent.kind === "chunk" ? sent.chunk.seq : sent.seq);

/**
 * Puts in order what a session is sent. Where chunks are missing and the sender can send them again, what comes after them
 * is held back; the number that comes next, or one before it (where nobody knows it: the first that is not above those held
 * back), begins a repetition, which contains them all.
 */
export class Intake {
  /** The number of the chunk that comes next; nobody knows at the beginning of a session that is taken up. */
  #nextSeq: bigint | undefined;
  readonly #canResend: boolean;
  #held: Sent[] = [];
  #heldBytes = 0;

  /** @param canResend the sender keeps what is not settled, and sends it again when it is asked */
  constructor(nextSeq: bigint | undefined, canResend: boolean) {
    this.#nextSeq = nextSeq;
    this.#canResend = canResend;
  }

  /** An intake that goes on where one was saved. */
  static restore({ nextSeq }: SavedIntake, canResend: boolean): Intake {
    return new Intake(nextSeq, canResend);
  }

  save(): SavedIntake {
    return { nextSeq: this.#nextSeq };
  }

  get nextSeq(): bigint | undefined {
    return this.#nextSeq;
  }

  /** Something is held back. */
  get isWaiting(): boolean {
    return this.#held.length > 0;
  }

  /** Its sender counts from 0 again. */
  restart(): void {
    this.#nextSeq = 0n;
    this.#drop();
  }

  /** Takes what came. Gives it where it is its turn; nothing where it is held back, or was there before (`repeat`). */
  offer(sent: Sent): InTurn | "held" | "repeat" {
    const seq = seqOf(sent);
    // While the next number is known only that one, or one before it, begins a repetition: others are out of order.
    if (this.#nextSeq !== undefined && seq > this.#nextSeq && this.#canResend) return this.#hold(sent);
    let isRepetition = false;
    if (this.#held.length > 0) {
      if (seq > seqOf(this.#held[0])) return this.#hold(sent);
      this.#drop();
      isRepetition = true;
    }
    if (this.#nextSeq === undefined && seq > 0n && !isRepetition) return this.#hold(sent);
    this.#nextSeq ??= seq;
    return this.#turn(sent);
  }

  #turn(sent: Sent): InTurn | "repeat" {
    const seq = seqOf(sent);
    const next = this.#nextSeq ?? seq;
    if (seq < next) return "repeat";
    this.#nextSeq = sent.kind === "end" ? seq : seq + 1n;
    return { sent, numMissing: Number(seq - next) };
  }

  /** Nothing was sent again: gives what was held back, with its gaps. */
  giveUp(): InTurn[] {
    const held = this.#held;
    if (held.length > 0) this.#nextSeq ??= 0n;
    this.#drop();
    return held.flatMap((sent) => {
      const turn = this.#turn(sent);
      return turn === "repeat" ? [] : [turn];
    });
  }

  #hold(sent: Sent): "held" {
    const size = sent.kind === "chunk" ? sent.chunk.audioChunk.length : 0;
    if (this.#heldBytes + size > MAX_HELD_BYTES) return "held";
    const place = this.#held.findIndex((other) => seqOf(other) >= seqOf(sent));
    if (place >= 0 && seqOf(this.#held[place]) === seqOf(sent)) return "held";
    this.#held.splice(place < 0 ? this.#held.length : place, 0, sent);
    this.#heldBytes += size;
    return "held";
  }

  #drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}
