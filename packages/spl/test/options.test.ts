import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseSpl } from "@nemo-stt/spl";
import { describe, expect, test } from "vitest";
import type { CompositeNode } from "../src/ast.ts";
import { callSpl, type Value } from "./evaluate.ts";

const folder = resolve(import.meta.dirname, "../../../streams/toolkit/com.teracloud.streamsx.stt");
const textOf = (file: string) => readFileSync(join(folder, file), "utf8");

const NOT_TOLD = {
  audioFormat: "bySampleRate",
  sampleRate: 0,
  attContextLeft: -1,
  attContextRight: -1,
  minSpeechDurationMs: -1,
};
const refusal = (given: Partial<typeof NOT_TOLD>) =>
  callSpl("nemoRefusal", ...Object.values({ ...NOT_TOLD, ...given }));
const wishes = (given: Partial<typeof NOT_TOLD>) => {
  const { attContextLeft, attContextRight, minSpeechDurationMs } = { ...NOT_TOLD, ...given };
  return callSpl("nemoOptions", "models/m.nemo", attContextLeft, attContextRight, minSpeechDurationMs);
};

describe("parameters of the SPL recognisers", () => {
  test("what is told travels, the original's defaults too; what is not told does not", () => {
    expect(wishes({})).toBe("model=m.nemo");
    expect(wishes({ minSpeechDurationMs: 500 })).toBe("model=m.nemo&min-speech-ms=500");
    expect(wishes({ minSpeechDurationMs: 0 })).toBe("model=m.nemo&min-speech-ms=0");
    expect(wishes({ attContextRight: 13 })).toBe("model=m.nemo&attContext=70,13");
    expect(wishes({ attContextLeft: 35, attContextRight: 0 })).toBe("model=m.nemo&attContext=35,0");
  });

  test("a left context without its right one is reported, whatever it is", () => {
    for (const left of [35, 70, 0])
      expect(callSpl("ignoredLeftContext", left, -1)).toBe(` attContextLeft=${left} (without attContextRight)`);
    for (const [left, right] of [
      [-1, -1],
      [35, 6],
      [-1, 6],
    ])
      expect(callSpl("ignoredLeftContext", left, right)).toBe("");
    expect(textOf("NeMoSTTMonitored.spl")).toContain("ignoredLeftContext($attContextLeft, $attContextRight)");
  });

  test("the rate is what one of both parameters says; two that differ are refused", () => {
    const rate = (audioFormat: string, sampleRate: number) => callSpl("nemoSampleRate", audioFormat, sampleRate);
    expect(rate("bySampleRate", 0)).toBe(16_000);
    expect(rate("bySampleRate", 44_100)).toBe(44_100);
    expect(rate("mono8k", 0)).toBe(8000);
    expect(rate("mono22k", 22_050)).toBe(22_050);
    for (const [audioFormat, sampleRate] of [
      ["mono8k", 44_100],
      ["mono8k", 16_000],
      ["mono16k", 8000],
    ] as const)
      expect(refusal({ audioFormat, sampleRate })).toBe(
        `audioFormat: expected one of ${sampleRate} Hz as sampleRate says, got ${audioFormat}. Give one of both.`,
      );
    expect(refusal({ audioFormat: "mono44k", sampleRate: 44_100 })).toBe("");
  });

  test.each([
    ["sampleRate", 4000, "0, or a value in [8000, 48000]"],
    ["attContextLeft", -2, "-1, or a value in [0, 10000]"],
    ["attContextRight", 10_001, "-1, or a value in [0, 10000]"],
    ["minSpeechDurationMs", -2, "-1, or a value in [0, 3600000]"],
  ])("%s of %d is refused by name", (name, value, expected) => {
    expect(refusal({ [name]: value })).toBe(
      `${name}: expected ${expected}, got ${value}. Give another, or leave it out.`,
    );
    expect(refusal({})).toBe("");
  });

  test.each<[name: string, args: Value[], refused: RegExp]>([
    ["onnxRefusal", ["c.txt", "NEMO_CTC", 16_000, -1], /^cmvnFile: expected none, got c\.txt\. Leave it at none/],
    ["onnxRefusal", ["none", "x", 16_000, -1], /^modelType: expected CACHE_AWARE_CONFORMER or NEMO_CTC, got x\. Give/],
    ["onnxRefusal", ["none", "NEMO_CTC", 100, -1], /^sampleRate: expected a value in \[8000, 48000\], got 100\. Give/],
    ["onnxRefusal", ["none", "NEMO_CTC", 16_000, -2], /^blankId: expected -1, or a value in .*, got -2\. Give/],
    ["onnxRefusal", ["none", "NEMO_CTC", 16_000, 0], /^$/],
    ["splitterRefusal", ["mixed", 8000, 0], /^stereoFormat: expected interleaved or nonInterleaved, got mixed\. Give/],
    ["splitterRefusal", ["interleaved", 8000, -8000], /^targetSampleRate: expected 0, or a value in .*, got -8000\. /],
    ["splitterRefusal", ["interleaved", 0, 0], /^sampleRate: expected a value in .*, got 0\. Give/],
    ["splitterRefusal", ["nonInterleaved", 8000, 16_000], /^$/],
    ["fileRefusal", [16_000, 12, 1], /^bitsPerSample: expected 8, 16, 24 or 32, got 12\. Give/],
    ["fileRefusal", [16_000, 16, 0], /^channelCount: expected a value in \[1, 256\], got 0\. Give/],
    ["fileRefusal", [44_100, 24, 2], /^$/],
  ])("%s(%j)", (name, args, refused) => {
    expect(callSpl(name, ...args)).toMatch(refused);
  });

  test("a refusal ends the application in optimized code too, from which the compiler takes assertions", () => {
    for (const file of ["NeMoSTTMonitored.spl", "OnnxSTT.spl"])
      expect(textOf(file)).toMatch(/refused : (nemo|onnx)Refusal\(/);
    for (const file of ["SttMonoAudio.spl", "AudioChannelSplitter.spl", "FileAudioSource.spl"])
      expect(textOf(file)).toMatch(/rstring refused = refuse\(/);
    expect(textOf("SttOptions.spl")).toMatch(/abort\(\);/);
    expect(textOf("SttOptions.spl")).not.toMatch(/\bassert\(/);
  });

  test.each(["NeMoSTT", "OnnxSTT"])("each parameter of %s is used, refused or reported", (name) => {
    const compositeOf = (file: string) =>
      parseSpl(file, textOf(file)).tree?.definitions.find((node) => node.kind === "composite") as CompositeNode;
    const inner = name === "NeMoSTT" ? "NeMoSTTMonitored" : name;
    const text = textOf(`${inner}.spl`);
    const graph = text.slice(text.indexOf("  graph\n"));
    for (const { name: parameter } of compositeOf(`${name}.spl`).parameters)
      expect([parameter.text, graph.includes(parameter.text)]).toEqual([parameter.text, true]);
    for (const always of name === "NeMoSTT" ? ["tokensPath"] : ["vocabFile", "modelType"])
      expect(graph).toContain(`ignoredParameter("${always}", $${always}, `);
  });
});
