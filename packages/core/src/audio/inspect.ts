/** What a look at samples tells of them. */
export interface SampleInspection {
  readonly numSamples: number;
  /** Samples that are NaN or infinite. */
  readonly numNonFinite: number;
  /** The largest magnitude of the others; 1 is full scale. */
  readonly peak: number;
  /** Nothing in it is louder than -80 dB of full scale. */
  readonly isSilent: boolean;
}

/** -80 dB: three steps of 16 bits, below the noise of any microphone. */
const SILENCE_PEAK = 1e-4;

/** Looks for what cannot be speech: values that are no numbers, silence. */
export function inspectSamples(samples: Float32Array): SampleInspection {
  let numNonFinite = 0;
  let peak = 0;
  for (let i = 0; i < samples.length; i++) {
    const level = Math.abs(samples[i]);
    if (!(level < Number.POSITIVE_INFINITY)) numNonFinite++;
    else if (level > peak) peak = level;
  }
  return { numSamples: samples.length, numNonFinite, peak, isSilent: peak < SILENCE_PEAK };
}
