import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { openLegacyTorch } from "../../src/checkpoint/legacy-torch.ts";
import { readTensor } from "../../src/checkpoint/tensor-data.ts";
import { concat } from "./archive-writers.ts";
import { dict, global, int, list, pickle, raw, tensor, text, tuple } from "./pickle-writer.ts";
import { failure } from "./torch-failure.ts";

const open = (bytes: Uint8Array) => openLegacyTorch(memorySource(bytes, "w.ckpt"));

describe("openLegacyTorch", () => {
  const system = (isLittle: number) => pickle(dict([text("little_endian"), raw(isLittle)]));
  const magic = pickle(raw(0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19));
  const version = pickle(int(1001));
  const count = (n: number) => new Uint8Array(new BigInt64Array([BigInt(n)]).buffer);
  const view = (metadata: Uint8Array) =>
    concat(tuple(text("storage"), global("torch", "FloatStorage"), text("k"), text("cpu"), int(4), metadata), raw("Q"));
  const object = (of: Uint8Array) => pickle(dict([text("a"), tensor(of, 1, [2], [1])]));
  const values = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const file = (of: Uint8Array, keys: Uint8Array, ...data: Uint8Array[]) =>
    concat(magic, version, system(0x88), object(of), pickle(keys), ...data);

  test("reads views of a storage", async () => {
    const source = memorySource(file(view(tuple(text("v"), int(1), int(3))), list(text("k")), count(4), values));
    const { tensors } = await openLegacyTorch(source);
    expect([...(await readTensor(source, tensors.get("a")!))]).toEqual([3, 4]);
  });

  test("reads a pickle longer than the first window", async () => {
    const names = Array.from(
      { length: 1500 },
      (_, i) => [text(`layer.${i}.weight`), tensor(view(raw("N")), i % 3, [2], [1])] as const,
    );
    const source = memorySource(
      concat(magic, version, system(0x88), pickle(dict(...names)), pickle(list(text("k"))), count(4), values),
    );
    const { tensors } = await openLegacyTorch(source);
    expect(tensors.size).toBe(1500);
    expect([...(await readTensor(source, tensors.get("layer.1499.weight")!))]).toEqual([3, 4]);
  });

  const whole = view(raw("N"));
  const refused: [string, Uint8Array, string, string][] = [
    [
      "another pickle",
      pickle(list()),
      "FORMAT_INVALID",
      "expected torch's magic number, got another pickle. The file is truncated or corrupt; download it again.",
    ],
    [
      "another version",
      concat(magic, pickle(int(7))),
      "FORMAT_INVALID",
      "expected version 1001, got another. The file is truncated or corrupt; download it again.",
    ],
    [
      "big-endian tensors",
      concat(magic, version, system(0x89)),
      "FORMAT_UNSUPPORTED",
      "expected little-endian tensors, got big-endian ones. Re-save the checkpoint on a little-endian machine.",
    ],
    [
      "a file that ends in a pickle",
      concat(magic, version.slice(0, 3)),
      "FORMAT_INVALID",
      "expected a whole pickle at byte 15, got one that ends early. The file is truncated or corrupt; download it again.",
    ],
    [
      "keys that are no list",
      file(whole, int(1)),
      "FORMAT_INVALID",
      "expected a list of storage keys, got something else. The file is truncated or corrupt; download it again.",
    ],
    [
      "an unknown key",
      file(whole, list(text("x")), count(4), values),
      "FORMAT_INVALID",
      "expected the keys of its storages, each once, got another. The file is truncated or corrupt; download it again.",
    ],
    [
      "a view beyond its storage",
      file(view(tuple(text("v"), int(2), int(3))), list()),
      "FORMAT_INVALID",
      "pickle byte N: expected a view inside its storage of 4. The file is corrupt.",
    ],
    [
      "a storage beyond the end",
      file(whole, list(text("k")), count(5), values),
      "FORMAT_INVALID",
      "expected 5 elements at byte 219, got a file of 235 bytes. The file is truncated or corrupt; download it again.",
    ],
    [
      "a negative count",
      file(whole, list(text("k")), count(-1), values),
      "FORMAT_INVALID",
      "expected -1 elements at byte 219, got a file of 235 bytes. The file is truncated or corrupt; download it again.",
    ],
    [
      "a count that is not the declared one",
      file(whole, list(text("k")), count(3), values),
      "MODEL_INVALID",
      "tensor `a`: expected a storage `k` of 16 bytes, got 12. The checkpoint is corrupt.",
    ],
  ];
  test.each(refused)("refuses %s", async (_, bytes, code, message) => {
    await expect(failure(open(bytes))).resolves.toEqual({ code, message: `w.ckpt: ${message}` });
  });
});
