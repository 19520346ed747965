// G.711 (ITU-T, 1972), on the 16-bit scale that libsndfile and telephony software use.

const MU_LAW_BIAS = 0x84;
/** The loudest 16-bit value that keeps its segment when the bias is added. */
const MU_LAW_CLIP = 32635;

/** The 16-bit value of every µ-law byte. */
export const MU_LAW_VALUES: Int16Array = Int16Array.from({ length: 256 }, (_, byte) => {
  const code = ~byte & 0xff;
  const magnitude = ((((code & 0x0f) << 3) + MU_LAW_BIAS) << ((code >> 4) & 7)) - MU_LAW_BIAS;
  return code & 0x80 ? -magnitude : magnitude;
});

/** The 16-bit value of every A-law byte. */
export const A_LAW_VALUES: Int16Array = Int16Array.from({ length: 256 }, (_, byte) => {
  const code = byte ^ 0x55;
  const segment = (code >> 4) & 7;
  const step = ((code & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? step : (step + 0x100) << (segment - 1);
  return code & 0x80 ? magnitude : -magnitude;
});

/** The µ-law byte of a 16-bit value. */
export function muLawByte(value: number): number {
  const sign = value < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(value), MU_LAW_CLIP) + MU_LAW_BIAS;
  const segment = 31 - Math.clz32(magnitude) - 7;
  return ~(sign | (segment << 4) | ((magnitude >> (segment + 3)) & 0x0f)) & 0xff;
}

/** The A-law byte of a 16-bit value. */
export function aLawByte(value: number): number {
  const sign = value < 0 ? 0 : 0x80;
  // The law has 13 bits; negative values are taken down by one step so that both signs have as many of them.
  const magnitude = Math.min(value < 0 ? -value - 1 : value, 32767) >> 3;
  const segment = Math.max(0, 31 - Math.clz32(magnitude | 1) - 4);
  const mantissa = (magnitude >> Math.max(1, segment)) & 0x0f;
  return (sign | (segment << 4) | mantissa) ^ 0x55;
}
