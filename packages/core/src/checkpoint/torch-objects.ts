import { SpeechError } from "../errors.ts";
import type { StorageType } from "./checkpoint.ts";
import { describe, PickleGlobal, type PickleRules, type PickleValue } from "./pickle-machine.ts";

/** A reference to a storage of the file, as its persistent id describes it. */
export interface TorchStorage {
  readonly kind: "storage";
  /** Undefined for `UntypedStorage`, whose elements are bytes. */
  readonly type: StorageType | undefined;
  readonly key: string;
  /** Elements the whole storage has. */
  readonly numElements: number;
  /** First element of a view (legacy files only). */
  readonly viewStart: number;
  readonly viewElements: number;
}

/** A tensor as `_rebuild_tensor*` describes it; nothing is checked against the file yet. */
export interface TorchTensor {
  readonly kind: "tensor";
  readonly storage: TorchStorage;
  readonly type: StorageType;
  /** In elements of the storage. */
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
}

/** Bytes of one element. */
export const STORAGE_ELEMENT_BYTES: Readonly<Record<StorageType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float64: 8,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

const STORAGE_CLASSES: ReadonlyMap<string, StorageType> = new Map([
  ["FloatStorage", "float32"],
  ["HalfStorage", "float16"],
  ["BFloat16Storage", "bfloat16"],
  ["DoubleStorage", "float64"],
  ["LongStorage", "int64"],
  ["IntStorage", "int32"],
  ["ShortStorage", "int16"],
  ["CharStorage", "int8"],
  ["ByteStorage", "uint8"],
  ["BoolStorage", "bool"],
]);

/** torch's own limit is 64; NeMo's tensors have at most five axes. */
const MAX_AXES = 64;

/**
 * The allow-list for torch checkpoints: a part of torch's own for `weights_only=True` (`torch/_weights_only_unpickler.py`).
 */
export const TORCH_RULES: PickleRules = { globals: torchGlobals(), persistent: storageOf };

function torchGlobals(): Map<string, PickleGlobal> {
  const globals = new Map<string, PickleGlobal>();
  const add = (name: string, build?: PickleGlobal["build"]) => globals.set(name, new PickleGlobal(name, build));
  for (const name of STORAGE_CLASSES.keys()) add(`torch.${name}`);
  add("torch.storage.UntypedStorage");
  add("torch.storage.TypedStorage");
  for (const type of Object.keys(STORAGE_ELEMENT_BYTES)) add(`torch.${type}`);
  add("torch._utils._rebuild_tensor", rebuildTensor);
  add("torch._utils._rebuild_tensor_v2", rebuildTensor);
  add("torch._utils._rebuild_tensor_v3", rebuildTensorV3);
  add("torch._utils._rebuild_parameter", rebuildParameter);
  add("torch._utils._rebuild_parameter_with_state", rebuildParameter);
  add("torch._tensor._rebuild_from_type", rebuildFromType);
  add("torch._tensor._rebuild_from_type_v2", rebuildFromType);
  add("torch.Tensor");
  add("torch.nn.parameter.Parameter");
  add("torch.Size", (args) => args[0] ?? []);
  add("torch.device", (args) => args[0] ?? null);
  add("collections.OrderedDict", orderedDict);
  add("_codecs.encode", latin1Bytes);
  return globals;
}

/** `("storage", class, key, location, numElements[, view])`, `torch/serialization.py`. */
function storageOf(id: PickleValue, where: string): TorchStorage {
  const [tag, storageClass, key, , numElements, view] = asArray(id);
  if (
    tag !== "storage" ||
    !(storageClass instanceof PickleGlobal) ||
    typeof key !== "string" ||
    !isCount(numElements)
  ) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected the id of a torch storage, got ${describe(id)}. The file is corrupt.`,
    );
  }
  const type = STORAGE_CLASSES.get(storageClass.name.replace("torch.", ""));
  if (type === undefined && !storageClass.name.startsWith("torch.storage.")) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a storage class, got ${describe(storageClass)}. The file is corrupt.`,
    );
  }
  const whole = { kind: "storage", type, key, numElements, viewStart: 0, viewElements: numElements } as const;
  if (view === undefined || view === null) return whole;
  const [, viewStart, viewElements] = asArray(view);
  if (!isCount(viewStart) || !isCount(viewElements) || viewStart + viewElements > numElements) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a view inside its storage of ${numElements}. The file is corrupt.`,
    );
  }
  return { ...whole, viewStart, viewElements };
}

/** `(storage, offset, size, stride[, requires_grad, backward_hooks[, metadata]])`. */
function rebuildTensor(args: readonly PickleValue[], where: string): TorchTensor {
  const storage = storageArgument(args[0], where);
  if (storage.type === undefined) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a typed storage, got an untyped one. The file is corrupt.`,
    );
  }
  return tensor(storage, storage.type, args, where);
}

/** The same with an untyped storage and the type as seventh argument. */
function rebuildTensorV3(args: readonly PickleValue[], where: string): TorchTensor {
  const dtype = args[6];
  const type = dtype instanceof PickleGlobal ? dtype.name.replace("torch.", "") : "";
  if (!Object.hasOwn(STORAGE_ELEMENT_BYTES, type)) {
    throw new SpeechError("FORMAT_UNSUPPORTED", `${where}: expected a tensor of a known type, got ${describe(dtype)}.`);
  }
  return tensor(storageArgument(args[0], where), type as StorageType, args, where);
}

function tensor(storage: TorchStorage, type: StorageType, args: readonly PickleValue[], where: string): TorchTensor {
  const [, offset, dims, strides] = args;
  const isShape = (value: PickleValue): value is number[] =>
    Array.isArray(value) && value.length <= MAX_AXES && value.every(isCount);
  if (!isCount(offset) || !isShape(dims) || !isShape(strides) || strides.length !== dims.length) {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${where}: expected a tensor's offset, size and stride, got ${[offset, dims, strides].map(describe).join(", ")}. The file is corrupt.`,
    );
  }
  return { kind: "tensor", storage, type, offset, dims: [...dims], strides: [...strides] };
}

function storageArgument(value: PickleValue, where: string): TorchStorage {
  if (isStorage(value)) return value;
  throw new SpeechError("FORMAT_INVALID", `${where}: expected a storage, got ${describe(value)}. The file is corrupt.`);
}

/** `(data, requires_grad, backward_hooks[, state])`: the parameter is its tensor. */
function rebuildParameter(args: readonly PickleValue[], where: string): TorchTensor {
  if (isTensor(args[0])) return args[0];
  throw new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected a parameter's tensor, got ${describe(args[0])}. The file is corrupt.`,
  );
}

/** `(function, type, args, state)`: tensors with attributes. */
function rebuildFromType(args: readonly PickleValue[], where: string): PickleValue {
  const [rebuild] = args;
  if (
    rebuild instanceof PickleGlobal &&
    rebuild.name.startsWith("torch._utils._rebuild_") &&
    rebuild.build !== undefined
  ) {
    return rebuild.build(asArray(args[2]), where);
  }
  throw new SpeechError(
    "FORMAT_INVALID",
    `${where}: expected a function that rebuilds a tensor, got ${describe(rebuild)}. The file is corrupt.`,
  );
}

/** Empty (items follow), or from a list of pairs as Python 2 wrote it. */
function orderedDict(args: readonly PickleValue[], where: string): PickleValue {
  const map = new Map<string, PickleValue>();
  for (const pair of asArray(args[0])) {
    const [key, value] = asArray(pair);
    if (typeof key !== "string" || value === undefined) {
      throw new SpeechError(
        "FORMAT_INVALID",
        `${where}: expected pairs of names and values, got ${describe(pair)}. The file is corrupt.`,
      );
    }
    map.set(key, value);
  }
  return map;
}

/** `_codecs.encode(text, "latin1")`: how protocol 2 writes bytes. */
function latin1Bytes(args: readonly PickleValue[], where: string): Uint8Array {
  const [text, encoding] = args;
  if (typeof text === "string" && encoding === "latin1") return Uint8Array.from(text, (char) => char.charCodeAt(0));
  throw new SpeechError("FORMAT_UNSUPPORTED", `${where}: expected latin1 bytes, got ${describe(encoding)}.`);
}

/** True for a tensor that one of the functions above made. */
export function isTensor(value: PickleValue | undefined): value is TorchTensor {
  return hasKind(value, "tensor");
}

/** True for a storage reference that `persistent` made. */
export function isStorage(value: PickleValue | undefined): value is TorchStorage {
  return hasKind(value, "storage");
}

function hasKind(value: PickleValue | undefined, kind: string): boolean {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function asArray(value: PickleValue | undefined): readonly PickleValue[] {
  return Array.isArray(value) ? value : [];
}
