import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { encodeSafetensors, openSafetensors, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { float32, int32, int64, type Tensor } from "../../src/tensor.ts";
import { concat, utf8 } from "./archive-writers.ts";

// safetensors.numpy.save of the tensors below, safetensors 0.6 (Python).
const WRITTEN_BY_PYTHON =
  "eAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJjbGlwIjoiw7wiLCJmb3JtYXQiOiJucCJ9LCJpIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbMCwxNl19LCJmIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxLDJdLCJkYXRhX29mZnNldHMiOlsxNiwyNF19LCJuIjp7ImR0eXBlIjoiSTMyIiwic2hhcGUiOlswLDNdLCJkYXRhX29mZnNldHMiOlsyNCwyNF19LCJzIjp7ImR0eXBlIjoiSTMyIiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlsyNCwyOF19LCJoIjp7ImR0eXBlIjoiRjE2Iiwic2hhcGUiOlsxXSwiZGF0YV9vZmZzZXRzIjpbMjgsMzBdfSwidSI6eyJkdHlwZSI6IlU4Iiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbMzAsMzNdfX0gAQAAAAAAAAD+/////////wAAwD8AAADABQAAAAA+BwgJ";
const TENSORS = new Map<string, Tensor>([
  ["i", int64([1, -2])],
  ["f", float32(Float32Array.of(1.5, -2), [1, 2])],
  ["n", int32([], [0, 3])],
  ["s", int32([5], [])],
  ["h", { type: "float16", dims: [1], data: Uint16Array.of(0x3e00) }],
  ["u", { type: "uint8", dims: [3], data: Uint8Array.of(7, 8, 9) }],
]);

const open = (bytes: Uint8Array) => openSafetensors(memorySource(bytes, "x.safetensors"));

/** A file from its header and data. */
function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = utf8(typeof header === "string" ? header : JSON.stringify(header));
  return concat(new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer), json, data);
}

describe("openSafetensors", () => {
  test("reads what the Python library writes", async () => {
    const read = await open(new Uint8Array(Buffer.from(WRITTEN_BY_PYTHON, "base64")));
    expect(read.metadata).toEqual(
      new Map([
        ["clip", "ü"],
        ["format", "np"],
      ]),
    );
    expect([...read.tensors.keys()].sort()).toEqual([...TENSORS.keys()].sort());
    for (const [name, tensor] of TENSORS) expect(await read.read(name)).toEqual(tensor);
    expect([...(await read.readFloat32("h"))]).toEqual([1.5]);
    expect([...(await read.readFloat32("i"))]).toEqual([1, -2]);
  });

  test("reads a tensor by its range alone, and types that tensors lack as float32", async () => {
    const header = {
      a: { dtype: "BF16", shape: [1], data_offsets: [0, 2] },
      b: { dtype: "I16", shape: [1], data_offsets: [2, 4] },
      c: { dtype: "F64", shape: [], data_offsets: [4, 12] },
    };
    const bytes = file(header, concat([0xc0, 0x3f, 0xfe, 0xff], new Uint8Array(Float64Array.of(0.5).buffer)));
    const ranges: number[] = [];
    const memory = memorySource(bytes);
    const read = await openSafetensors({
      ...memory,
      read(start, end) {
        ranges.push(end - start);
        return memory.read(start, end);
      },
    });
    ranges.length = 0;
    expect([
      ...(await read.readFloat32("a")),
      ...(await read.readFloat32("b")),
      ...(await read.readFloat32("c")),
    ]).toEqual([1.5, -2, 0.5]);
    expect(ranges).toEqual([2, 2, 8]);
    await expect(read.read("a")).rejects.toMatchObject({
      code: "FORMAT_UNSUPPORTED",
      message: "memory: tensor `a`: expected an element type that tensors have here, got bfloat16. Read it as float32.",
    });
    await expect(read.read("z")).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: "memory: expected a tensor `z`, got none of that name.",
    });
  });

  const one = (info: object) =>
    file({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...info } }, new Uint8Array(4));
  const end = "The file is truncated or corrupt; write it again.";
  const refused: [string, Uint8Array, string, string][] = [
    [
      "a few bytes",
      new Uint8Array(7),
      "FORMAT_INVALID",
      `x.safetensors: expected a header of 8 bytes, got a file of 7. ${end}`,
    ],
    [
      "a header beyond the end",
      file({}).slice(0, -1),
      "FORMAT_INVALID",
      `x.safetensors: expected a header of 2 bytes, got a file of 9. ${end}`,
    ],
    [
      "a header that is no JSON",
      file("{"),
      "FORMAT_INVALID",
      "x.safetensors: expected a header of JSON. The file is corrupt; write it again.",
    ],
    [
      "very deep JSON",
      file("[".repeat(1_000_000)),
      "FORMAT_INVALID",
      "x.safetensors: expected a header of JSON. The file is corrupt; write it again.",
    ],
    ["a list", file([]), "FORMAT_INVALID", `x.safetensors: expected a JSON object, got another value. ${end}`],
    [
      "metadata that is no text",
      file({ __metadata__: { a: 1 } }),
      "FORMAT_INVALID",
      `x.safetensors: expected text in \`__metadata__\`, got another value. ${end}`,
    ],
    [
      "a tensor that is null",
      file({ a: null }),
      "FORMAT_UNSUPPORTED",
      "x.safetensors: tensor `a`: expected an element type of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL, got `undefined`.",
    ],
    [
      "an unknown element type",
      one({ dtype: "F8_E4M3" }),
      "FORMAT_UNSUPPORTED",
      "x.safetensors: tensor `a`: expected an element type of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL, got `F8_E4M3`.",
    ],
    [
      "a negative axis",
      one({ shape: [-1] }),
      "FORMAT_INVALID",
      `x.safetensors: tensor \`a\`: expected a shape and two offsets, got something else. ${end}`,
    ],
    [
      "a size that is not the shape's",
      one({ shape: [2] }),
      "FORMAT_INVALID",
      `x.safetensors: tensor \`a\`: expected the bytes of shape [2], got 4. ${end}`,
    ],
    [
      "a gap",
      one({ data_offsets: [4, 8] }),
      "FORMAT_INVALID",
      `x.safetensors: tensor \`a\`: expected a start at byte 68, got 72. ${end}`,
    ],
    [
      "bytes behind the tensors",
      concat(one({}), [0]),
      "FORMAT_INVALID",
      `x.safetensors: expected an end at byte 72, got a file of 73. ${end}`,
    ],
  ];
  test.each(refused)("refuses %s", async (_, bytes, code, message) => {
    const fixed = message.replace(/byte \d+/, "byte N").replace(/got (a file of )?\d+/, "got $1N");
    const error = await open(bytes).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect((error as Error).message.replace(/byte \d+/, "byte N").replace(/got (a file of )?\d+/, "got $1N")).toBe(
      fixed,
    );
  });

  const golden = new URL("../../../../../shared/golden/vad-frame-tiny/reference.safetensors", import.meta.url);
  test.skipIf(!existsSync(golden))("reads a golden file", async () => {
    const read = await open(new Uint8Array(readFileSync(golden)));
    expect(read.tensors.size).toBeGreaterThan(4);
    for (const [name, { dims }] of read.tensors)
      expect((await read.readFloat32(name)).length).toBe(dims.reduce((a, b) => a * b, 1));
  });
});

describe("encodeSafetensors and writeSafetensors", () => {
  test("write what is read again, both the same bytes", async () => {
    const dims = fc.array(fc.nat(4), { maxLength: 3 });
    const tensor = fc
      .tuple(dims, fc.constantFrom("float32", "int32", "int64", "uint8"))
      .map(([shape, type]): Tensor => {
        const length = shape.reduce((a, b) => a * b, 1);
        const values = Array.from({ length }, (_, i) => i);
        if (type === "float32")
          return float32(
            Float32Array.from(values, (v) => v / 3),
            shape,
          );
        if (type === "int64") return int64(values, shape);
        return type === "int32" ? int32(values, shape) : { type: "uint8", dims: shape, data: Uint8Array.from(values) };
      });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(fc.string(), tensor), { selector: ([name]) => name, maxLength: 5 }),
        async (entries) => {
          const tensors = new Map(entries);
          tensors.delete("__metadata__");
          const bytes = encodeSafetensors(tensors, new Map([["k", "v"]]));
          const parts: Uint8Array[] = [];
          await writeSafetensors(
            tensors,
            { write: async (part) => void parts.push(part.slice()) },
            new Map([["k", "v"]]),
          );
          expect(concat(...parts)).toEqual(bytes);
          const read = await open(bytes);
          expect(read.metadata).toEqual(new Map([["k", "v"]]));
          for (const [name, tensor] of tensors) expect(await read.read(name)).toEqual(tensor);
        },
      ),
      { seed: 1, numRuns: 50 },
    );
  });

  test("write a view of larger memory, and align every tensor to its element", async () => {
    const memory = Float32Array.of(1, 2, 3, 4);
    const bytes = encodeSafetensors(
      new Map<string, Tensor>([
        ["u", TENSORS.get("u")!],
        ["f", float32(memory.subarray(1, 3), [2])],
      ]),
    );
    const read = await open(bytes);
    expect((await read.read("f")).data).toEqual(Float32Array.of(2, 3));
    expect(read.tensors.get("f")!.start % 4).toBe(0);
  });

  test("refuse a shape that is not the data's", () => {
    expect(() =>
      encodeSafetensors(new Map([["a", { type: "float32", dims: [2], data: new Float32Array(3) }]])),
    ).toThrow(new RangeError("tensors: expected a name and 3 elements, got `a` of shape [2]."));
  });
});
