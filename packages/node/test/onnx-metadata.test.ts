import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memorySource } from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { openFileSource, readOnnxMetadata } from "../src/index.ts";
import { affineGraph } from "./graphs.ts";

/** A field of bytes: number, length, content. */
const field = (number: number, content: string) => `${String.fromCharCode(number * 8 + 2, content.length)}${content}`;
const entry = (key: string, value: string) => field(14, field(1, key) + field(2, value));
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

describe("readOnnxMetadata", () => {
  test("reads the entries of a model, in memory", async () => {
    const source = memorySource(await affineGraph());
    expect(await readOnnxMetadata(source)).toEqual({ model_type: "affine", vocab_size: "7" });
  });

  test("steps over a graph of gigabytes with small reads", async () => {
    const folder = await mkdtemp(join(tmpdir(), "nemo-stt-metadata-"));
    const file = await open(join(folder, "large.onnx"), "w");
    const graphBytes = 5 * 2 ** 30;
    const length = [];
    for (let rest = graphBytes; rest > 0; rest = Math.floor(rest / 128))
      length.push((rest % 128) | (rest >= 128 ? 0x80 : 0));
    await file.write(Uint8Array.of(8, 8, 7 * 8 + 2, ...length), 0, undefined, 0);
    await file.write(bytesOf(entry("model_type", "large")), 0, undefined, 3 + length.length + graphBytes);
    await file.close();
    const source = await openFileSource(join(folder, "large.onnx"));
    let numBytes = 0;
    const counting = {
      ...source,
      read: (start: number, end: number) => {
        numBytes += end - start;
        return source.read(start, end);
      },
    };
    expect(await readOnnxMetadata(counting)).toEqual({ model_type: "large" });
    expect(numBytes).toBeLessThan(100_000);
    await source.close();
    await rm(folder, { recursive: true });
  });

  test("finds entries before and after the graph, and gives a model without any none", async () => {
    const model = entry("a", "1") + field(7, "graph") + entry("b", "äöü");
    expect(await readOnnxMetadata(memorySource(bytesOf(model)))).toMatchObject({ a: "1" });
    expect(await readOnnxMetadata(memorySource(bytesOf(field(7, "graph"))))).toEqual({});
    expect(await readOnnxMetadata(memorySource(new Uint8Array(0)))).toEqual({});
  });

  test.each([
    ["bytes of something else", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "at byte 0"],
    ["a field that is cut off", field(7, "graph").slice(0, -1), "at byte 0"],
    ["a group, which is in no model", "\x0b", "at byte 0"],
  ])("refuses %s", async (_, model, where) => {
    await expect(readOnnxMetadata(memorySource(bytesOf(model), "m.onnx"))).rejects.toMatchObject({
      code: "FORMAT_INVALID",
      message: expect.stringMatching(
        new RegExp(`^m\\.onnx: expected .*${where}.*The file is truncated or corrupt\\.$`),
      ),
    });
  });
});
