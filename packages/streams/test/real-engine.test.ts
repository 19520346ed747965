import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeSamples, openLocalEngine, type SpeechEngine } from "@nemo-stt/core";
import { BUNDLED_MODELS, loadModel, nodeRuntime, openAudio, openModel, toModelInput } from "@nemo-stt/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type ChannelTranscription,
  createAudioChannelSplitter,
  createFileAudioSource,
  createNeMoSTT,
  createOnnxSTT,
  createStereoFileAudioSource,
  type Item,
  listCalls,
  replayCalls,
  StatisticsMeter,
  SYSTEM_CLOCK,
  transcribeCall,
} from "../src/index.ts";
import { app, sessionApp, start } from "./gateway/harness.ts";
import { audioItems, collect, streamOf, tuples } from "./operators/collect.ts";

// The bundled model on real recordings: whichever way the sound comes, the text is that of the recording as a whole.

const example = (name: string) => fileURLToPath(new URL(`../../../examples/audio/${name}`, import.meta.url));
const silent = { warn: () => {} };
const statistics = new StatisticsMeter(SYSTEM_CLOCK);
let engine: SpeechEngine;
let expected: string[];
let bothSides: Float32Array[];
let morning: string;

beforeAll(async () => {
  engine = await openLocalEngine(await openModel(BUNDLED_MODELS.speech), nodeRuntime(), {
    now: () => performance.now() / 1000,
    onBatch: (report) => statistics.addBatch(report),
  });
  const model = await loadModel();
  const whole = async (name: string, channels: "split" | "mix") => {
    const audio = await openAudio(example(name));
    const waveforms = await toModelInput(audio, 16_000, { channels });
    const texts = (await model.transcribe(waveforms)).map(({ text }) => text);
    const original = await audio.channels();
    await audio.close();
    return { texts, original };
  };
  const call = await whole("call-ulaw-8k.wav", "split");
  expected = call.texts;
  bothSides = call.original;
  morning = (await whole("morning-rms.wav", "mix")).texts[0];
  await model.close();
});
afterAll(() => engine?.close());

const bySide = (items: readonly Item<ChannelTranscription>[]) =>
  [0, 1].map((channel) =>
    tuples(items)
      .filter(({ channelInfo }) => channelInfo.channelNumber === channel)
      .map(({ text }) => text)
      .join(" "),
  );

describe("the bundled model", () => {
  it("gives a recording's text through the operators, with or without its header", async () => {
    const filename = example("morning-rms.wav");
    const models = { modelPath: "m", tokensPath: "t" };
    const source = createFileAudioSource({ filename }, silent);
    const parsed = await collect(source.pipeThrough(createNeMoSTT(models, { engine, statistics, ...silent })));
    // The original source sends the header as sound.
    const file = audioItems("audioChunk", readFileSync(filename), 3200, 32);
    const headed = await collect(streamOf(file).pipeThrough(createNeMoSTT(models, { engine, ...silent })));
    for (const out of [parsed, headed]) {
      expect(
        tuples(out)
          .map(({ transcription }) => transcription)
          .join(" "),
      ).toBe(morning);
      expect(out.slice(-2).map(({ kind }) => kind)).toEqual(["window", "final"]);
    }
    const read = statistics.read();
    for (const stage of ["recognition", "features", "model", "decoding"] as const)
      expect(read.stages[stage]?.totalMs).toBeGreaterThan(0);
    expect(read.realTimeFactor).toBeGreaterThan(0);
  });

  it("gives interim texts on the way, in the latency mode that is asked for", async () => {
    const source = () => createFileAudioSource({ filename: example("morning-rms.wav") }, silent);
    const parameters = { encoderModel: "m", vocabFile: "t", cmvnFile: "none" } as const;
    const out = tuples(await collect(source().pipeThrough(createOnnxSTT(parameters, { engine, ...silent }))));
    const finals = out.filter(({ isFinal }) => isFinal);
    expect(finals.map(({ text }) => text).join(" ")).toBe(morning);
    expect(out.length).toBeGreaterThan(finals.length + 3);
    expect(finals.every(({ confidence }) => confidence > 0 && confidence < 1)).toBe(true);
    const fast = createNeMoSTT(
      { modelPath: "m", tokensPath: "t", attContextLeft: 70, attContextRight: 1 },
      { engine, ...silent },
    );
    expect(tuples(await collect(source().pipeThrough(fast))).length).toBeGreaterThan(0);
  });

  it("gives a call's two texts in order, whatever blocks and way", async () => {
    const filename = example("call-ulaw-8k.wav");
    const bytes = encodeSamples(bothSides, "ulaw");
    for (const blockBytes of [331, 160_000]) {
      const splitter = createAudioChannelSplitter({ encoding: "ulaw" }, silent);
      const merged = transcribeCall([splitter.left, splitter.right], { engine });
      const input = audioItems("audioData", bytes, blockBytes, 16);
      const [out] = await Promise.all([collect(merged), streamOf(input).pipeTo(splitter.writable)]);
      expect(bySide(out), `blocks of ${blockBytes}`).toEqual(expected);
      const starts = tuples(out).map(({ startTime }) => Number(startTime));
      expect(starts).toEqual(starts.toSorted((a, b) => a - b));
      expect(starts[0]).toBeGreaterThan(300);
      expect(out.filter(({ kind }) => kind === "final")).toHaveLength(1);
    }
    const { left, right } = createStereoFileAudioSource({ filename, targetSampleRate: 16_000 }, silent);
    expect(bySide(await collect(transcribeCall([left, right], { engine })))).toEqual(expected);
  });

  it("gives the same through the gateway", async () => {
    const started = await start({ engine });
    const said: string[][] = [[], []];
    const calls = await listCalls(example("call-ulaw-8k.wav"));
    const summary = await replayCalls(calls, {
      audio: started.audio,
      text: started.text,
      isRealTime: false,
      copies: 2,
      onFinal: ({ channelNumber, text }) => said[channelNumber].push(text),
    });
    expect(summary).toMatchObject({ numCalls: 2, numSessions: 4 });
    // Both copies say the same, side by side: every text is there twice.
    for (const [channel, texts] of said.entries())
      expect(texts.filter((_, i) => texts.indexOf(texts[i]) === i).join(" ")).toBe(expected[channel]);
    expect(said.map((texts) => texts.length / 2)).toEqual(said.map((texts) => new Set(texts).size));

    const one = app(started, "headed");
    const file = readFileSync(example("morning-rms.wav"));
    for (let at = 0; at < file.length; at += 5000) await one.composite.submit(file.subarray(at, at + 5000), at / 32);
    await one.composite.submitMark();
    await one.composite.submitFinal();
    await one.composite.done;
    expect(one.finals().join(" ").trim()).toBe(morning);
    expect(started.events.filter((event) => event.type === "call-ended")).toHaveLength(3);
  });
});

describe("a gateway that is started again in mid-audio", () => {
  it("goes on with the real engine's streams: the same text", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nemo-stt-real-"));
    const stateFile = join(folder, "state.json");
    let started = await start({ engine, stateFile });
    const ports = { audioPort: started.audio.port, textPorts: [{ port: started.text.port }] };
    const one = sessionApp(started, "c1", "", 10);
    const file = readFileSync(example("morning-rms.wav"));
    for (let at = 0, n = 0; at < file.length; at += 3200, n++) {
      if (n === 30) {
        await started.gateway.drain();
        started = await start({ engine, stateFile, ...ports });
      }
      await one.session.submit(file.subarray(at, at + 3200), at / 32);
    }
    await one.session.submitFinal();
    await one.session.done;
    expect(one.finals().join(" ").trim()).toBe(morning);
    rmSync(folder, { recursive: true });
  });
});

const telephone = fileURLToPath(new URL("../../../../shared/audio/call/two-party-ulaw-8k.wav", import.meta.url));
describe("a telephone call", () => {
  it.skipIf(!existsSync(telephone))("gives the same text in one block as in many (needs ../shared)", async () => {
    const audio = await openAudio(telephone);
    const sides = (await audio.channels()).map((side) => side.subarray(0, 20 * 8000));
    await audio.close();
    const bytes = encodeSamples(sides, "ulaw");
    const texts: string[][] = [];
    for (const blockBytes of [1999, bytes.length]) {
      const splitter = createAudioChannelSplitter(
        { encoding: "ulaw", leftChannelRole: "agent", rightChannelRole: "customer" },
        silent,
      );
      const input = audioItems("audioData", bytes, blockBytes, 16);
      const merged = transcribeCall([splitter.left, splitter.right], { engine });
      const [out] = await Promise.all([collect(merged), streamOf(input).pipeTo(splitter.writable)]);
      texts.push(bySide(out));
    }
    expect(texts[0]).toEqual(texts[1]);
    expect(texts[0].every((text) => text.length > 0)).toBe(true);
  });
});
