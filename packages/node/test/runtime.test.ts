import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float32, type GraphSession, int32, int64, type Runtime, type Tensor } from "@nemo-stt/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeRuntime, workerRuntime } from "../src/index.ts";
import { affineGraph, externalGraph, identityGraph } from "./graphs.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nemo-stt-runtime-"));
});
afterAll(() => rm(folder, { recursive: true }));

const workers = workerRuntime({ numWorkers: 1 });
afterAll(() => workers.close());

// One contract for both: a caller may swap them.
describe.each<[string, Runtime]>([
  ["nodeRuntime", nodeRuntime()],
  ["workerRuntime", workers],
])("%s", (_, runtime) => {
  const load = async (bytes: Promise<Uint8Array>): Promise<GraphSession> => runtime.load({ bytes: await bytes });

  test("loads a graph from bytes and runs it", async () => {
    const session = await load(affineGraph());
    const { y, doubled } = await session.run({ x: float32(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]) });
    expect(y).toEqual({ type: "float32", dims: [2, 3], data: Float32Array.of(2, 5, 10, 17, 26, 37) });
    expect(doubled.data).toEqual(Float32Array.of(2, 4, 6, 8, 10, 12));
    await session.close();
  });

  test("lets go of a result that was read, and gives others that are whole", async () => {
    const session = await load(affineGraph());
    const feeds = () => ({ x: float32(Float32Array.of(1, 2, 3), [1, 3]) });
    const first = await session.run(feeds());
    session.release?.(first.y);
    expect(first.doubled.data).toEqual(Float32Array.of(2, 4, 6));
    if (runtime.name === "onnxruntime-node") expect(first.y.data.length).toBe(0);
    session.release?.(first.y); // Twice is once.
    const { y } = await session.run(feeds());
    expect(y.data).toEqual(Float32Array.of(2, 5, 10));
    await session.close();
    expect(y.data).toEqual(Float32Array.of(2, 5, 10));
    session.release?.(y);
  });

  test("loads a graph from a path", async () => {
    const path = join(folder, "affine.onnx");
    await writeFile(path, await affineGraph(5));
    const session = await runtime.load({ path }, { numThreads: 2 });
    const { y } = await session.run({ x: float32(Float32Array.of(0, 1, 2), [1, 3]) });
    expect(y.data).toEqual(Float32Array.of(5, 6, 9));
    await session.close();
  });

  test("tells inputs, outputs and metadata", async () => {
    const session = await load(affineGraph());
    expect(session.inputs).toEqual([{ name: "x", type: "float32", dims: [-1, 3] }]);
    expect(session.outputs.map((value) => value.name)).toEqual(["y", "doubled"]);
    expect(session.metadata).toEqual({ model_type: "affine", vocab_size: "7" });
    await session.close();
  });

  test("computes only the outputs that are asked for", async () => {
    const session = await load(affineGraph());
    const results = await session.run({ x: float32(new Float32Array(3), [1, 3]) }, ["doubled"]);
    expect(Object.keys(results)).toEqual(["doubled"]);
    await session.close();
  });

  test("carries every type of tensor, empty ones too", async () => {
    const session = await load(identityGraph());
    for (const n of [0, 3]) {
      const feeds: Record<string, Tensor> = {
        float32: float32(Float32Array.of(0.5, -1, Number.NaN).subarray(0, n), [n]),
        float16: { type: "float16", dims: [n], data: Uint16Array.of(0x3c00, 0xc000, 0x7bff).subarray(0, n) },
        int64: int64([1, -2, 2 ** 40].slice(0, n)),
        int32: int32([1, -2, 3].slice(0, n)),
        uint8: { type: "uint8", dims: [n], data: Uint8Array.of(0, 128, 255).subarray(0, n) },
        int8: { type: "int8", dims: [n], data: Int8Array.of(-128, 0, 127).subarray(0, n) },
        bool: { type: "bool", dims: [n], data: Uint8Array.of(1, 0, 1).subarray(0, n) },
      };
      const results = await session.run(feeds);
      for (const [name, feed] of Object.entries(feeds)) expect(results[`same_${name}`]).toEqual(feed);
    }
    await session.close();
  });

  test("gives results that later runs leave alone", async () => {
    const session = await load(affineGraph());
    const first = await session.run({ x: float32(Float32Array.of(1, 1, 1), [1, 3]) });
    await session.run({ x: float32(Float32Array.of(9, 9, 9), [1, 3]) });
    expect(first.y.data).toEqual(Float32Array.of(2, 2, 2));
    await session.close();
    expect(first.y.data).toEqual(Float32Array.of(2, 2, 2));
  });

  test("leaves the feeds to the caller", async () => {
    const session = await load(affineGraph());
    const x = float32(Float32Array.of(1, 2, 3), [1, 3]);
    await session.run({ x });
    expect(x.data).toEqual(Float32Array.of(1, 2, 3));
    await session.close();
  });

  test("refuses bytes that are no model", async () => {
    await expect(runtime.load({ bytes: Uint8Array.of(0x99, 1, 2, 3) })).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringContaining("graph: expected an ONNX model (a protobuf message)"),
    });
  });

  test("refuses a message that is no graph", async () => {
    // ir_version 8 and nothing else.
    await expect(runtime.load({ bytes: Uint8Array.of(8, 8) })).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringMatching(/^graph: the graph was refused: ./),
    });
  });

  test("names a path that does not exist", async () => {
    await expect(runtime.load({ path: join(folder, "absent.onnx") })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining("absent.onnx: expected a readable file, got nothing. Check the path."),
    });
  });

  test("names the graph when a run fails, and works on", async () => {
    const path = join(folder, "failing.onnx");
    await writeFile(path, await affineGraph());
    const session = await runtime.load({ path });
    await expect(session.run({ x: int32([1, 2, 3], [1, 3]) })).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringMatching(/^failing\.onnx: run failed: Unexpected input data type/),
    });
    await expect(session.run({})).rejects.toMatchObject({ code: "RUNTIME_FAILED" });
    await expect(session.run({ x: float32(new Float32Array(4), [1, 4]) })).rejects.toThrow(/failing\.onnx: run failed/);
    const { y } = await session.run({ x: float32(new Float32Array(3), [1, 3]) });
    expect(y.data).toEqual(Float32Array.of(1, 1, 1));
    await session.close();
  });

  test("closes once, after the runs under way, and refuses runs then", async () => {
    const session = await load(affineGraph());
    const running = session.run({ x: float32(new Float32Array(3), [1, 3]) });
    await Promise.all([session.close(), session.close()]);
    expect((await running).y.data).toEqual(Float32Array.of(1, 1, 1));
    await session.close();
    await expect(session.run({ x: float32(new Float32Array(3), [1, 3]) })).rejects.toMatchObject({
      code: "CLOSED",
      message: "graph: expected an open graph, got one after `close()`. Load it again.",
    });
  });
});

test.each<[string, Runtime]>([
  ["nodeRuntime", nodeRuntime()],
  ["workerRuntime", workers],
])("%s finds external data in the folder that it is told", async (_, runtime) => {
  const data = join(folder, "data");
  await mkdir(data, { recursive: true });
  await writeFile(join(data, "weights.bin"), Float32Array.of(0, 0, 10, 20, 30));
  const path = join(folder, "external.onnx");
  await writeFile(path, await externalGraph("weights.bin", 8));
  await expect(runtime.load({ path })).rejects.toMatchObject({ code: "RUNTIME_FAILED" });
  const session = await runtime.load({ path, externalDataFolder: data });
  const { y } = await session.run({ x: float32(Float32Array.of(1, 2, 3), [1, 3]) });
  expect(y.data).toEqual(Float32Array.of(11, 22, 33));
  await session.close();
});
