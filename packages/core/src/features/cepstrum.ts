/** Applies a discrete cosine transform to one frame: `coefficients[c] = sum over m of matrix[c, m] * mels[m]`. */
export type CosineTransform = (mels: ArrayLike<number>, coefficients: Float64Array) => void;

/**
 * torchaudio's `create_dct`: type II, `[coefficient, mel]`. It computes in float32, the angles included, which puts the
 * factors off by up to 1e-5: checkpoints carry them so.
 */
export function createCosineTransform(
  numCoefficients: number,
  numMels: number,
  norm: "ortho" | "none",
): CosineTransform {
  const { fround } = Math;
  const turn = fround(Math.PI / numMels);
  const matrix = new Float64Array(numCoefficients * numMels);
  for (let c = 0; c < numCoefficients; c++) {
    for (let m = 0; m < numMels; m++) {
      const value = fround(Math.cos(fround(fround(turn * (m + 0.5)) * c)));
      const first = c === 0 && norm === "ortho" ? fround(value * fround(1 / Math.sqrt(2))) : value;
      matrix[c * numMels + m] = fround(first * (norm === "ortho" ? fround(Math.sqrt(2 / numMels)) : 2));
    }
  }
  return (mels, coefficients) => {
    for (let c = 0, i = 0; c < numCoefficients; c++) {
      let sum = 0;
      for (let m = 0; m < numMels; m++, i++) sum += matrix[i] * mels[m];
      coefficients[c] = sum;
    }
  };
}

/** torchaudio `MFCC`: decibels further than this below the loudest value of the recording are raised to it. */
const TOP_DECIBELS = 80;

/** Raises the values of a recording to 80 dB below its loudest one, in place (`amplitude_to_DB` with `top_db`). */
export function limitDynamicRange(decibels: Float64Array): void {
  let loudest = Number.NEGATIVE_INFINITY;
  for (const value of decibels) if (value > loudest) loudest = value;
  const floor = loudest - TOP_DECIBELS;
  for (let i = 0; i < decibels.length; i++) if (decibels[i] < floor) decibels[i] = floor;
}
