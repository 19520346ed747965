import { besselI0 } from "./resample-kernel.ts";

/** Kaiser's beta for 130 dB: the rest of the resampler is good for 120. */
const BETA = 13;
/** Kaiser's formula: taps times transition width (as a fraction of the rate) for that attenuation. */
const TAPS_TIMES_TRANSITION = 8.6;

/**
 * The taps of a filter that halves a rate, on one side of its centre: `taps[i]` stands `2 i + 1` samples away from it; the
 * centre is one half and all even distances are zero.
 *
 * Passes `[0, passBand]` and stops what would fold into it, `[1 / 2 - passBand, 1 / 2]`; both are fractions of the rate
 * that comes in.
 */
export function halfBandTaps(passBand: number): Float64Array {
  const transition = 0.5 - 2 * passBand;
  const count = Math.ceil(TAPS_TIMES_TRANSITION / transition / 4) + 1;
  const halfWidth = 2 * count;
  const taps = Float64Array.from({ length: count }, (_, i) => {
    const distance = 2 * i + 1;
    const window = besselI0(BETA * Math.sqrt(1 - (distance / halfWidth) ** 2)) / besselI0(BETA);
    return (window * Math.sin((Math.PI * distance) / 2)) / (Math.PI * distance);
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / (4 * sum));
}
