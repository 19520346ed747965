/** float32 values as the bits of IEEE 754 half precision, rounded to nearest even; what is too large becomes infinite. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = half(bits[i]);
  return out;
}

function half(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const fraction = bits & 0x7fffff;
  if (exponent >= 31) return sign | 0x7c00 | (exponent === 143 && fraction !== 0 ? 0x200 : 0);
  if (exponent > 0) return sign | roundShift((exponent << 23) | fraction, 13);
  if (exponent < -10) return sign;
  // Subnormal: the hidden bit becomes visible and moves right.
  return sign | roundShift(fraction | 0x800000, 14 - exponent);
}

/** Shifts right and rounds to nearest, ties to even; a carry into the exponent is right as it is. */
function roundShift(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return rest > tie || (rest === tie && (kept & 1) === 1) ? kept + 1 : kept;
}
