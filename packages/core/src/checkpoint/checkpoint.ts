import type { ByteSource } from "../bytes.ts";

/** Element types a torch storage may have. */
export type StorageType =
  | "float32"
  | "float16"
  | "bfloat16"
  | "float64"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

/** Where a tensor of the checkpoint lies and how. Nothing of its data is held. */
export interface TensorInfo {
  readonly name: string;
  readonly type: StorageType;
  readonly dims: readonly number[];
  /** In elements, as torch has them; row-major when the tensor is contiguous. */
  readonly strides: readonly number[];
  /** Position in the checkpoint's `source` of the tensor's first element; little-endian. */
  readonly offsetBytes: number;
  readonly isContiguous: boolean;
}

/**
 * An opened `.nemo`: its configuration, its artifacts and an index of its tensors. Tensors are read one at a time, by
 * ranges, and belong to the caller.
 */
export interface Checkpoint {
  readonly name: string;
  /** `model_config.yaml` as plain data, interpolations resolved. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names of the other members of the archive, without `./`. */
  readonly artifactNames: readonly string[];
  /**
   * The source that `offsetBytes` of the tensors count from: the archive, or of a directory its weights' file. Where
   * `isUnpacked`, what was unpacked of it.
   */
  readonly source: ByteSource;
  /** True where the archive was packed (gzip), so that its own bytes are not those of `source`. */
  readonly isUnpacked: boolean;
  /** Identifies the content (not the file's place or date): 64 hexadecimal digits. */
  readonly fingerprint: string;
  /**
   * An artifact by the value the configuration gives it (`nemo:<uuid>_tokenizer.model`, or an old archive's path).
   * Undefined where the archive has no such member.
   */
  artifact(configValue: string): Promise<Uint8Array | undefined>;
  /**
   * A tensor's values as float32, contiguous row-major; float16, bfloat16, float64 and integers are converted.
   * @throws SpeechError `MODEL_INVALID` when there is no such tensor.
   */
  readFloat32(name: string): Promise<Float32Array>;
}
