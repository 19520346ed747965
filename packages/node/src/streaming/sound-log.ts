/**
 * The last samples of a stream, in one array: what has to be sent again if the thread that recognises it dies. Positions
 * count from the stream's beginning.
 */
export class SoundLog {
  #data = new Float32Array(0);
  /** Position of the first sample that is kept, and its place in the array. */
  #start = 0;
  #offset = 0;
  #length = 0;

  /** Position behind the last sample. */
  get end(): number {
    return this.#start + this.#length;
  }

  get sizeBytes(): number {
    return this.#data.byteLength;
  }

  push(samples: Float32Array): void {
    this.#makeRoom(samples.length);
    this.#data.set(samples, this.#offset + this.#length);
    this.#length += samples.length;
  }

  /** A copy of `[from, to)`. */
  slice(from: number, to: number): Float32Array<ArrayBuffer> {
    const base = this.#offset - this.#start;
    return this.#data.slice(base + from, base + to);
  }

  /** Forgets what lies before a position. */
  dropBefore(position: number): void {
    const count = position - this.#start;
    this.#start += count;
    this.#offset += count;
    this.#length -= count;
    if (this.#data.length > 4 * this.#length) this.#resize(this.#length);
  }

  /** Moves to the front while that frees a half, takes half as much again otherwise. */
  #makeRoom(count: number): void {
    const needed = this.#length + count;
    if (this.#offset + needed <= this.#data.length) return;
    const isCrowded = needed > this.#data.length / 2;
    if (isCrowded) {
      this.#resize(Math.ceil(needed * 1.5));
    } else {
      this.#data.copyWithin(0, this.#offset, this.#offset + this.#length);
      this.#offset = 0;
    }
  }

  #resize(size: number): void {
    const data = new Float32Array(size);
    data.set(this.#data.subarray(this.#offset, this.#offset + this.#length));
    this.#data = data;
    this.#offset = 0;
  }
}
