import { describe, expect, test } from "vitest";
import { giveBack } from "../src/give-back.ts";

describe("giveBack", () => {
  test("empties memory that can be let go, once", () => {
    const data = new Float32Array(4096);
    giveBack(data.buffer);
    expect(data.length).toBe(0);
    giveBack(data.buffer);
  });

  test("leaves what the platform holds, and what threads share", () => {
    const { buffer } = new WebAssembly.Memory({ initial: 1 });
    giveBack(buffer);
    expect(buffer.byteLength).toBe(65_536);
    const shared = new SharedArrayBuffer(8);
    giveBack(shared);
    expect(shared.byteLength).toBe(8);
  });
});
