import { encodeSamples } from "@nemo-stt/core";
import { describe, expect, it } from "vitest";
import { createAudioChannelSplitter, createNeMoSTT, createOnnxSTT, transcribeCall } from "../../src/index.ts";
import { noise } from "../gateway/harness.ts";
import { hashEngine } from "../hash-engine.ts";
import { audioItems, collect, streamOf, tuples } from "./collect.ts";

/** Four utterances of 0.3, 0.6, 0.1 and 0.4 s, a second of silence between them. */
function utterances(rate: number): Float32Array {
  const sound = new Float32Array(6 * rate);
  for (const [i, seconds] of [0.3, 0.6, 0.1, 0.4].entries()) sound.set(noise(seconds, i + 1, rate), 1.5 * i * rate);
  return sound;
}
const context = { engine: hashEngine({ joined: [1, 3] }), warn: () => {} };
const models = { modelPath: "m", tokensPath: "t" };
const sound = () => streamOf(audioItems("audioChunk", encodeSamples([utterances(16_000)], "s16le"), 3200, 32));

describe("finals that go on inside a word say so", () => {
  it("from NeMoSTT; the rest of what was dropped joins nothing", async () => {
    const heard = async (minSpeechDurationMs?: number) => {
      const parameters = { ...models, ...(minSpeechDurationMs && { minSpeechDurationMs }) };
      const out = tuples(await collect(sound().pipeThrough(createNeMoSTT(parameters, context))));
      return out.map(({ joinsPrevious }) => joinsPrevious);
    };
    expect(await heard()).toEqual([false, true, false, true]);
    expect(await heard(350)).toEqual([false, false]);
    expect(await heard(200)).toEqual([false, true, false]);
  });

  it("from OnnxSTT, finals only", async () => {
    const parameters = { encoderModel: "m", vocabFile: "t", cmvnFile: "none" } as const;
    const out = tuples(await collect(sound().pipeThrough(createOnnxSTT(parameters, context))));
    expect(out.filter(({ isFinal }) => isFinal).map(({ joinsPrevious }) => joinsPrevious)).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(out.some(({ isFinal, joinsPrevious }) => !isFinal && joinsPrevious)).toBe(false);
  });

  it("from calls, each for its own channel", async () => {
    const splitter = createAudioChannelSplitter({}, context);
    const merged = transcribeCall([splitter.left, splitter.right], context);
    const bytes = encodeSamples([utterances(8000), new Float32Array(6 * 8000)], "s16le");
    const input = streamOf(audioItems("audioData", bytes, 3200, 32));
    const [out] = await Promise.all([collect(merged), input.pipeTo(splitter.writable)]);
    expect(tuples(out).map(({ joinsPrevious }) => joinsPrevious)).toEqual([false, true, false, true]);
  });
});
