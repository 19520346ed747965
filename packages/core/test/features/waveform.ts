/** The waveform of nemo-reference.py: noise between two sawteeth, in steps of loudness; exact in float32. */
export function referenceWaveform(numSamples: number): Float32Array {
  let state = 12345;
  return Float32Array.from({ length: numSamples }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const noise = ((state >>> 16) - 32768) / 32768;
    const tone = (((i * 5) % 128) - 64) / 128;
    return (noise * 0.25 + tone * 0.5) * 2 ** -(Math.floor(i / 300) % 5);
  });
}
