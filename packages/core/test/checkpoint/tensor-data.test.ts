import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { readTensor, toFloat32 } from "../../src/checkpoint/tensor-data.ts";

const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** IEEE 754 binary16, by its definition. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

describe("toFloat32", () => {
  test("converts all 65,536 float16 values exactly", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const values = toFloat32(bytesOf(all), "float16");
    let numWrong = 0;
    for (let bits = 0; bits < 65536; bits++) if (!Object.is(values[bits], half(bits))) numWrong++;
    expect(numWrong).toBe(0);
  });

  test("converts bfloat16 by its definition: the upper half of a float32", () => {
    const bits = Uint16Array.of(0x3fc0, 0x8000, 0x7f80, 0xff80, 0x0001, 0x7fc0);
    expect([...toFloat32(bytesOf(bits), "bfloat16")]).toEqual([
      1.5,
      -0,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      2 ** -133,
      Number.NaN,
    ]);
  });

  test("converts integers, booleans and float64 as torch's float() does", () => {
    expect([...toFloat32(bytesOf(BigInt64Array.of(-1n, 2n ** 40n, 16777217n)), "int64")]).toEqual([
      -1,
      2 ** 40,
      16777216,
    ]);
    expect([...toFloat32(bytesOf(Int32Array.of(-5, 16777217)), "int32")]).toEqual([-5, 16777216]);
    expect([...toFloat32(bytesOf(Int16Array.of(-5, 300)), "int16")]).toEqual([-5, 300]);
    expect([...toFloat32(Uint8Array.of(251, 6), "int8")]).toEqual([-5, 6]);
    expect([...toFloat32(Uint8Array.of(251, 6), "uint8")]).toEqual([251, 6]);
    expect([...toFloat32(Uint8Array.of(0, 1, 2), "bool")]).toEqual([0, 1, 1]);
    expect([...toFloat32(bytesOf(Float64Array.of(0.1, 1e300, -1e-300)), "float64")]).toEqual([
      Math.fround(0.1),
      Number.POSITIVE_INFINITY,
      -0,
    ]);
  });

  test("shares float32 memory where it is aligned and copies it where not", () => {
    const memory = new Uint8Array(12);
    memory.set(bytesOf(Float32Array.of(1.5)), 4);
    expect(toFloat32(memory.subarray(4, 8), "float32").buffer).toBe(memory.buffer);
    memory.set(bytesOf(Float32Array.of(2.5)), 5);
    expect([...toFloat32(memory.subarray(5, 9), "float32")]).toEqual([2.5]);
  });
});

describe("readTensor", () => {
  test("makes any strided tensor row-major", async () => {
    const axes = fc.array(fc.record({ dim: fc.integer({ min: 1, max: 4 }), stride: fc.nat(7) }), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(axes, fc.nat(3), async (shape, offset) => {
        const dims = shape.map(({ dim }) => dim);
        const strides = shape.map(({ stride }) => stride);
        const storage = Float32Array.from({ length: 200 }, (_, i) => i);
        const info = {
          name: "t",
          type: "float32",
          dims,
          strides,
          offsetBytes: offset * 4,
          isContiguous: false,
        } as const;
        // Every index in row-major order, the obvious way.
        let expected = [offset];
        dims.forEach((dim, axis) => {
          expected = expected.flatMap((at) => Array.from({ length: dim }, (_, i) => at + i * strides[axis]));
        });
        expect([...(await readTensor(memorySource(bytesOf(storage)), info))]).toEqual(expected);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
