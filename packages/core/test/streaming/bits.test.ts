import { afterAll, describe, expect, test } from "vitest";
import { type StreamMode, streamModes } from "../../src/config/streaming.ts";
import { createFrameBuffer, type FrameBuffer } from "../../src/streaming/frame-buffer.ts";
import { bundled } from "../recognition/bundled.ts";
import { openTestSet } from "./stream-runs.ts";

const NUM_STEPS = 42;
/** Steps of one call, at most. */
const MAX_STEPS = 16;

/** Frames that no two streams share, loud and quiet. */
function frames(seed: number, numMels: number): FrameBuffer {
  const buffer = createFrameBuffer(numMels);
  for (let t = 0; t < 8 * (NUM_STEPS + MAX_STEPS + 2); t++) {
    buffer.push(
      Float32Array.from({ length: numMels }, (_, m) => 3 * Math.sin(t * m * 0.37 + seed) - 8 + Math.sin(seed * t)),
    );
  }
  return buffer;
}

describe.skipIf(process.arch !== "x64" || process.env.GRAPH_RUNTIME === "wasm").each(["float32", "int8"] as const)(
  "the steps of a stream, weights %s",
  async (precision) => {
    const opened = await openTestSet(4, bundled("speech", precision));
    afterAll(() => opened.release());
    const { encoder, spec } = opened.parts;

    /** The first steps of one stream beside others, in calls of so many chunks. */
    async function steps(mode: StreamMode, chunksOfCalls: readonly number[], numMates: number): Promise<Float32Array> {
      const rows = Array.from({ length: 1 + numMates }, (_, seed) => ({
        slot: encoder.pool.take(),
        frames: frames(seed + 1, spec.features.numMels),
      }));
      const [{ slot }] = rows;
      const found: number[] = [];
      for (let call = 0; slot.numSteps < NUM_STEPS; call++) {
        const most = Math.floor(MAX_STEPS / mode.chunkSteps);
        const numSteps = Math.min(most, chunksOfCalls[call % chunksOfCalls.length]) * mode.chunkSteps;
        const batch = await encoder.encode(rows.map((row) => ({ ...row, numSteps, mode, endFrame: undefined })));
        const size = batch.encoded.length / (rows.length * batch.numSteps);
        for (let s = 0; s < numSteps; s++) {
          for (let d = 0; d < size; d++) found.push(batch.encoded[d * batch.numSteps + s]);
        }
      }
      for (const row of rows) encoder.pool.release(row.slot);
      return Float32Array.from(found.slice(0, (found.length / slot.numSteps) * NUM_STEPS));
    }

    test.each(streamModes(spec).map((mode) => [mode.attContext.join(), mode] as const))(
      "are the same bits, whoever is in the batch and however many chunks a call has: [%s]",
      async (_name, mode) => {
        const alone = await steps(mode, [1], 0);
        expect(alone.some((value) => value !== 0)).toBe(true);
        expect(await steps(mode, [1], 3)).toEqual(alone);
        expect(await steps(mode, [2], 0)).toEqual(alone);
        expect(await steps(mode, [1, 3, 2, 16], 2)).toEqual(alone);
        const between = encoder.pool.take();
        expect(await steps(mode, [2, 1], 2)).toEqual(alone);
        encoder.pool.release(between);
      },
    );
  },
);
