/** Something that hears when nobody speaks. */
export interface SilenceDetector {
  /** Silence at the end of what was fed, in seconds; 0 while somebody speaks. */
  readonly silenceSec: number;
  /** Takes mono samples in [-1, 1]. */
  feed(samples: Float32Array, sampleRateHz: number): void;
}
