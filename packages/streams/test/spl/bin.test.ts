import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type BinLimits,
  CALL_METADATA,
  CHANNEL_ROLES,
  CHANNEL_TRANSCRIPTION,
  createBinDecoder,
  encodeItem,
  encodeTuple,
  FINAL_MARK,
  type Item,
  type SplTuple,
  STT_DOWN,
  STT_UP,
  tupleItem,
  WINDOW_MARK,
} from "../../src/index.ts";
import { cut, typedItems } from "./arbitraries.ts";
import { referenceHex, referenceItemHex } from "./reference-encoder.ts";

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const NUM_RUNS = Number(process.env.FUZZ_ITERATIONS ?? 300);

const up = tupleItem({ sessionId: "c1", seq: 5n, audioTimestamp: 100n, audioChunk: bytesOf("e803 18fc") });
const UP_HEX = "00 02 63 31 0000000000000005 0000000000000064 0000000000000004 e8 03 18 fc 01 02";
const down = { sessionId: "c1", seq: 0n, text: "hi", isFinal: true, confidence: 0.5 };

const hasNaN = (value: unknown): boolean =>
  Number.isNaN(value) || (value instanceof Object && Object.values(value).some(hasNaN));

function decodeAll(type: SplTuple, bytes: Uint8Array, limits?: Partial<BinLimits>): Item<unknown>[] {
  const decoder = createBinDecoder(type, { limits });
  const items = decoder.feed(bytes);
  decoder.finish();
  return items;
}

describe("format: bin", () => {
  it("writes and reads the examples of streams.md 4.3", () => {
    const items = [up, WINDOW_MARK, FINAL_MARK];
    expect(items.map((item) => hexOf(encodeItem(STT_UP, item))).join("")).toBe(UP_HEX.replaceAll(" ", ""));
    expect(decodeAll(STT_UP, bytesOf(UP_HEX))).toEqual(items);
    expect(hexOf(encodeItem(STT_DOWN, tupleItem(down)))).toBe(
      "0002633100000000000000000268690 13fe0000000000000".replaceAll(" ", ""),
    );
  });

  it("writes and reads timestamps and enumerations", () => {
    const type = { tuple: { role: { enum: CHANNEL_ROLES }, at: "timestamp" } } as const satisfies SplTuple;
    const tuple = { role: "customer", at: { seconds: -2n, nanoseconds: 999_999_999, machineId: -1 } } as const;
    const hex = "00000004 fffffffffffffffe 3b9ac9ff ffffffff".replaceAll(" ", "");
    expect(hexOf(encodeTuple(type, tuple))).toBe(hex);
    expect(decodeAll(type, bytesOf(`00${hex}`))).toEqual([tupleItem(tuple)]);
    const startsAt = { seconds: 1_700_000_000n, nanoseconds: 250_000_000, machineId: 0 };
    const call = {
      callId: "c",
      callerNumber: "",
      calledNumber: "",
      callStartTime: startsAt,
      callEndTime: { ...startsAt, nanoseconds: 0 },
      callDirection: "in",
      sipHeaders: new Map([["a", "b"]]),
    };
    const callHex =
      "0163 00 00 000000006553f100 0ee6b280 00000000 000000006553f100 00000000 00000000 02696e 0101610162";
    expect(hexOf(encodeTuple(CALL_METADATA, call))).toBe(callHex.replaceAll(" ", ""));
    expect(decodeAll(CALL_METADATA, bytesOf(`00${callHex}`))).toEqual([tupleItem(call)]);
  });

  it("refuses by name moments and names that are none", () => {
    const type = { tuple: { role: { enum: ["a", "b"] }, at: "timestamp" } } as const satisfies SplTuple;
    const value = { role: "b", at: { seconds: 0n, nanoseconds: 0, machineId: 0 } } as const;
    const refusal = (wrong: object) => () => encodeTuple(type, { ...value, ...wrong } as never);
    expect(refusal({ role: "c" })).toThrow(new RangeError("role: expected one of a, b, got c. Give one of them."));
    expect(refusal({ role: 1 })).toThrow(
      new TypeError("role: expected a value of enum{a, b}, got number. Give one, or declare another type."),
    );
    expect(refusal({ at: 5n })).toThrow(
      new TypeError("at: expected a value of timestamp, got bigint. Give one, or declare another type."),
    );
    expect(refusal({ at: null })).toThrow(
      new TypeError("at: expected a value of timestamp, got null. Give one, or declare another type."),
    );
    expect(refusal({ at: { ...value.at, nanoseconds: 1_000_000_000 } })).toThrow(
      new RangeError(
        "at.nanoseconds: expected less than a second's 1000000000, got 1000000000. Add whole seconds to the seconds.",
      ),
    );
    expect(refusal({ at: { ...value.at, nanoseconds: -1 } })).toThrow("at.nanoseconds: expected uint32 in [0,");
    expect(refusal({ at: { ...value.at, seconds: 0 } })).toThrow("at.seconds: expected a value of int64, got number.");
    expect(refusal({ at: { ...value.at, machineId: 2 ** 31 } })).toThrow("at.machineId: expected int32 in [");

    const failure = (hex: string) => {
      try {
        decodeAll(type, bytesOf(hex));
      } catch (error) {
        return `${(error as { code: string }).code} ${(error as Error).message}`;
      }
      return "none";
    };
    const moment = "0000000000000000 00000000 00000000";
    expect(failure(`00 00000001 ${moment}`)).toBe("none");
    expect(failure(`00 00000002 ${moment}`)).toMatch(
      /^FORMAT_INVALID stream, byte 5: expected a number below 2 for role, got 2\./,
    );
    expect(failure(`00 ffffffff ${moment}`)).toMatch(/^FORMAT_INVALID .* for role, got 4294967295\./);
    expect(failure("00 00000000 0000000000000000 3b9aca00 00000000")).toMatch(
      /^FORMAT_INVALID stream, byte 21: expected nanoseconds below 1000000000 in at, got 1000000000\./,
    );
    expect(failure("00 00000000 0000000000000000 ffffffff 00000000")).toMatch(/^FORMAT_INVALID .*got 4294967295/);
    expect(failure(`00 00000000 ${moment.slice(0, -2)}`)).toMatch(/^FORMAT_INVALID .*whole items, got an end 20 bytes/);
  });

  it("equals an independent encoder for any type and value", () => {
    fc.assert(
      fc.property(typedItems, ({ type, tuples }) => {
        for (const tuple of tuples) expect(hexOf(encodeTuple(type, tuple as never))).toBe(referenceHex(type, tuple));
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it("reads what the independent encoder wrote, however it is cut", () => {
    const marks = fc.array(fc.constantFrom(WINDOW_MARK, undefined), { maxLength: 4 });
    fc.assert(
      fc.property(typedItems, marks, fc.array(fc.nat(), { maxLength: 8 }), ({ type, tuples }, between, places) => {
        const items = tuples.flatMap((tuple, i) => [tupleItem(tuple), ...(between[i] ? [between[i]] : [])]);
        const all = [...items, FINAL_MARK] as Item<Record<string, unknown>>[];
        const bytes = bytesOf(all.map((item) => referenceItemHex(type, item)).join(""));
        const decoder = createBinDecoder(type);
        expect(cut(bytes, places).flatMap((piece) => decoder.feed(piece))).toEqual(all);
        decoder.finish();
        const single = createBinDecoder(type);
        expect([...bytes].flatMap((byte) => single.feed(Uint8Array.of(byte)))).toEqual(all);
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it("reads streams without punctuation", () => {
    const decoder = createBinDecoder(STT_DOWN, { hasPunctuation: false });
    const bytes = encodeTuple(STT_DOWN, down);
    expect([...decoder.feed(bytes), ...decoder.feed(bytes)]).toEqual([tupleItem(down), tupleItem(down)]);
  });

  it("refuses by name what does not fit a type", () => {
    expect(() => encodeTuple(STT_DOWN, { ...down, seq: -1n })).toThrow(
      "seq: expected uint64 in [0, 18446744073709551615], got -1.",
    );
    expect(() => encodeTuple(STT_DOWN, { ...down, text: undefined as never })).toThrow(
      "text: expected a value of rstring, got undefined.",
    );
    const info = { channelNumber: 1.5, channelRole: "", phoneNumber: "", speakerId: "", additionalMetadata: new Map() };
    const value = { text: "", confidence: 0, isFinal: true, channelInfo: info, startTime: 0n, endTime: 0n };
    expect(() => encodeTuple(CHANNEL_TRANSCRIPTION, value)).toThrow(
      "channelInfo.channelNumber: expected a value of int32",
    );
  });

  it("fails with where, what and a code on streams that are none", () => {
    const failure = (hex: string, limits?: Partial<BinLimits>) => {
      try {
        decodeAll(STT_UP, bytesOf(hex), limits);
      } catch (error) {
        return `${(error as { code: string }).code} ${(error as Error).message}`;
      }
      return "none";
    };
    expect(failure("03")).toMatch(/^FORMAT_INVALID stream, byte 1: expected a tag of 0, 1 or 2, got 3\./);
    expect(failure("00 81")).toMatch(/length of sessionId below 128, or 128 before four bytes, got 129/);
    // Every length has one form: shorter ones are one byte.
    expect(failure("00 80 0000007f")).toMatch(
      /^FORMAT_INVALID .*a length of sessionId in four bytes to be at least 128, got 127\./,
    );
    expect(failure(`00 80 00000080 ${"61".repeat(128)}`)).toMatch(/whole items, got an end 134 bytes into one/);
    expect(failure("00 80 ffffffff")).toMatch(
      /^LIMIT_EXCEEDED .*sessionId: expected a string of at most 65536 bytes, got 4294967295/,
    );
    expect(failure("00 01 ff")).toMatch(/^FORMAT_INVALID .*UTF-8 in sessionId/);
    expect(failure("00 00 0000000000000000 0000000000000000 ffffffffffffffff")).toMatch(
      /^LIMIT_EXCEEDED .*audioChunk: expected a blob of at most/,
    );
    expect(failure("02 00")).toMatch(/nothing behind the final mark/);
    expect(failure("00 02 63")).toMatch(/whole items, got an end 3 bytes into one/);
    expect(failure(UP_HEX, { maxTupleBytes: 10 })).toMatch(/a tuple of at most 10 bytes/);
  });

  it("stays failed, and takes memory for what came only", () => {
    const decoder = createBinDecoder(STT_UP);
    expect(() => decoder.feed(Uint8Array.of(9))).toThrow();
    expect(() => decoder.feed(encodeItem(STT_UP, up))).toThrow("a tag of 0, 1 or 2");
    const waiting = createBinDecoder(STT_UP);
    expect(waiting.feed(bytesOf("00 01 61 0000000000000000 0000000000000000 0000000000800000 01"))).toEqual([]);
    expect(waiting.numPendingBytes).toBe(28);
  });

  it("never fails but with a SpeechError on hostile bytes, and never reads what was not written", () => {
    const mutation = fc.record({ at: fc.nat(), byte: fc.nat(255) });
    fc.assert(
      fc.property(typedItems, fc.array(mutation, { minLength: 1, maxLength: 4 }), ({ type, tuples }, mutations) => {
        const bytes = bytesOf(tuples.map((tuple) => referenceItemHex(type, tupleItem(tuple))).join(""));
        for (const { at, byte } of mutations) bytes[at % bytes.length] = byte;
        const decoder = createBinDecoder(type);
        try {
          const items = decoder.feed(bytes);
          const again = items.map((item) => hexOf(encodeItem(type, item as Item<never>))).join("");
          // Sets and maps forget what is there twice, and numbers which of all NaNs they are; all else is exactly what came.
          if (!/"(set|map)"/.test(JSON.stringify(type)) && !hasNaN(items))
            expect(hexOf(bytes).startsWith(again)).toBe(true);
        } catch (error) {
          if ((error as Error).name === "AssertionError") throw error;
          expect(["FORMAT_INVALID", "LIMIT_EXCEEDED"]).toContain((error as { code?: string }).code);
        }
      }),
      { numRuns: NUM_RUNS },
    );
  });
});
