import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { BatchLimits } from "../../src/recognition/batching.ts";
import { openRecognizer, type Recognizer, type TranscribeOptions } from "../../src/recognition/recognizer.ts";
import { propertyRuns } from "../reference/compare.ts";
import { bundled, recording, testRuntime } from "./bundled.ts";

/** Recordings of all lengths, from nothing to whole ones; several of like length, so that they share batches. */
async function clips(): Promise<Float32Array[]> {
  const [morning, garden] = await Promise.all([recording("morning-rms"), recording("garden-slt")]);
  const cut = (waveform: Float32Array, startSec: number, endSec: number) =>
    waveform.subarray(startSec * 16000, endSec * 16000);
  return [
    morning,
    garden.subarray(0, morning.length - 700),
    cut(garden, 0, 2.2),
    cut(morning, 0, 2.1),
    cut(morning, 2, 4),
    cut(garden, 5, 6.03),
    cut(morning, 5, 5.95),
    cut(garden, 1, 1.2),
    garden.subarray(0, 161),
    garden.subarray(0, 100),
    new Float32Array(0),
  ];
}

const limits: fc.Arbitrary<BatchLimits> = fc.record({
  maxRows: fc.integer({ min: 1, max: 12 }),
  maxSteps: fc.integer({ min: 1, max: 1200 }),
  maxPadding: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe.each(["float32", "int8"] as const)("transcripts in %s", async (precision) => {
  const waveforms = await clips();
  const recognizer: Recognizer = await openRecognizer(await bundled("speech", precision), await testRuntime());
  afterAll(() => recognizer.close());

  const facts = async (inputs: readonly Float32Array[], options: TranscribeOptions) =>
    (await recognizer.transcribe(inputs, options)).map(({ text, durationSec, tokens }) => ({
      text,
      durationSec,
      tokens: tokens.map(({ id, startStep, endStep, startSec, endSec }) => [id, startStep, endStep, startSec, endSec]),
    }));

  const choices = (["ctc", "transducer"] as const).flatMap((head) =>
    [
      [70, 13],
      [70, 0],
    ].map((attContext) => ({ head, attContext })),
  );

  test.each(choices)("of $head with context $attContext do not depend on batches or their order", async (choice) => {
    const alone: Awaited<ReturnType<typeof facts>> = [];
    for (const waveform of waveforms) alone.push(...(await facts([waveform], choice)));
    expect(alone[0].text.split(" ").length).toBeGreaterThan(15);
    expect(alone.slice(-2).map(({ text, tokens }) => [text, tokens])).toEqual([
      ["", []],
      ["", []],
    ]);
    const order = fc.shuffledSubarray([...waveforms.keys()], { minLength: 2, maxLength: waveforms.length });
    await fc.assert(
      fc.asyncProperty(order, limits, async (indices, drawn) => {
        const inputs = indices.map((i) => waveforms[i]);
        expect(await facts(inputs, { ...choice, limits: drawn })).toEqual(indices.map((i) => alone[i]));
      }),
      // The first example puts everything into one batch: the most padding there can be.
      { ...propertyRuns(4), examples: [[[...waveforms.keys()], { maxRows: 99, maxSteps: 1e6, maxPadding: 1 }]] },
    );
  });
});
