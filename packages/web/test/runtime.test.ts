import { float32, type Runtime } from "@nemo-stt/core";
import { nodeRuntime } from "@nemo-stt/node";
import { describe, expect, test } from "vitest";
import { affineGraph, identityGraph, slowGraph } from "../../node/test/graphs.ts";
import { webRuntime } from "../src/index.ts";

const web = webRuntime();
const row = (...values: number[]) => float32(Float32Array.from(values), [1, values.length]);

async function runOn(runtime: Runtime, bytes: Uint8Array, values: Float32Array) {
  const session = await runtime.load({ bytes });
  const { y } = await session.run({ x: float32(values, [values.length / 512, 512]) });
  await session.close();
  return y;
}

describe("webRuntime", () => {
  test("gives the numbers of onnxruntime-node", async () => {
    const bytes = await slowGraph(2);
    const values = Float32Array.from({ length: 2 * 512 }, (_, i) => Math.sin(i));
    const [here, there] = await Promise.all([runOn(web, bytes, values), runOn(nodeRuntime(), bytes, values)]);
    expect(here.dims).toEqual([2, 512]);
    expect(here.dims).toEqual(there.dims);
    const expected = there.data as Float32Array;
    const worst = Math.max(...(here.data as Float32Array).map((value, i) => Math.abs(value - expected[i])));
    expect(worst).toBeLessThan(1e-6);
  });

  test("tells inputs and outputs and computes what is asked for", async () => {
    const session = await web.load({ bytes: await affineGraph() });
    expect(session.inputs).toEqual([{ name: "x", type: "float32", dims: [-1, 3] }]);
    expect(await session.run({ x: row(1, 2, 3) }, ["y"])).toEqual({
      y: { type: "float32", dims: [1, 3], data: Float32Array.of(2, 5, 10) },
    });
    await session.close();
  });

  test("carries float16 as bits", async () => {
    const session = await web.load({ bytes: await identityGraph() });
    const n = 1;
    const { same_float16 } = await session.run({
      float32: float32(Float32Array.of(1), [n]),
      float16: { type: "float16", dims: [n], data: Uint16Array.of(0x3c00) },
      int64: { type: "int64", dims: [n], data: BigInt64Array.of(1n) },
      int32: { type: "int32", dims: [n], data: Int32Array.of(1) },
      uint8: { type: "uint8", dims: [n], data: Uint8Array.of(1) },
      int8: { type: "int8", dims: [n], data: Int8Array.of(1) },
      bool: { type: "bool", dims: [n], data: Uint8Array.of(1) },
    });
    expect(same_float16).toEqual({ type: "float16", dims: [1], data: Uint16Array.of(0x3c00) });
    await session.close();
  });

  test("refuses what it cannot load, with a code", async () => {
    await expect(web.load({ bytes: Uint8Array.of(0x99, 1, 2, 3) })).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringMatching(/^graph: the graph was refused: ./),
    });
    await expect(web.load({ path: "/model.onnx" })).rejects.toThrow(
      new TypeError("graph.path: expected `bytes` in a browser, got the path /model.onnx. Read the file first."),
    );
    await expect(web.load({ bytes: new Uint8Array(1), externalDataFolder: "/" })).rejects.toThrow(TypeError);
  });

  test("names a failing run, closes once and refuses runs then", async () => {
    const session = await web.load({ bytes: await affineGraph() });
    await expect(session.run({ x: { type: "int32", dims: [1, 3], data: new Int32Array(3) } })).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: expect.stringContaining("Unexpected input data type"),
    });
    await Promise.all([session.close(), session.close()]);
    await expect(session.run({ x: row(1, 2, 3) })).rejects.toMatchObject({ code: "CLOSED" });
  });
});
