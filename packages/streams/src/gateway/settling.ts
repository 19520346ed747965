/** Where a chunk's sound ends, and the number of the chunk that follows. */
export interface ChunkEnd {
  readonly heardSec: number;
  readonly below: bigint;
}

/**
 * Which chunks are settled by what was said: a sender keeps the others, and sends them again to a service that takes over.
 * Only ends of chunks count at which no sample is cut.
 */
export class Settling {
  #ends: ChunkEnd[] = [];

  constructor(ends: readonly ChunkEnd[] = []) {
    this.#ends = [...ends];
  }

  save(): ChunkEnd[] {
    return this.#ends;
  }

  /** A chunk was heard. */
  add(end: ChunkEnd): void {
    this.#ends.push(end);
  }

  /** The number below which everything is settled by sound up to a time; nothing where that is no more than before. */
  settle(upToSec: number): bigint | undefined {
    const numSettled = this.#ends.findLastIndex(({ heardSec }) => heardSec <= upToSec + 1e-9) + 1;
    if (numSettled === 0) return undefined;
    const { below } = this.#ends[numSettled - 1];
    this.#ends = this.#ends.slice(numSettled);
    return below;
  }
}
