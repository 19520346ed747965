import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fieldBool,
  fieldBytes,
  fieldFloat,
  fieldInt,
  fieldInts,
  fieldMessage,
  fieldString,
  type ProtoField,
  protoFields,
  protoMessage,
} from "../../src/protobuf/reader.ts";
import {
  protoWriter,
  varintSize,
  writeBytes,
  writeFloat,
  writeInt,
  writeLength,
  writeMessage,
  writePackedFloats,
  writePackedInts,
  writeRaw,
  writeString,
  writeVarint,
  writtenBytes,
} from "../../src/protobuf/writer.ts";

const fieldsOf = (bytes: Uint8Array | number[]): ProtoField[] => [
  ...protoFields(protoMessage(Uint8Array.from(bytes), "x.bin")),
];

function written(write: (writer: ReturnType<typeof protoWriter>) => void): Uint8Array {
  const writer = protoWriter(1);
  write(writer);
  return writtenBytes(writer);
}

const bytesOf = (bytes: Uint8Array): number[] => Array.from(bytes);

describe("writer", () => {
  test("writes the examples of the encoding's specification", () => {
    expect(bytesOf(written((w) => writeInt(w, 1, 150)))).toEqual([0x08, 0x96, 0x01]);
    expect(bytesOf(written((w) => writeString(w, 2, "testing")))).toEqual([
      0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67,
    ]);
    expect(bytesOf(written((w) => writeMessage(w, 3, () => writeInt(w, 1, 150))))).toEqual([
      0x1a, 0x03, 0x08, 0x96, 0x01,
    ]);
    expect(bytesOf(written((w) => writePackedInts(w, 6, [3, 270, 86942])))).toEqual([
      0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05,
    ]);
    expect(bytesOf(written((w) => writeInt(w, 1, -2)))).toEqual([
      0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
    ]);
  });

  test("writes floats in little-endian order and leaves out empty packed fields", () => {
    expect(bytesOf(written((w) => writeFloat(w, 1, 1)))).toEqual([0x0d, 0, 0, 0x80, 0x3f]);
    expect(bytesOf(written((w) => writePackedFloats(w, 1, [1])))).toEqual([0x0a, 4, 0, 0, 0x80, 0x3f]);
    expect(bytesOf(written((w) => writePackedFloats(w, 1, [])))).toEqual([]);
    expect(bytesOf(written((w) => writePackedInts(w, 1, [])))).toEqual([]);
  });

  test("lets the caller write a field's content elsewhere", () => {
    const whole = written((w) => writeBytes(w, 5, Uint8Array.of(1, 2, 3)));
    const parts = written((w) => {
      writeLength(w, 5, 3);
      writeRaw(w, Uint8Array.of(1, 2, 3));
    });
    expect(parts).toEqual(whole);
  });

  test("says how many bytes a varint takes", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (n) => {
        expect(written((w) => writeVarint(w, n)).length).toBe(varintSize(n));
      }),
      { seed: 1 },
    );
  });

  test("refuses a number that is no integer", () => {
    expect(() => written((w) => writeInt(w, 1, 0.5))).toThrow("value must be a safe integer, got 0.5.");
  });

  test("keeps nested messages whole wherever the buffer has to grow", () => {
    for (let capacity = 1; capacity < 40; capacity++) {
      const writer = protoWriter(capacity);
      for (let i = 0; i < 5; i++) {
        writeMessage(writer, 1, () => {
          writeMessage(writer, 2, () => {});
          writeMessage(writer, 3, () => writeBytes(writer, 4, new Uint8Array(130 + i).fill(7)));
        });
      }
      const outer = fieldsOf(writtenBytes(writer));
      expect(outer.length).toBe(5);
      for (const [i, field] of outer.entries()) {
        const inner = [...protoFields(fieldMessage(field))];
        expect(inner.map((f) => f.number)).toEqual([2, 3]);
        const [leaf] = protoFields(fieldMessage(inner[1]));
        expect(bytesOf(fieldBytes(leaf))).toEqual(new Array(130 + i).fill(7));
      }
    }
  });
});

describe("reader", () => {
  const int64 = fc.maxSafeInteger();

  test("reads back whatever the writer wrote", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 29 - 1 }),
        int64,
        fc.string({ unit: "binary" }),
        fc.uint8Array(),
        fc.array(int64),
        fc.float({ noNaN: true }),
        (number, int, text, bytes, ints, float) => {
          const fields = fieldsOf(
            written((w) => {
              writeInt(w, number, int);
              writeString(w, number, text);
              writeBytes(w, number, bytes);
              writeFloat(w, number, float);
              writeInt(w, number, 1);
              writeMessage(w, number, () => writePackedInts(w, 1, ints));
            }),
          );
          expect(fields.every((f) => f.number === number)).toBe(true);
          expect(fieldInt(fields[0])).toBe(int);
          expect(fieldInts(fields[0])).toEqual([int]);
          expect(fieldString(fields[1])).toBe(text);
          expect(fieldBytes(fields[2])).toEqual(bytes);
          expect(fieldFloat(fields[3])).toBe(float);
          expect(fieldBool(fields[4])).toBe(true);
          const nested = [...protoFields(fieldMessage(fields[5]))];
          expect(nested.flatMap((f) => fieldInts(f))).toEqual(ints);
        },
      ),
      { seed: 2 },
    );
  });

  test("keeps a byte order mark in texts", () => {
    expect(fieldString(fieldsOf(written((w) => writeString(w, 1, "\ufeffa")))[0])).toBe("\ufeffa");
  });

  test.each([
    [
      "a length beyond the end",
      [0x0a, 5, 1],
      "x.bin: expected field 1 to end by byte 3, got an end at byte 7, at byte 0.",
    ],
    [
      "a length of 2^63",
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
      "expected field 1 to end by byte 10",
    ],
    [
      "a varint cut off",
      [0x08, 0x80],
      "x.bin: expected a varint to end by byte 2, got the end of the message, at byte 1.",
    ],
    [
      "a varint of eleven bytes",
      [0x08, ...new Array(11).fill(0x80)],
      "expected a varint of at most 10 bytes, got a longer one",
    ],
    ["field number 0", [0x00, 0x00], "expected a field tag, got field 0 of wire type 0"],
    ["a group", [0x0b, 0x0c], "expected a field tag, got field 1 of wire type 3"],
    ["a cut float", [0x0d, 0, 0], "expected field 1 to end by byte 3, got an end at byte 5"],
  ])("refuses %s", (_, bytes, text) => {
    expect(() => fieldsOf(bytes)).toThrow(expect.objectContaining({ code: "FORMAT_INVALID" }));
    expect(() => fieldsOf(bytes)).toThrow(text);
  });

  test("refuses values of another kind than asked for", () => {
    const [varint] = fieldsOf([0x08, 1]);
    expect(() => fieldBytes(varint)).toThrow("x.bin: expected field 1 to be bytes, got varint, at byte 1.");
    expect(() => fieldMessage(varint)).toThrow("field 1 to be bytes");
    expect(() => fieldFloat(varint)).toThrow("field 1 to be fixed32");
    const [text] = fieldsOf([0x0a, 1, 0xff]);
    expect(() => fieldString(text)).toThrow("x.bin: expected UTF-8 text in field 1, got other bytes, at byte 2.");
    expect(() => fieldInt(text)).toThrow("field 1 to be varint");
    expect(() => fieldInts(text)).toThrow("expected a varint to end by byte 3");
    const [huge] = fieldsOf([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    expect(() => fieldInt(huge)).toThrow("expected an integer below 2^53 in field 1, got 9223372036854775807");
  });

  test("ends on any bytes in a clear error or in fields that lie inside them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          for (const field of protoFields(protoMessage(bytes, "x.bin"))) {
            expect(field.start).toBeLessThanOrEqual(field.end);
            expect(field.end).toBeLessThanOrEqual(bytes.length);
            if (field.kind === "bytes") fieldInts(field);
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "FORMAT_INVALID" });
        }
      }),
      { seed: 3, numRuns: 2000 },
    );
  });
});
