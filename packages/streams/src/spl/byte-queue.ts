/** Pieces below this are gathered: a peer that sends single bytes must not cost an object each. */
const SMALL_BYTES = 1024;
const GATHERED_BYTES = 4096;

/** Bytes that came and were not taken yet, in the pieces in which they came: what is large is not copied unless needed. */
export class ByteQueue {
  #pieces: Uint8Array[] = [];
  #first = 0;
  /** Bytes of the first piece that are gone. */
  #offset = 0;
  #length = 0;
  /** Where small pieces are gathered: the last piece is a view of it, as long as this is set. */
  #gathered: Uint8Array | undefined;

  /** Bytes that can be taken. */
  get length(): number {
    return this.#length;
  }

  /** Appends bytes; they must not change afterwards. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#length === 0 || bytes.length >= SMALL_BYTES) {
      this.#gathered = undefined;
      this.#pieces.push(bytes);
    } else this.#gather(bytes);
    this.#length += bytes.length;
  }

  #gather(bytes: Uint8Array): void {
    const last = this.#pieces[this.#pieces.length - 1];
    const used = this.#gathered ? last.length : 0;
    if (this.#gathered && used + bytes.length <= GATHERED_BYTES) {
      this.#gathered.set(bytes, used);
      this.#pieces[this.#pieces.length - 1] = this.#gathered.subarray(0, used + bytes.length);
      return;
    }
    this.#gathered = new Uint8Array(GATHERED_BYTES);
    this.#gathered.set(bytes);
    this.#pieces.push(this.#gathered.subarray(0, bytes.length));
  }

  /** Takes `count` bytes, which must be there: a view of what came where they lie in one piece, otherwise a copy. */
  take(count: number): Uint8Array {
    if (count > this.#length)
      throw new RangeError(`ByteQueue: expected at most ${this.#length} bytes, got ${count}. Wait for more.`);
    if (count === 0) return new Uint8Array(0);
    const piece = this.#pieces[this.#first];
    if (piece.length - this.#offset >= count) {
      const view = piece.subarray(this.#offset, this.#offset + count);
      this.#advance(count);
      return view;
    }
    const bytes = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      const part = this.#pieces[this.#first].subarray(this.#offset, this.#offset + count - filled);
      bytes.set(part, filled);
      filled += part.length;
      this.#advance(part.length);
    }
    return bytes;
  }

  #advance(count: number): void {
    this.#offset += count;
    this.#length -= count;
    if (this.#offset < this.#pieces[this.#first].length) return;
    this.#offset = 0;
    this.#first++;
    // The list is cut now and then, so that taking a byte costs no move of all the others.
    if (this.#first > 64 && this.#first * 2 > this.#pieces.length) {
      this.#pieces = this.#pieces.slice(this.#first);
      this.#first = 0;
    }
    if (this.#length > 0) return;
    this.#pieces = [];
    this.#first = 0;
    this.#gathered = undefined;
  }
}
