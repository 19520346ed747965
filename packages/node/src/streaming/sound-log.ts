import { giveBack } from "../give-back.ts";

/** What the memory begins with: a second at 16 kHz. */
const FIRST_ROOM = 16_384;

/**
 * The last samples of a stream: what has to be sent again if the thread that recognises it dies. Positions count from the
 * stream's beginning; the sample of position `p` stands at place `p mod size`, so that nothing moves, and no memory is
 * taken, while as much goes as comes.
 */
export class SoundLog {
  #data = new Float32Array(0);
  /** Positions of the first sample that is kept, and behind the last. */
  #start = 0;
  #end = 0;

  /** Position behind the last sample. */
  get end(): number {
    return this.#end;
  }

  get sizeBytes(): number {
    return this.#data.byteLength;
  }

  push(samples: Float32Array): void {
    const needed = this.#end - this.#start + samples.length;
    if (needed > this.#data.length) this.#resize(Math.max(FIRST_ROOM, needed, Math.ceil(1.5 * this.#data.length)));
    this.#put(samples);
  }

  /** A copy of `[from, to)`. */
  slice(from: number, to: number): Float32Array<ArrayBuffer> {
    const samples = new Float32Array(to - from);
    this.#copy(from, samples);
    return samples;
  }

  /** Forgets what lies before a position. */
  dropBefore(position: number): void {
    this.#start = position;
  }

  /** Gives back the memory that no sample needs. */
  trim(): void {
    this.#resize(this.#end - this.#start);
  }

  #put(samples: Float32Array): void {
    if (samples.length === 0) return; // There may be no place for any.
    const place = this.#end % this.#data.length;
    const head = samples.subarray(0, this.#data.length - place);
    this.#data.set(head, place);
    this.#data.set(samples.subarray(head.length));
    this.#end += samples.length;
  }

  /** Fills `out` with the samples from a position on. */
  #copy(from: number, out: Float32Array): void {
    const place = from % this.#data.length;
    const head = this.#data.subarray(place, place + out.length);
    out.set(head);
    out.set(this.#data.subarray(0, out.length - head.length), head.length);
  }

  #resize(size: number): void {
    const kept = this.slice(this.#start, this.#end);
    giveBack(this.#data.buffer);
    this.#data = new Float32Array(size);
    this.#end = this.#start;
    this.#put(kept);
    giveBack(kept.buffer);
  }
}
