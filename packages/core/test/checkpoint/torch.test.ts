import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { readTensor } from "../../src/checkpoint/tensor-data.ts";
import { openTorch } from "../../src/checkpoint/torch.ts";
import { concat, utf8, type ZipMember, zipArchive } from "./archive-writers.ts";
import { call, dict, global, int, list, pickle, raw, storage, tensor, text, tuple } from "./pickle-writer.ts";
import { failure } from "./torch-failure.ts";

interface ExpectedTensor {
  readonly dtype: string;
  readonly dims: number[];
  readonly strides: number[];
  readonly contiguous: boolean;
  readonly values: (number | string)[];
}

const fixture = (name: string) => new Uint8Array(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)));
const expected = JSON.parse(new TextDecoder().decode(fixture("expected.json"))) as Record<
  "dtypes" | "views",
  Record<string, ExpectedTensor>
>;

/** A file of `torch.save` with one float32 storage of six elements. */
function torchFile(object: Uint8Array, more: readonly ZipMember[] = []): Uint8Array {
  const data = new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer);
  return zipArchive([
    { name: "m/data.pkl", data: pickle(object) },
    { name: "m/data/0", data, localExtra: 13 },
    ...more,
  ]);
}

const open = (bytes: Uint8Array) => openTorch(memorySource(bytes, "w.ckpt"));
const six = storage("0", 6);

describe("openTorch", () => {
  test.each([
    ["dtypes.pt", "dtypes"],
    ["without-crc.pt", "dtypes"],
    ["views.pt", "views"],
    ["legacy.pt", "views"],
    ["protocol1.pt", "views"],
    ["nested-protocol4.pt", "views"],
  ] as const)("reads %s as torch does", async (file, facts) => {
    const source = memorySource(fixture(file), file);
    const { tensors } = await openTorch(source);
    expect([...tensors.keys()]).toEqual(Object.keys(expected[facts]));
    for (const [name, { dtype, dims, strides, contiguous, values }] of Object.entries(expected[facts])) {
      const tensor = tensors.get(name)!;
      expect(tensor).toMatchObject({ name, type: dtype, dims, strides, isContiguous: contiguous });
      const numbers = values.map((value) => (value === "inf" ? Number.POSITIVE_INFINITY : Number(value)));
      expect([...(await readTensor(source, tensor))]).toEqual(numbers.map(Math.fround));
    }
  });

  test("reads one tensor with one read of no more than its range", async () => {
    const bytes = fixture("views.pt");
    const { tensors } = await open(bytes);
    const ranges: [number, number][] = [];
    const source = {
      name: "",
      sizeBytes: bytes.length,
      read: async (a: number, b: number) => {
        ranges.push([a, b]);
        return bytes.slice(a, b);
      },
    };
    const { offsetBytes } = tensors.get("offset")!;
    expect(await readTensor(source, tensors.get("offset")!)).toHaveLength(12);
    expect(await readTensor(source, tensors.get("slice")!)).toHaveLength(8);
    // `slice` goes from element 5 to element 22 of a storage whose twelfth element is `offset`'s first.
    expect(ranges).toEqual([
      [offsetBytes, offsetBytes + 48],
      [offsetBytes - 28, offsetBytes + 44],
    ]);
  });

  test("tells each storage's checksum, and none where the file has none", async () => {
    const { identity } = await open(fixture("dtypes.pt"));
    expect(identity.storages).toHaveLength(12);
    expect(identity.storages[0]).toMatchObject({ key: "data/0", crc32: 0x1640e031 });
    expect((await open(fixture("without-crc.pt"))).identity.storages.map(({ crc32 }) => crc32)).toEqual(
      new Array(12).fill(undefined),
    );
    expect((await open(fixture("legacy.pt"))).identity.storages[0].crc32).toBeUndefined();
  });

  test("takes a state dict with other values, untyped storages, and OrderedDicts of pairs", async () => {
    const untyped = call(
      global("torch._utils", "_rebuild_tensor_v3"),
      storage("0", 24, "torch.storage UntypedStorage"),
      int(1),
      tuple(int(2)),
      tuple(int(1)),
      raw(0x89),
      call(global("collections", "OrderedDict")),
      global("torch", "int32"),
    );
    const old = call(global("torch._utils", "_rebuild_tensor"), six, int(5), tuple(), tuple());
    const pairs = call(
      global("collections", "OrderedDict"),
      list(tuple(text("old"), old), tuple(text("n"), int(1)), tuple(text("untyped"), untyped)),
    );
    const { tensors } = await open(torchFile(pairs));
    expect([...tensors.values()]).toMatchObject([
      { name: "old", type: "float32", dims: [] },
      { name: "untyped", type: "int32", dims: [2] },
    ]);
    expect(tensors.get("old")!.offsetBytes - tensors.get("untyped")!.offsetBytes).toBe(16);
  });

  test("finds the root folder, whatever its name", async () => {
    const data = new Uint8Array(24);
    const object = pickle(dict([text("a"), tensor(six, 0, [6], [1])]));
    for (const root of ["", "archive/", "model weights.v2/"]) {
      const { tensors } = await open(
        zipArchive([
          { name: `${root}data/0`, data },
          { name: `${root}data.pkl`, data: object },
        ]),
      );
      expect(tensors.size).toBe(1);
    }
  });

  const named = (value: Uint8Array, more: readonly ZipMember[] = []) => torchFile(dict([text("a.b"), value]), more);
  const good = tensor(six, 0, [6], [1]);
  const end = "The checkpoint is corrupt.";
  const refused: [string, Uint8Array, string, string][] = [
    [
      "another kind of file",
      utf8("<html>"),
      "FORMAT_INVALID",
      "w.ckpt: expected a file of torch.save (a zip, or a pickle that begins with 80), got one that begins with 3c 68 74 6d. The file is corrupt or of another kind.",
    ],
    [
      "an empty file",
      new Uint8Array(0),
      "FORMAT_INVALID",
      "w.ckpt: expected a file of torch.save (a zip, or a pickle that begins with 80), got one that begins with nothing. The file is corrupt or of another kind.",
    ],
    [
      "a zip of something else",
      zipArchive([{ name: "a/b/data.pkl", data: utf8("") }]),
      "FORMAT_UNSUPPORTED",
      "w.ckpt: expected a zip with an entry `data.pkl`, got none. This is no file of torch.save.",
    ],
    [
      "TorchScript",
      named(good, [{ name: "m/code/x.py", data: utf8("") }]),
      "FORMAT_UNSUPPORTED",
      "w.ckpt: expected a state dict, got a TorchScript program. Save the model's state_dict() instead.",
    ],
    [
      "big-endian tensors",
      named(good, [{ name: "m/byteorder", data: utf8("big") }]),
      "FORMAT_UNSUPPORTED",
      "w.ckpt: expected little-endian tensors, got byte order `big`. Re-save the checkpoint on a little-endian machine.",
    ],
    [
      "an unfinished pickle",
      zipArchive([{ name: "m/data.pkl", data: pickle(list()).slice(0, -1) }]),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: expected a whole pickle, got one that ends early. The file is corrupt.",
    ],
    [
      "a pickle with another checksum",
      zipArchive([{ name: "m/data.pkl", data: pickle(list()), crc: 5 }]),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: expected the checksum of the zip's directory, got another. The file is corrupt; download it again.",
    ],
    [
      "no tensors",
      torchFile(dict([text("a"), int(1)])),
      "MODEL_INVALID",
      "w.ckpt: expected a state dict of named tensors, got a dictionary of 1 without any. Save the model's state_dict().",
    ],
    [
      "a list",
      torchFile(list(good)),
      "MODEL_INVALID",
      "w.ckpt: expected a state dict of named tensors, got a list of 1 without any. Save the model's state_dict().",
    ],
    [
      "an absent storage",
      named(tensor(storage("7", 1), 0, [1], [1])),
      "MODEL_INVALID",
      `w.ckpt: tensor \`a.b\`: expected a storage \`7\` of 4 bytes, got none. ${end}`,
    ],
    [
      "a storage of another size",
      named(tensor(storage("0", 7), 0, [1], [1])),
      "MODEL_INVALID",
      `w.ckpt: tensor \`a.b\`: expected a storage \`0\` of 28 bytes, got 24. ${end}`,
    ],
    [
      "a storage of another type",
      named(tensor(storage("0", 6, "torch LongStorage"), 0, [1], [1])),
      "MODEL_INVALID",
      `w.ckpt: tensor \`a.b\`: expected a storage \`0\` of 48 bytes, got 24. ${end}`,
    ],
    [
      "a tensor beyond its storage",
      named(tensor(six, 1, [2, 3], [3, 1])),
      "MODEL_INVALID",
      `w.ckpt: tensor \`a.b\`: expected to lie in its storage of 6 elements, got element 6. ${end}`,
    ],
    [
      "a tensor far larger than its storage",
      named(tensor(six, 0, [2 ** 30], [0])),
      "LIMIT_EXCEEDED",
      `w.ckpt: tensor \`a.b\`: expected at most its storage's 6 elements, got a shape [1073741824]. ${end}`,
    ],
    [
      "a tensor with a huge stride",
      named(tensor(six, 0, [2], [2 ** 40])),
      "LIMIT_EXCEEDED",
      "w.ckpt: tensor `a.b`: expected at most 536870912 elements, got 1099511627777. No speech model has such a tensor.",
    ],
    [
      "a shape without its strides",
      named(tensor(six, 0, [2], [])),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a tensor's offset, size and stride, got 0, a list of 1, a list of 0. The file is corrupt.",
    ],
    [
      "a negative offset",
      named(tensor(six, -1, [2], [1])),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a tensor's offset, size and stride, got -1, a list of 1, a list of 1. The file is corrupt.",
    ],
    [
      "a tensor without a storage",
      named(tensor(int(1), 0, [2], [1])),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a storage, got 1. The file is corrupt.",
    ],
    [
      "a storage id of another kind",
      named(concat(tuple(text("module"), int(1)), raw("Q"))),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected the id of a torch storage, got a list of 2. The file is corrupt.",
    ],
    [
      "a storage class that is none",
      named(storage("0", 6, "torch Tensor")),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a storage class, got the class `torch.Tensor`. The file is corrupt.",
    ],
    [
      "a typed tensor of an untyped storage",
      named(tensor(storage("0", 24, "torch.storage UntypedStorage"), 0, [2], [1])),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a typed storage, got an untyped one. The file is corrupt.",
    ],
    [
      "another element type",
      named(
        call(
          global("torch._utils", "_rebuild_tensor_v3"),
          six,
          int(0),
          tuple(),
          tuple(),
          raw("N"),
          raw("N"),
          text("x"),
        ),
      ),
      "FORMAT_UNSUPPORTED",
      "w.ckpt › data.pkl: pickle byte N: expected a tensor of a known type, got `x`.",
    ],
    [
      "a parameter without a tensor",
      named(call(global("torch._utils", "_rebuild_parameter"), raw("N"))),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a parameter's tensor, got None. The file is corrupt.",
    ],
    [
      "a function that rebuilds by itself",
      named(
        call(
          global("torch._tensor", "_rebuild_from_type_v2"),
          global("torch._tensor", "_rebuild_from_type_v2"),
          raw("N"),
          list(),
        ),
      ),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected a function that rebuilds a tensor, got the class `torch._tensor._rebuild_from_type_v2`. The file is corrupt.",
    ],
    [
      "pairs that are none",
      torchFile(call(global("collections", "OrderedDict"), list(int(1)))),
      "FORMAT_INVALID",
      "w.ckpt › data.pkl: pickle byte N: expected pairs of names and values, got 1. The file is corrupt.",
    ],
    [
      "bytes of another encoding",
      torchFile(call(global("_codecs", "encode"), text("x"), text("rot13"))),
      "FORMAT_UNSUPPORTED",
      "w.ckpt › data.pkl: pickle byte N: expected latin1 bytes, got `rot13`.",
    ],
  ];
  test.each(refused)("refuses %s", async (_, bytes, code, message) => {
    await expect(failure(open(bytes))).resolves.toEqual({ code, message });
  });

  test("allows a tensor without elements to lack its storage, and an expanded one to be larger than it", async () => {
    const object = dict(
      [text("none"), tensor(storage("9", 0), 0, [0, 3], [3, 1])],
      [text("wide"), tensor(six, 2, [1000], [0])],
    );
    const source = memorySource(torchFile(object), "w.ckpt");
    const { tensors } = await openTorch(source);
    expect(await readTensor(source, tensors.get("none")!)).toEqual(new Float32Array(0));
    expect(await readTensor(source, tensors.get("wide")!)).toEqual(new Float32Array(1000).fill(2));
  });
});
