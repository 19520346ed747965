import type { ByteSource } from "../bytes.ts";
import { SpeechError } from "../errors.ts";
import { readPickle } from "./pickle.ts";
import type { PickleRules, PickleValue } from "./pickle-machine.ts";
import { indexStateDict, MAX_PICKLE_BYTES, type StorageRange, type TorchFile } from "./state-dict.ts";
import { isStorage, STORAGE_ELEMENT_BYTES, TORCH_RULES } from "./torch-objects.ts";

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;
const FIRST_WINDOW_BYTES = 1 << 16;

/**
 * Indexes a file of `torch.save` from before 1.6, or one saved with `_use_new_zipfile_serialization=False`: pickles of a
 * magic number, a version, the system, the object and the storage keys, then each storage as an int64 count and raw
 * data (`torch/serialization.py`, `_legacy_load`).
 * @throws SpeechError `FORMAT_INVALID`, `FORMAT_UNSUPPORTED`, `LIMIT_EXCEEDED`, `MODEL_INVALID`.
 */
export async function openLegacyTorch(source: ByteSource): Promise<TorchFile> {
  const elementBytes = new Map<string, number>();
  const rules = recordingRules(elementBytes);
  const magic = await pickleAt(source, 0, rules);
  if (magic.value !== MAGIC_NUMBER) throw invalid(source, "torch's magic number", "another pickle");
  const version = await pickleAt(source, magic.end, rules);
  if (version.value !== PROTOCOL_VERSION) throw invalid(source, `version ${PROTOCOL_VERSION}`, "another");
  const system = await pickleAt(source, version.end, rules);
  if (!(system.value instanceof Map) || system.value.get("little_endian") !== true) {
    throw new SpeechError(
      "FORMAT_UNSUPPORTED",
      `${source.name}: expected little-endian tensors, got big-endian ones. Re-save the checkpoint on a little-endian machine.`,
    );
  }
  const object = await pickleAt(source, system.end, rules);
  const keys = await pickleAt(source, object.end, rules);
  const storages = await locateStorages(source, keys.value, keys.end, elementBytes);
  return {
    tensors: indexStateDict(object.value, storages, source.name),
    identity: {
      pickle: await source.read(0, keys.end),
      storages: [...storages].map(([key, { start, sizeBytes }]) => ({
        key,
        start,
        end: start + sizeBytes,
        crc32: undefined,
      })),
    },
  };
}

/** The rules of all torch files; notes the element size of each storage, which the raw data does not tell. */
function recordingRules(elementBytes: Map<string, number>): PickleRules {
  return {
    globals: TORCH_RULES.globals,
    persistent(id, where) {
      const storage = TORCH_RULES.persistent(id, where);
      if (isStorage(storage)) {
        const size = storage.type === undefined ? 1 : STORAGE_ELEMENT_BYTES[storage.type];
        if ((elementBytes.get(storage.key) ?? size) !== size) {
          throw new SpeechError(
            "FORMAT_INVALID",
            `${where}: expected one type per storage, got two. The file is corrupt.`,
          );
        }
        elementBytes.set(storage.key, size);
      }
      return storage;
    },
  };
}

/** Reads a pickle of unknown length, by windows that grow until it fits. */
async function pickleAt(
  source: ByteSource,
  start: number,
  rules: PickleRules,
): Promise<{ value: PickleValue; end: number }> {
  for (let windowBytes = FIRST_WINDOW_BYTES; windowBytes <= MAX_PICKLE_BYTES; windowBytes *= 8) {
    const end = Math.min(start + windowBytes, source.sizeBytes);
    const read = readPickle(await source.read(start, end), 0, rules, source.name);
    if (read !== undefined) return { value: read.value, end: start + read.end };
    if (end === source.sizeBytes) throw invalid(source, `a whole pickle at byte ${start}`, "one that ends early");
  }
  throw new SpeechError(
    "LIMIT_EXCEEDED",
    `${source.name}: expected a pickle of at most ${MAX_PICKLE_BYTES} bytes at byte ${start}. This is no model's state dict.`,
  );
}

async function locateStorages(
  source: ByteSource,
  keys: PickleValue,
  start: number,
  elementBytes: ReadonlyMap<string, number>,
): Promise<Map<string, StorageRange>> {
  if (!Array.isArray(keys)) throw invalid(source, "a list of storage keys", "something else");
  const storages = new Map<string, StorageRange>();
  let position = start;
  for (const key of keys) {
    const size = typeof key === "string" ? elementBytes.get(key) : undefined;
    if (typeof key !== "string" || size === undefined || storages.has(key)) {
      throw invalid(source, "the keys of its storages, each once", "another");
    }
    const count = await source.read(position, position + 8);
    const numElements = Number(new DataView(count.buffer, count.byteOffset).getBigInt64(0, true));
    const end = position + 8 + numElements * size;
    if (!(numElements >= 0 && end <= source.sizeBytes)) {
      throw invalid(source, `${numElements} elements at byte ${position + 8}`, `a file of ${source.sizeBytes} bytes`);
    }
    storages.set(key, { start: position + 8, sizeBytes: end - position - 8 });
    position = end;
  }
  return storages;
}

function invalid(source: ByteSource, expected: string, got: string): SpeechError {
  return new SpeechError(
    "FORMAT_INVALID",
    `${source.name}: expected ${expected}, got ${got}. The file is truncated or corrupt; download it again.`,
  );
}
