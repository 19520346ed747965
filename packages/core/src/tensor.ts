/** Element types of tensors that cross the runtime's border. */
export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array | Uint16Array;

/** The ONNX Runtime name of an element type. `float16` is carried as its bits. */
export type TensorType = "float32" | "int32" | "int64" | "uint8" | "int8" | "bool" | "float16";

/** A dense row-major tensor. */
export interface Tensor<D extends TensorData = TensorData> {
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly data: D;
}

/** The number of elements of a shape. */
export function numElements(dims: readonly number[]): number {
  let n = 1;
  for (const d of dims) n *= d;
  return n;
}

/** A float32 tensor; checks that data and shape agree. */
export function float32(data: Float32Array, dims: readonly number[]): Tensor<Float32Array> {
  return checked({ type: "float32", data, dims });
}

/** An int64 tensor from plain numbers. */
export function int64(values: ArrayLike<number>, dims: readonly number[] = [values.length]): Tensor<BigInt64Array> {
  const data = new BigInt64Array(values.length);
  for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]);
  return checked({ type: "int64", data, dims });
}

/** An int32 tensor from plain numbers. */
export function int32(values: ArrayLike<number>, dims: readonly number[] = [values.length]): Tensor<Int32Array> {
  return checked({ type: "int32", data: Int32Array.from(values), dims });
}

function checked<D extends TensorData>(tensor: Tensor<D>): Tensor<D> {
  if (numElements(tensor.dims) !== tensor.data.length) {
    throw new RangeError(`tensor: expected ${tensor.data.length} elements, got dims [${tensor.dims.join(", ")}].`);
  }
  return tensor;
}
