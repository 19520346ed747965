/** What a frame buffer has to remember: plain data. */
export interface SavedFrames {
  readonly firstFrame: number;
  /** `[frame, mel]` */
  readonly data: Float32Array;
}

/** The frames of a stream that some step still has to hear, `[frame, mel]`, counted from the stream's beginning. */
export interface FrameBuffer {
  readonly numMels: number;
  /** One past the last frame. */
  readonly endFrame: number;
  /** Appends one frame. */
  push(frame: Float32Array): void;
  /** Frames `[start, end)`: valid until the next `push` or `dropBefore`. */
  view(start: number, end: number): Float32Array;
  /** Forgets the frames before this one. */
  dropBefore(frame: number): void;
  /** Forgets this frame and all behind it. */
  dropFrom(frame: number): void;
  /** Also gives back the memory that no frame needs: a stream that is saved may rest. */
  save(): SavedFrames;
}

/** Frames that a buffer may keep room for: what the longest chunks need. */
const MAX_SPARE_FRAMES = 160;

/** Makes an empty buffer, or one where `saved` was. */
export function createFrameBuffer(numMels: number, saved?: SavedFrames): FrameBuffer {
  let first = saved?.firstFrame ?? 0;
  let data = saved ? saved.data.slice() : new Float32Array(64 * numMels);
  let begin = 0;
  let end = saved ? saved.data.length : 0;

  /** Makes room for one frame: by moving to the front while at least half is free, by growing otherwise. */
  function makeRoom(): void {
    if (end + numMels <= data.length) return;
    const used = data.subarray(begin, end);
    const isCrowded = end - begin + numMels > data.length / 2;
    const grown = isCrowded ? new Float32Array(2 * (data.length + numMels)) : data;
    grown.set(used);
    data = grown;
    end -= begin;
    begin = 0;
  }

  /** Gives back memory, but for so many numbers. */
  function shrink(size: number): void {
    const used = data.subarray(begin, end);
    data = new Float32Array(size);
    data.set(used);
    end -= begin;
    begin = 0;
  }

  return {
    numMels,
    get endFrame() {
      return first + (end - begin) / numMels;
    },
    push(frame) {
      makeRoom();
      data.set(frame, end);
      end += numMels;
    },
    view: (start, stop) => data.subarray(begin + (start - first) * numMels, begin + (stop - first) * numMels),
    dropBefore(frame) {
      const count = Math.min(Math.max(0, frame - first), (end - begin) / numMels);
      begin += count * numMels;
      first += count;
      const used = end - begin;
      // The memory of a large packet.
      if (data.length > MAX_SPARE_FRAMES * numMels && used < data.length / 4) shrink(Math.max(2 * used, 64 * numMels));
    },
    dropFrom(frame) {
      end = Math.max(begin, Math.min(end, begin + (frame - first) * numMels));
    },
    save() {
      shrink(end - begin);
      return { firstFrame: first, data: data.slice() };
    },
  };
}
