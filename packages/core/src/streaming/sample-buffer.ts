/** What a sample buffer has to remember: plain data. */
export interface SavedSamples {
  readonly firstSample: number;
  readonly data: Float32Array;
}

/** The samples of a stream that something still has to hear, counted from the stream's beginning. */
export interface SampleBuffer {
  /** One past the last sample. */
  readonly endSample: number;
  /** Appends a copy. */
  append(samples: Float32Array): void;
  /** Samples `[start, end)`: valid until the next `append` or `dropBefore`. */
  view(start: number, end: number): Float32Array;
  /** Forgets the samples before this one. */
  dropBefore(sample: number): void;
  save(): SavedSamples;
}

/** Half a second at 16 kHz. */
const FIRST_ROOM = 8192;

/** Makes an empty buffer, or one where `saved` was. */
export function createSampleBuffer(saved?: SavedSamples): SampleBuffer {
  let first = saved?.firstSample ?? 0;
  let data: Float32Array = saved ? saved.data.slice() : new Float32Array(FIRST_ROOM);
  let begin = 0;
  let end = saved ? saved.data.length : 0;

  /** Makes room: by moving to the front while that leaves half of the memory free, by growing otherwise. */
  function makeRoom(count: number): void {
    if (end + count <= data.length) return;
    const used = data.subarray(begin, end);
    const needed = used.length + count;
    const target = 2 * needed > data.length ? new Float32Array(2 * needed) : data;
    target.set(used);
    data = target;
    end -= begin;
    begin = 0;
  }

  return {
    get endSample() {
      return first + end - begin;
    },
    append(samples) {
      makeRoom(samples.length);
      data.set(samples, end);
      end += samples.length;
    },
    view: (start, stop) => data.subarray(begin + start - first, begin + stop - first),
    dropBefore(sample) {
      const count = Math.min(Math.max(0, sample - first), end - begin);
      begin += count;
      first += count;
    },
    save: () => ({ firstSample: first, data: data.slice(begin, end) }),
  };
}
