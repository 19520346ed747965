import type { ByteSource } from "../bytes.ts";
import { numElements } from "../tensor.ts";
import type { StorageType, TensorInfo } from "./checkpoint.ts";
import { STORAGE_ELEMENT_BYTES } from "./torch-objects.ts";

/**
 * Reads a tensor as float32, row-major, in the fewest bytes: the range from its first element to its last.
 * @throws SpeechError of the source's `read`.
 */
export async function readTensor(source: ByteSource, tensor: TensorInfo): Promise<Float32Array> {
  const { dims, strides, type, offsetBytes } = tensor;
  const total = numElements(dims);
  if (total === 0) return new Float32Array(0);
  const span = tensor.isContiguous ? total : 1 + dims.reduce((sum, dim, axis) => sum + (dim - 1) * strides[axis], 0);
  const bytes = await source.read(offsetBytes, offsetBytes + span * STORAGE_ELEMENT_BYTES[type]);
  const values = toFloat32(bytes, type);
  return tensor.isContiguous ? values : gather(values, dims, strides, total);
}

/**
 * Little-endian values of a type as float32. Shares the memory of `bytes` where they are float32 already.
 * Values beyond float32 become infinite and 64-bit ones are rounded, as `tensor.float()` does.
 */
export function toFloat32(bytes: Uint8Array, type: StorageType): Float32Array {
  const aligned = bytes.byteOffset % STORAGE_ELEMENT_BYTES[type] === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  const length = aligned.length / STORAGE_ELEMENT_BYTES[type];
  switch (type) {
    case "float32":
      return new Float32Array(buffer, byteOffset, length);
    case "float16":
      return fromFloat16(new Uint16Array(buffer, byteOffset, length));
    case "bfloat16":
      return fromBfloat16(new Uint16Array(buffer, byteOffset, length));
    case "float64":
      return new Float32Array(new Float64Array(buffer, byteOffset, length));
    case "int64":
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, length), Number);
    case "int32":
      return new Float32Array(new Int32Array(buffer, byteOffset, length));
    case "int16":
      return new Float32Array(new Int16Array(buffer, byteOffset, length));
    case "int8":
      return new Float32Array(new Int8Array(buffer, byteOffset, length));
    case "uint8":
      return new Float32Array(aligned);
    case "bool":
      return Float32Array.from(aligned, (byte) => (byte === 0 ? 0 : 1));
  }
}

function fromBfloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return new Float32Array(bits.buffer);
}

let float16Bits: Uint32Array | undefined;

/** By a table of all 65,536 values (IEEE 754 binary16): one load per element. */
function fromFloat16(halves: Uint16Array): Float32Array {
  float16Bits ??= Uint32Array.from({ length: 1 << 16 }, (_, half) => float32BitsOfHalf(half));
  const table = float16Bits;
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]];
  return new Float32Array(bits.buffer);
}

function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // Subnormal: move the leading bit to the implicit place.
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/** Copies a strided tensor to row-major order. */
function gather(
  values: Float32Array,
  dims: readonly number[],
  strides: readonly number[],
  total: number,
): Float32Array {
  const out = new Float32Array(total);
  const innerDim = dims.at(-1)!;
  const innerStride = strides.at(-1)!;
  const index = new Array<number>(dims.length - 1).fill(0);
  let from = 0;
  for (let to = 0; to < total; ) {
    for (let i = 0; i < innerDim; i++) out[to++] = values[from + i * innerStride];
    for (let axis = index.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < dims[axis]) break;
      from -= dims[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return out;
}
