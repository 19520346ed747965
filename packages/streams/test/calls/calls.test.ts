import { decodeSamples, encodeSamples } from "@nemo-stt/core";
import { describe, expect, it } from "vitest";
import {
  type CallOptions,
  type ChannelTranscription,
  createAudioChannelSplitter,
  ENCODINGS,
  type EncodingName,
  type Item,
  transcribeCall,
} from "../../src/index.ts";
import { noise } from "../gateway/harness.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";
import { audioItems, collect, streamOf, tuples } from "../operators/collect.ts";

const RATE = 8000;
/** Silence with noise from some seconds on, for a second. */
function side(starts: readonly number[], seed: number, seconds = 12): Float32Array {
  const samples = new Float32Array(seconds * RATE);
  for (const [i, start] of starts.entries())
    samples.set(
      noise(1, seed + i, RATE).map((v) => v * 0.9),
      start * RATE,
    );
  return samples;
}
const agent = side([0, 4, 9], 1);
const caller = side([2, 4.5, 7], 50);

async function call(blockBytes: number, encoding: EncodingName = "pcm16", options: Partial<CallOptions> = {}) {
  const bytes = encodeSamples([agent, caller], ENCODINGS[encoding]);
  const splitter = createAudioChannelSplitter(
    { encoding, leftChannelRole: "agent", rightChannelRole: "caller" },
    { warn: () => {} },
  );
  const merged = transcribeCall([splitter.left, splitter.right], { engine: hashEngine(), ...options });
  const input = audioItems("audioData", bytes, blockBytes, bytes.length / 12_000);
  const [out] = await Promise.all([collect(merged), streamOf(input).pipeTo(splitter.writable)]);
  return out;
}
const shapeOf = (items: readonly Item<ChannelTranscription>[]) =>
  tuples(items).map(({ text, channelInfo, startTime }) => [channelInfo.channelRole, Number(startTime), text]);

describe("calls", () => {
  it("give one transcript in the order of speaking, overlaps kept, whatever encoding and blocks", async () => {
    for (const encoding of ["pcm16", "ulaw", "alaw", "pcm8"] as const) {
      const heard = [agent, caller].map(
        (s) => decodeSamples(encodeSamples([s], ENCODINGS[encoding]), ENCODINGS[encoding])[0],
      );
      const [said, answered] = await Promise.all(heard.map((sound) => hashFinals(sound, RATE)));
      const expected = [
        ["agent", 0, said[0]],
        ["caller", 2000, answered[0]],
        ["agent", 4000, said[1]],
        ["caller", 4500, answered[1]],
        ["caller", 7000, answered[2]],
        ["agent", 9000, said[2]],
      ];
      for (const blockBytes of [777, 4000, 200_000]) {
        const out = await call(blockBytes, encoding);
        expect(shapeOf(out), `${encoding} ${blockBytes}`).toEqual(expected);
        expect(out.filter(({ kind }) => kind !== "tuple").map(({ kind }) => kind)).toEqual(["window", "final"]);
      }
    }
  });

  it("take blocks of one byte", async () => {
    const bytes = encodeSamples([agent.subarray(0, 4000), caller.subarray(0, 4000)], "ulaw");
    const splitter = createAudioChannelSplitter({ encoding: "ulaw" }, { warn: () => {} });
    const merged = transcribeCall([splitter.left, splitter.right], { engine: hashEngine() });
    const [out] = await Promise.all([
      collect(merged),
      streamOf(audioItems("audioData", bytes, 1, 16)).pipeTo(splitter.writable),
    ]);
    const [heard] = decodeSamples(encodeSamples([agent.subarray(0, 4000)], "ulaw"), "ulaw");
    expect(tuples(out).map(({ text }) => text)).toEqual(await hashFinals(heard, RATE));
  });

  it("end once, after the last final, when one side vanishes", async () => {
    const splitter = createAudioChannelSplitter({}, { warn: () => {} });
    const failing = new ReadableStream({ start: (controller) => controller.error(new Error("the line was cut")) });
    const failures: string[] = [];
    const merged = transcribeCall([splitter.left, failing], {
      engine: hashEngine(),
      onPartyFailed: (party, error) => failures.push(`${party}: ${(error as Error).message}`),
    });
    const bytes = encodeSamples([agent, caller], "s16le");
    void splitter.right.pipeTo(new WritableStream());
    const [out] = await Promise.all([
      collect(merged),
      streamOf(audioItems("audioData", bytes, 3200, 32)).pipeTo(splitter.writable),
    ]);
    expect(failures).toEqual(["1: the line was cut"]);
    expect(shapeOf(out)).toHaveLength(3);
    expect(out.filter(({ kind }) => kind === "final")).toHaveLength(1);
    expect(out.at(-1)?.kind).toBe("final");
  });

  it("give interims on demand, and hold the input back when nobody reads", async () => {
    const out = await call(3200, "pcm16", { hasInterims: true });
    expect(tuples(out).filter(({ isFinal }) => !isFinal)).toHaveLength(60);
    expect(tuples(out).filter(({ isFinal }) => isFinal)).toHaveLength(6);
  });
});

it("goes on with one side where the engine has no room for the other", async () => {
  const failed: number[] = [];
  const options = { engine: hashEngine({ maxStreams: 1 }), onPartyFailed: (party: number) => failed.push(party) };
  const out = await call(500, "pcm16", options);
  expect(failed).toHaveLength(1);
  const heard = [agent, caller].filter((_, party) => party !== failed[0]);
  expect(tuples(out).map(({ text }) => text)).toEqual(await hashFinals(heard[0], RATE));
  expect(out.at(-1)?.kind).toBe("final");
});
