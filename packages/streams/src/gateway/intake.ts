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

/** What is held back at most. What comes beyond it is in the repetition too. */
const MAX_HELD_BYTES = 8 * 1024 * 1024;

const seqOf = (sent: Sent): bigint => (sent.kind === "chunk" ? sent.chunk.seq : sent.seq);

/**
 * Puts in order what a session is sent. Where chunks are missing and the sender can send them again, what comes after them
 * is held back until they have come. Where nobody knows the number that comes next, it is the one to which numbers go back on a
 * connection: there begins the repetition of everything.
 */
export class Intake {
  /** The number of the chunk that comes next; nobody knows at the beginning of a session that is taken up. */
  #nextSeq: bigint | undefined;
  readonly #canResend: boolean;
  /** In order, each number once. */
  #held: Sent[] = [];
  #heldBytes = 0;
  /** What came last, and on which connection: numbers that go back there begin a repetition. */
  #last: { readonly seq: bigint; readonly connectionId: number } | undefined;

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

  /**
   * Takes what came. Gives whose turn it is, in order; nothing where it is held back, or was there before (`repeat`).
   * @param connectionId where it came: what one connection brings is in the order in which it was sent
   */
  offer(sent: Sent, connectionId: number): InTurn[] | "held" | "repeat" {
    const seq = seqOf(sent);
    const isBack = this.#last?.connectionId === connectionId && seq <= this.#last.seq;
    this.#last = { seq, connectionId };
    if (!this.#begins(seq, isBack)) {
      this.#hold(sent);
      // A repetition has begun behind what is missing: its sender has no more of it.
      return isBack && this.#canResend ? this.#skip() : "held";
    }
    // Who sends nothing again is believed to begin anew.
    if (!this.#canResend) this.#drop();
    this.#nextSeq ??= seq;
    const turn = this.#turn(sent);
    return turn === "repeat" ? turn : [turn, ...this.#follow()];
  }

  /** Whether a number is not to be held back. */
  #begins(seq: bigint, isBack: boolean): boolean {
    if (this.#nextSeq !== undefined) return seq <= this.#nextSeq || !this.#canResend;
    if (!this.#canResend) return seq === 0n || (this.#held.length > 0 && seq <= seqOf(this.#held[0]));
    // On one connection, or it may be the middle of a repetition whose beginning was cut off. What came before it and is not in
    // it was settled, and was on its way when the sender came to know that.
    return seq === 0n || isBack;
  }

  /** What was held back and is its turn now. */
  #follow(): InTurn[] {
    const turns: InTurn[] = [];
    let numOver = 0;
    for (const sent of this.#held) {
      if (seqOf(sent) > (this.#nextSeq ?? 0n)) break;
      numOver++;
      this.#heldBytes -= sizeOf(sent);
      const turn = this.#turn(sent);
      if (turn !== "repeat") turns.push(turn);
    }
    this.#held.splice(0, numOver);
    return turns;
  }

  /** Goes on with the first that is held back. */
  #skip(): InTurn[] {
    const [first] = this.#held.splice(0, 1);
    this.#heldBytes -= sizeOf(first);
    return [this.#turn(first) as InTurn, ...this.#follow()];
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

  #hold(sent: Sent): void {
    const seq = seqOf(sent);
    // From behind: what comes is mostly the latest.
    const place = this.#held.findLastIndex((other) => seqOf(other) <= seq);
    if (this.#heldBytes + sizeOf(sent) > MAX_HELD_BYTES || (place >= 0 && seqOf(this.#held[place]) === seq)) return;
    this.#held.splice(place + 1, 0, sent);
    this.#heldBytes += sizeOf(sent);
  }

  #drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}

const sizeOf = (sent: Sent): number => (sent.kind === "chunk" ? sent.chunk.audioChunk.length : 0);
