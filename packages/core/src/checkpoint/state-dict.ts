import { SpeechError } from "../errors.ts";
import { numElements } from "../tensor.ts";
import type { TensorInfo } from "./checkpoint.ts";
import { describe, type PickleValue } from "./pickle-machine.ts";
import { quote } from "./text.ts";
import { isTensor, STORAGE_ELEMENT_BYTES, type TorchTensor } from "./torch-objects.ts";

/** An indexed `torch.save` file. Positions are in its source. */
export interface TorchFile {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** What identifies the content: the pickle's bytes, and each storage's size with its CRC-32 where the file has one. */
  readonly identity: TorchIdentity;
}

/** Cheap to read and different where any tensor is. */
export interface TorchIdentity {
  readonly pickle: Uint8Array;
  readonly storages: readonly StorageIdentity[];
}

/** One storage: its bytes and, where the file has checksums, its CRC-32. */
export interface StorageIdentity {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly crc32: number | undefined;
}

/** Where a storage's bytes lie. */
export interface StorageRange {
  readonly start: number;
  readonly sizeBytes: number;
}

/** The pickle of 10,000 tensors takes 2 MB. */
export const MAX_PICKLE_BYTES = 64 << 20;
/** An expanded tensor (stride 0) may be larger than its storage, but not without bound. */
const MAX_EXPANDED_ELEMENTS = 1 << 20;
/** 2 GiB of float32, read at once; the largest tensor of a speech model has 70 million elements. */
const MAX_SPAN_ELEMENTS = 2 ** 29;

/**
 * The tensors of a state dict with their positions, checked against the storages the file has.
 * @throws SpeechError `MODEL_INVALID`, `LIMIT_EXCEEDED`.
 */
export function indexStateDict(
  root: PickleValue,
  storages: ReadonlyMap<string, StorageRange>,
  where: string,
): Map<string, TensorInfo> {
  const nested = root instanceof Map ? root.get("state_dict") : undefined;
  const stateDict = nested instanceof Map ? nested : root;
  const tensors = new Map<string, TensorInfo>();
  if (stateDict instanceof Map) {
    for (const [name, value] of stateDict) {
      if (typeof name === "string" && isTensor(value)) tensors.set(name, locateTensor(name, value, storages, where));
    }
  }
  if (tensors.size > 0) return tensors;
  throw new SpeechError(
    "MODEL_INVALID",
    `${where}: expected a state dict of named tensors, got ${describe(stateDict)} without any. Save the model's state_dict().`,
  );
}

function locateTensor(
  name: string,
  tensor: TorchTensor,
  storages: ReadonlyMap<string, StorageRange>,
  source: string,
): TensorInfo {
  const { storage, type, dims, strides } = tensor;
  const where = `${source}: tensor ${quote(name)}`;
  const elementBytes = STORAGE_ELEMENT_BYTES[type];
  const declaredBytes = storage.numElements * (storage.type === undefined ? 1 : elementBytes);
  const range = storages.get(storage.key) ?? (declaredBytes === 0 ? { start: 0, sizeBytes: 0 } : undefined);
  if (range?.sizeBytes !== declaredBytes) {
    throw new SpeechError(
      "MODEL_INVALID",
      `${where}: expected a storage ${quote(storage.key)} of ${declaredBytes} bytes, got ${range === undefined ? "none" : range.sizeBytes}. The checkpoint is corrupt.`,
    );
  }
  const numStored = storage.type === undefined ? Math.floor(declaredBytes / elementBytes) : storage.viewElements;
  const total = numElements(dims);
  if (total > Math.max(numStored, MAX_EXPANDED_ELEMENTS)) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${where}: expected at most its storage's ${numStored} elements, got a shape [${dims.join(", ")}]. The checkpoint is corrupt.`,
    );
  }
  const span = dims.reduce((sum, dim, axis) => sum + (dim - 1) * strides[axis], 1);
  if (total > 0 && span > MAX_SPAN_ELEMENTS) {
    throw new SpeechError(
      "LIMIT_EXCEEDED",
      `${where}: expected at most ${MAX_SPAN_ELEMENTS} elements, got ${span}. No speech model has such a tensor.`,
    );
  }
  const last = tensor.offset + span - 1;
  if (total > 0 && !(last < numStored)) {
    throw new SpeechError(
      "MODEL_INVALID",
      `${where}: expected to lie in its storage of ${numStored} elements, got element ${last}. The checkpoint is corrupt.`,
    );
  }
  const first = total === 0 ? 0 : storage.viewStart + tensor.offset;
  return {
    name,
    type,
    dims,
    strides,
    offsetBytes: range.start + first * elementBytes,
    isContiguous: isContiguous(dims, strides),
  };
}

/** As torch: axes of length one may have any stride, and a tensor without elements is contiguous. */
function isContiguous(dims: readonly number[], strides: readonly number[]): boolean {
  if (dims.includes(0)) return true;
  let expected = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    if (dims[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= dims[axis];
  }
  return true;
}
