const BLOCK_SAMPLES = 65_536;

/** Silence in blocks, for parts of a recording that are missing. */
export function* silence(numChannels: number, numSamples: number): Generator<Float32Array[], void, undefined> {
  for (let left = numSamples; left > 0; left -= BLOCK_SAMPLES) {
    const length = Math.min(left, BLOCK_SAMPLES);
    yield Array.from({ length: numChannels }, () => new Float32Array(length));
  }
}
