import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { checkSpl, formatProblem } from "@nemo-stt/spl";
import { describe, expect, test } from "vitest";

describe("the toolkit and the samples", () => {
  const root = resolve(import.meta.dirname, "../../../streams");
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (f) => f.endsWith(".spl") && !f.includes("output"),
  );
  const sources = files.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

  test("have nothing that the checker rejects", () => {
    expect(files.length).toBeGreaterThan(20);
    expect(checkSpl(sources).map(formatProblem)).toEqual([]);
  });

  test("are what the toolkit's index says", () => {
    const index = readFileSync(join(root, "toolkit/toolkit.xml"), "utf8");
    const public_ = sources
      .filter((s) => s.path.startsWith("toolkit"))
      .flatMap((s) => [...s.text.matchAll(/^public composite (\w+)|^type (\w+) =|^public .*?(\w+)\(.*\) \{$/gm)])
      .map((match) => match[1] ?? match[2] ?? match[3]);
    expect(public_.length).toBeGreaterThan(60);
    expect(public_.filter((name) => !index.includes(name))).toEqual([]);
  });

  test("keep the published types", () => {
    const types = sources
      .find((s) => s.path.endsWith("stt/Types.spl"))
      ?.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
      .replace(/\s+/g, " ");
    for (const type of [
      "type ChannelMetadata = tuple< int32 channelNumber, rstring channelRole, rstring phoneNumber, rstring speakerId, map<rstring,rstring> additionalMetadata >;",
      "type StereoAudioChunk = tuple< blob leftChannelData, blob rightChannelData, uint64 audioTimestamp, int32 sampleRate, int32 bitsPerSample, rstring encoding >;",
      "type ChannelAudioStream = tuple< blob audioData, uint64 audioTimestamp, ChannelMetadata channelInfo, int32 sampleRate, int32 bitsPerSample >;",
      "type ChannelTranscription = tuple< rstring text, float64 confidence, boolean isFinal, ChannelMetadata channelInfo, uint64 startTime, uint64 endTime >;",
      "type CallMetadata = tuple< rstring callId, rstring callerNumber, rstring calledNumber, timestamp callStartTime, timestamp callEndTime, rstring callDirection, map<rstring,rstring> sipHeaders >;",
      "type AudioFormat = enum { pcm16, pcm8, ulaw, alaw, opus, g729 };",
      "type ChannelRole = enum { caller, agent, left, right, customer, representative, unknown };",
    ]) {
      expect(types).toContain(type);
    }
  });
});
