import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createResampler, decodeSamples, encodeSamples, encodeWav } from "@nemo-stt/core";
import { BUNDLED_MODELS } from "@nemo-stt/node";
import fc from "fast-check";
import { afterAll, describe, expect, it, vi } from "vitest";
import {
  AUDIO_CHANNEL_SPLITTER,
  type ChannelAudioStream,
  type Clock,
  createAudioChannelSplitter,
  createFileAudioSource,
  createNeMoSTT,
  createOnnxSTT,
  createStereoFileAudioSource,
  createVad,
  FINAL_MARK,
  type Item,
  OPERATORS,
  StatisticsMeter,
  tupleItem,
  WINDOW_MARK,
} from "../../src/index.ts";
import { noise } from "../gateway/harness.ts";
import { hashEngine, hashFinals } from "../hash-engine.ts";
import { audioItems, collect, streamOf, tuples } from "./collect.ts";

const folder = mkdtempSync(join(tmpdir(), "nemo-stt-operators-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const example = (name: string) => fileURLToPath(new URL(`../../../../examples/audio/${name}`, import.meta.url));
const silent = { warn: () => {} };
const pcm = (samples: Float32Array) => encodeSamples([samples], "s16le");
const models = { modelPath: "m", tokensPath: "t" } as const;

describe("NeMoSTT and OnnxSTT", () => {
  it("give finals, and marks where they belong, whatever the blocks", async () => {
    const windows = [noise(1.3, 1), new Float32Array(16_000), noise(0.4, 2)];
    const expected = (await Promise.all(windows.map((sound) => hashFinals(sound, 16_000)))).flatMap((w) => [...w, "#"]);
    for (const blockBytes of [777, 3200, 1_000_000]) {
      const input = windows.flatMap((sound) => audioItems("audioChunk", pcm(sound), blockBytes, 32).slice(0, -1));
      const operator = createNeMoSTT(models, { engine: hashEngine(), ...silent });
      const out = await collect(streamOf([...input, FINAL_MARK]).pipeThrough(operator));
      const shape = out.map((item) =>
        item.kind === "tuple" ? item.tuple.transcription : item.kind === "window" ? "#" : "$",
      );
      expect(shape).toEqual([...expected, "$"]);
    }
  });

  it("give interim texts that grow, and confidence", async () => {
    const operator = createOnnxSTT(
      { encoderModel: "m", vocabFile: "t", cmvnFile: "none" },
      { engine: hashEngine(), ...silent },
    );
    const out = tuples(
      await collect(streamOf(audioItems("audioChunk", pcm(noise(0.5)), 3200, 32)).pipeThrough(operator)),
    );
    expect(out.map(({ isFinal }) => isFinal)).toEqual([false, false, false, false, false, true]);
    expect(out.at(-1)?.text.startsWith(out[2].text)).toBe(true);
    expect(out.every(({ confidence }) => confidence === 0.75)).toBe(true);
  });

  it("flush when the input ends without a final mark, and close their stream when it is given up", async () => {
    const sound = noise(0.5, 3);
    const engine = hashEngine();
    const input = audioItems("audioChunk", pcm(sound), 3200, 32).slice(0, -2);
    const out = await collect(streamOf(input).pipeThrough(createNeMoSTT(models, { engine, ...silent })));
    expect(tuples(out).map(({ transcription }) => transcription)).toEqual(await hashFinals(sound, 16_000));
    const endless = new ReadableStream<Item<{ audioChunk: Uint8Array; audioTimestamp: bigint }>>({
      pull: (controller) => controller.enqueue(tupleItem({ audioChunk: pcm(noise(0.1)), audioTimestamp: 0n })),
    });
    const given = endless.pipeThrough(
      createOnnxSTT({ encoderModel: "m", vocabFile: "t", cmvnFile: "none" }, { engine, ...silent }),
    );
    const reader = given.getReader();
    await reader.read();
    await reader.cancel();
    await vi.waitFor(() => expect(engine.numStreams).toBe(0), 5000);
  });

  it("hold no more than a queue when nobody reads", async () => {
    let taken = 0;
    const engine = hashEngine();
    const source = new ReadableStream<Item<{ audioChunk: Uint8Array; audioTimestamp: bigint }>>({
      pull(controller) {
        taken++;
        controller.enqueue(tupleItem({ audioChunk: pcm(noise(0.1, taken)), audioTimestamp: 0n }));
      },
    });
    const out = source.pipeThrough(
      createOnnxSTT({ encoderModel: "m", vocabFile: "t", cmvnFile: "none" }, { engine, ...silent }),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taken).toBeLessThan(30);
    await out.cancel();
  });

  it("honour, refuse or report every parameter by name", async () => {
    const told: string[] = [];
    const context = { engine: hashEngine(), warn: (sentence: string) => void told.push(sentence) };
    const all = {
      modelType: "x",
      enableCaching: true,
      cacheSize: 1,
      attContextLeft: 70,
      attContextRight: 0,
      sampleRate: 8000,
    };
    const rest = {
      provider: "CUDA",
      numThreads: 2,
      audioFormat: "mono8k",
      chunkDurationMs: 100,
      minSpeechDurationMs: 300,
    } as const;
    const operator = createNeMoSTT({ ...models, ...all, ...rest }, context);
    for (const name of [
      "modelPath",
      "tokensPath",
      "modelType",
      "enableCaching",
      "cacheSize",
      "provider",
      "numThreads",
      "chunkDurationMs",
    ])
      expect(
        told.filter((line) => line.includes(name)),
        name,
      ).toHaveLength(1);
    expect(told).toHaveLength(7);
    const sounds = new Float32Array(4 * 8000);
    sounds.set(noise(0.2, 1, 8000), 0);
    sounds.set(noise(0.5, 2, 8000), 2 * 8000);
    const out = tuples(await collect(streamOf(audioItems("audioChunk", pcm(sounds), 1600, 16)).pipeThrough(operator)));
    expect(out).toHaveLength(1);
    const make = (parameters: object) => () => createNeMoSTT({ ...models, ...parameters } as never, context);
    expect(make({ sampleRate: 8000, audioFormat: "mono16k" })).toThrow(/NeMoSTT.audioFormat: expected one of 8000 Hz/);
    expect(make({ colour: 1 })).toThrow(/NeMoSTT.colour: expected one of its parameters \(modelPath, /);
    expect(make({ sampleRate: "8000" })).toThrow("NeMoSTT.sampleRate: expected int32, got string. Give one.");
    expect(make({ modelPath: undefined })).toThrow(
      "NeMoSTT.modelPath: expected a value, got none. Give one: the parameter is required.",
    );
    expect(() => createOnnxSTT({ encoderModel: "m", vocabFile: "t", cmvnFile: "c.txt" as never }, context)).toThrow(
      /expected one of none, got c.txt. Give one of them/,
    );
    const wrong = createNeMoSTT({ ...models, attContextRight: 5 }, context);
    await expect(
      collect(streamOf(audioItems("audioChunk", pcm(noise(0.2)), 3200, 32)).pipeThrough(wrong)),
    ).rejects.toThrow(
      /expected one of the model's contexts \(70,0\), or one with less to the left, got any,5. Give one of these/,
    );
  });

  it("open the model that is named, warn of another blank, and close what they opened", async () => {
    const told: string[] = [];
    let isClosed = false;
    const close = async () => {
      isClosed = true;
    };
    const openEngine = async (model: string, tokens: string) => {
      told.push(`${model} ${tokens}`);
      return { engine: hashEngine(), blankId: 1024, close };
    };
    const parameters = { encoderModel: "e.onnx", vocabFile: "v.txt", cmvnFile: "none", blankId: 0 } as const;
    const operator = createOnnxSTT(parameters, { openEngine, warn: (sentence) => void told.push(sentence) });
    await collect(streamOf(audioItems("audioChunk", pcm(noise(0.2)), 3200, 32)).pipeThrough(operator));
    expect(told).toEqual(["e.onnx v.txt", expect.stringMatching(/blankId is 0, but the model's blank is 1024/)]);
    expect(isClosed).toBe(true);
  });

  it("take less to the left than a context has, as the engine does", async () => {
    const context = { engine: hashEngine(), ...silent };
    const items = audioItems("audioChunk", pcm(noise(0.2)), 3200, 32);
    const run = (left: number) =>
      collect(streamOf(items).pipeThrough(createNeMoSTT({ ...models, attContextLeft: left }, context)));
    expect(tuples(await run(35))).toHaveLength(1);
    await expect(run(71)).rejects.toThrow(/\(70,0\), or one with less to the left, got 71,any/);
    await expect(run(-1)).rejects.toThrow(/got -1,any/);
  });

  it("open the bundled model themselves: its blank is compared, its stages are measured", async () => {
    const told: string[] = [];
    const parameters = {
      encoderModel: BUNDLED_MODELS.speech,
      vocabFile: "v.txt",
      cmvnFile: "none",
      blankId: 5,
    } as const;
    const operator = createOnnxSTT(parameters, { warn: (sentence) => void told.push(sentence) });
    const filename = example("garden-slt.wav");
    await collect(createFileAudioSource({ filename }, silent).pipeThrough(operator));
    expect(told.join("\n")).toMatch(/blankId is 5, but the model's blank is \d+; the model's is used/);
    const { stages } = operator.statistics.read();
    for (const stage of ["recognition", "features", "model", "decoding"] as const)
      expect(stages[stage]?.totalMs, stage).toBeGreaterThan(0);
    const nothing = createNeMoSTT({ modelPath: "", tokensPath: "" }, silent);
    await expect(collect(createFileAudioSource({ filename }, silent).pipeThrough(nothing))).rejects.toThrow(
      "NeMoSTT.modelPath: expected a model, got an empty text. Name a file.",
    );
  });

  it("compare the blank with that of an engine that was given", async () => {
    const told: string[] = [];
    const engine = Object.assign(hashEngine(), { model: { blankId: 7 } });
    const parameters = { encoderModel: "m", vocabFile: "t", cmvnFile: "none", blankId: 0 } as const;
    const operator = createOnnxSTT(parameters, { engine, warn: (sentence) => void told.push(sentence) });
    await collect(streamOf(audioItems("audioChunk", pcm(noise(0.2)), 3200, 32)).pipeThrough(operator));
    expect(told.join("\n")).toMatch(/blankId is 0, but the model's blank is 7/);
  });

  it("refuse what is no item, no sound and no time, by name", async () => {
    const write = async (item: unknown, operator = createNeMoSTT(models, { engine: hashEngine(), ...silent })) => {
      const read = collect(operator.readable);
      read.catch(() => {});
      await operator.writable.getWriter().write(item as never);
      return read;
    };
    const tuple = { audioChunk: pcm(noise(0.1)), audioTimestamp: 0n };
    await expect(write({ kind: "foo" })).rejects.toThrow(
      "NeMoSTT: expected a tuple, a window or the final mark, got the kind foo. Use tupleItem.",
    );
    await expect(write(tuple)).rejects.toThrow(/got object\. Use tupleItem/);
    await expect(write(tupleItem({ ...tuple, audioChunk: "abc" }))).rejects.toThrow(
      "NeMoSTT.audioChunk: expected a Uint8Array (blob), got string. Give bytes.",
    );
    for (const audioTimestamp of [undefined, 5, -1n])
      await expect(write(tupleItem({ ...tuple, audioTimestamp }), createVad({}, silent) as never)).rejects.toThrow(
        `VAD.audioTimestamp: expected a bigint of 0 or more (uint64), got ${audioTimestamp}. Give milliseconds.`,
      );
    const splitter = createAudioChannelSplitter({}, silent);
    for (const side of [splitter.left, splitter.right]) collect(side).catch(() => {});
    await expect(splitter.writable.getWriter().write(tupleItem(tuple) as never)).rejects.toThrow(
      "AudioChannelSplitter.audioData: expected a Uint8Array (blob), got undefined. Give bytes.",
    );
    expect(() => createNeMoSTT(null as never)).toThrow(
      "NeMoSTT: expected its parameters as an object, got null. Give {} for none.",
    );
    expect(() => createNeMoSTT({ ...models, toString: 1 } as never)).toThrow(/NeMoSTT.toString: expected one of/);
    expect(() => createAudioChannelSplitter({ targetSampleRate: 100 })).toThrow(
      "AudioChannelSplitter.targetSampleRate: expected 0, or a value in [8000, 48000], got 100. Give another, or leave it out.",
    );
  });

  it("measure with the clock", async () => {
    let now = 0;
    const clock: Clock = {
      nowMs() {
        now += 10;
        return now;
      },
    };
    const statistics = new StatisticsMeter(clock);
    const operator = createNeMoSTT(models, { engine: hashEngine(), clock, statistics, ...silent });
    await collect(streamOf(audioItems("audioChunk", pcm(noise(1)), 3200, 32)).pipeThrough(operator));
    statistics.addBatch({ featuresSec: 0.005, encodeSec: 0.02, decodeSec: 0.01 });
    const read = statistics.read();
    expect(read).toMatchObject({
      chunks: { total: 10 },
      audioMs: 1000,
      finals: 1,
      stages: { features: { totalMs: 5 }, model: { totalMs: 20 }, decoding: { meanMs: 10 } },
    });
    expect(read.stages.recognition?.count).toBe(12);
    expect(read.realTimeFactor).toBeGreaterThan(0.1);
    expect(read.latency.maxMs).toBeGreaterThan(0);
  });
});

describe("AudioChannelSplitter", () => {
  const [left, right] = [noise(0.5, 1, 8000), noise(0.5, 2, 8000)].map((s) => s.map((value) => value * 0.9));
  const ENCODED = { pcm16: "s16le", pcm8: "u8", ulaw: "ulaw", alaw: "alaw" } as const;

  const split = async (parameters: object, items: Item<{ audioData: Uint8Array; audioTimestamp: bigint }>[]) => {
    const splitter = createAudioChannelSplitter(parameters, silent);
    const [, ...sides] = await Promise.all([
      streamOf(items).pipeTo(splitter.writable),
      collect(splitter.left),
      collect(splitter.right),
    ]);
    return sides;
  };
  const soundOf = (items: readonly Item<ChannelAudioStream>[]) =>
    Buffer.concat(tuples(items).map(({ audioData }) => audioData)).toString("hex");

  it("splits every encoding in both layouts, cut anywhere, into the samples of each side", async () => {
    for (const [name, encoding] of Object.entries(ENCODED)) {
      const interleaved = encodeSamples([left, right], encoding);
      const expected = [left, right].map((side) =>
        Buffer.from(pcm(decodeSamples(encodeSamples([side], encoding), encoding)[0])).toString("hex"),
      );
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 9000 }), async (blockBytes) => {
          const items = audioItems("audioData", interleaved, blockBytes, interleaved.length / 500);
          expect((await split({ encoding: name }, items)).map(soundOf)).toEqual(expected);
        }),
        { numRuns: 4, examples: [[3], [5]] },
      );
      const size = encoding === "s16le" ? 2 : 1;
      const sides = [left, right].map((side) => encodeSamples([side], encoding));
      const blocks: Item<{ audioData: Uint8Array; audioTimestamp: bigint }>[] = [];
      for (let at = 0; at < sides[0].length; at += 333 * size + 1) {
        const halves = sides.map((side) => side.subarray(at, at + 333 * size + 1));
        blocks.push(tupleItem({ audioData: Buffer.concat(halves), audioTimestamp: 0n }));
      }
      const out = await split({ encoding: name, stereoFormat: "nonInterleaved" }, [...blocks, FINAL_MARK]);
      expect(out.map(soundOf), `${name} nonInterleaved`).toEqual(expected);
    }
  });

  it("takes a WAV header for what it says, and not for sound", async () => {
    const sound = [left, right].map((side) => decodeSamples(encodeSamples([side], "ulaw"), "ulaw")[0]);
    const file = encodeWav(sound, { sampleRateHz: 8000, encoding: "ulaw" });
    for (const blockBytes of [1, 999, file.length]) {
      const out = await split({ encoding: "alaw", sampleRate: 16_000 }, audioItems("audioData", file, blockBytes, 16));
      expect(out.map(soundOf)).toEqual(sound.map((side) => Buffer.from(pcm(side)).toString("hex")));
      for (const side of out) {
        expect(tuples(side)[0].sampleRate).toBe(8000);
        expect(side.slice(-2)).toEqual([WINDOW_MARK, FINAL_MARK]);
      }
    }
    const mono = encodeWav([left], { sampleRateHz: 8000, encoding: "s16le" });
    const splitter = createAudioChannelSplitter({}, silent);
    for (const side of [splitter.left, splitter.right]) collect(side).catch(() => {});
    await expect(streamOf(audioItems("audioData", mono, 999, 16)).pipeTo(splitter.writable)).rejects.toThrow(
      "AudioChannelSplitter: expected sound of 2 channels, got a header of 1. Use NeMoSTT.",
    );
  });

  it("resamples with state, times blocks by their samples, and sends marks to both sides", async () => {
    const bytes = encodeSamples([left, right], "s16le");
    const items = audioItems("audioData", bytes, 1234, 32);
    const [a, b] = await split(
      { targetSampleRate: 16_000, leftChannelRole: "agent", rightChannelRole: "customer" },
      items,
    );
    const whole = createResampler(8000, 16_000).resample(decodeSamples(pcm(left), "s16le")[0]);
    expect(soundOf(a)).toBe(Buffer.from(pcm(whole)).toString("hex"));
    let numSamples = 0;
    for (const { audioData, audioTimestamp, sampleRate, bitsPerSample, channelInfo } of tuples(a)) {
      expect(Number(audioTimestamp)).toBe(Math.round(numSamples / 16));
      expect([sampleRate, bitsPerSample, channelInfo.channelNumber, channelInfo.channelRole]).toEqual([
        16_000,
        16,
        0,
        "agent",
      ]);
      numSamples += audioData.length / 2;
    }
    expect(tuples(b)[0].channelInfo).toMatchObject({ channelNumber: 1, channelRole: "customer" });
    for (const side of [a, b]) expect(side.slice(-2)).toEqual([WINDOW_MARK, FINAL_MARK]);
  });
});

describe("file sources", () => {
  it("send the sound of a recording and not its header, in blocks with true times", async () => {
    const sound = noise(1.01, 4);
    const wav = join(folder, "one.wav");
    writeFileSync(wav, encodeWav([sound], { sampleRateHz: 16_000, encoding: "s16le" }));
    const raw = join(folder, "one.bin");
    writeFileSync(raw, pcm(sound));
    for (const filename of [wav, raw]) {
      const items = await collect(createFileAudioSource({ filename }, silent));
      expect(items.slice(-2)).toEqual([WINDOW_MARK, FINAL_MARK]);
      const blocks = tuples(items);
      expect(Buffer.concat(blocks.map(({ audioChunk }) => audioChunk)).equals(Buffer.from(pcm(sound)))).toBe(true);
      expect(blocks.map(({ audioTimestamp }) => audioTimestamp)).toEqual(blocks.map((_, i) => BigInt(100 * i)));
      expect(blocks.at(-1)?.audioChunk.length).toBe(320);
    }
  });

  it("resample, mix and split as their parameters say", async () => {
    const filename = example("call-ulaw-8k.wav");
    const mono = tuples(await collect(createFileAudioSource({ filename }, silent)));
    const stereo = tuples(
      await collect(createFileAudioSource({ filename, sampleRate: 8000, channelCount: 2 }, silent)),
    );
    const bytesOf = (blocks: readonly { audioChunk: Uint8Array }[]) =>
      blocks.reduce((sum, b) => sum + b.audioChunk.length, 0);
    expect(bytesOf(mono)).toBe(bytesOf(stereo));
    const { left, right } = createStereoFileAudioSource(
      { filename, leftChannelRole: "agent", targetSampleRate: 16_000 },
      silent,
    );
    const [a, b] = await Promise.all([collect(left), collect(right)]);
    expect(tuples(a).length).toBe(tuples(b).length);
    expect(tuples(a)[0]).toMatchObject({ sampleRate: 16_000, channelInfo: { channelRole: "agent" } });
    expect(a.slice(-2)).toEqual([WINDOW_MARK, FINAL_MARK]);
    // The splitter on the same sound gives the same.
    const splitter = createAudioChannelSplitter({ targetSampleRate: 16_000, leftChannelRole: "agent" }, silent);
    const chunks = stereo.map(({ audioChunk, audioTimestamp }) => tupleItem({ audioData: audioChunk, audioTimestamp }));
    const [, c] = await Promise.all([
      streamOf([...chunks, FINAL_MARK]).pipeTo(splitter.writable),
      collect(splitter.left),
      collect(splitter.right),
    ]);
    const soundOf = (items: typeof a) => Buffer.concat(tuples(items).map(({ audioData }) => audioData));
    expect(soundOf(c).equals(soundOf(a))).toBe(true);
  });

  it("fail with the file's own error", async () => {
    await expect(collect(createFileAudioSource({ filename: join(folder, "none.wav") }, silent))).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    const mono = createStereoFileAudioSource({ filename: example("morning-rms.wav") }, silent);
    await expect(Promise.all([collect(mono.left), collect(mono.right)])).rejects.toThrow(
      /expected a recording of 2 channels, got 1/,
    );
    expect(() => createFileAudioSource({ filename: "x", bitsPerSample: 12 }, silent)).toThrow(
      /expected 8, 16, 24 or 32, got 12/,
    );
  });
});

describe("VAD", () => {
  it("finds speech with the bundled MarbleNet, the same whatever the blocks", async () => {
    const filename = example("garden-slt.wav");
    const run = async (blockSize: number) => {
      const vad = createVad({}, silent);
      return { out: await collect(createFileAudioSource({ filename, blockSize }, silent).pipeThrough(vad)), vad };
    };
    const [{ out, vad }, other] = [await run(3200), await run(32_000)];
    const results = tuples(out);
    expect(results.map(({ timestamp }) => Number(timestamp)).slice(0, 4)).toEqual([0, 16, 32, 48]);
    expect(results.filter(({ isSpeech }) => isSpeech).length / results.length).toBeGreaterThan(0.5);
    const difference = tuples(other.out).map(({ confidence }, i) => Math.abs(confidence - results[i].confidence));
    expect(Math.max(...difference)).toBeLessThan(5e-3);
    expect(tuples(other.out).length).toBe(results.length);
    const read = vad.statistics.read();
    expect(read.chunks.speech + read.chunks.silence).toBe(results.length);
    expect(read.stages.vad?.totalMs).toBeGreaterThan(0);
    const quiet = createVad({}, silent);
    const none = tuples(
      await collect(streamOf(audioItems("audioChunk", new Uint8Array(64_000), 3200, 32)).pipeThrough(quiet)),
    );
    expect(none.some(({ isSpeech }) => isSpeech)).toBe(false);
  });

  it("gates by energy only where it is asked to", async () => {
    const sound = new Float32Array(32_000);
    sound.set(noise(1, 1), 16_000);
    const gate = createVad({ method: "energy" }, silent);
    const results = tuples(await collect(streamOf(audioItems("audioChunk", pcm(sound), 3200, 32)).pipeThrough(gate)));
    const speechAt = (ms: number) => results.find(({ timestamp }) => Number(timestamp) >= ms)?.isSpeech;
    expect([speechAt(500), speechAt(1500)]).toEqual([false, true]);
    const share = async (threshold: number) => {
      const vad = createVad({ method: "energy", threshold }, silent);
      const out = tuples(await collect(streamOf(audioItems("audioChunk", pcm(sound), 3200, 32)).pipeThrough(vad)));
      return out.filter(({ isSpeech }) => isSpeech).length;
    };
    expect(await share(0)).toBe(results.length);
    expect(await share(0.5)).toBe(results.filter(({ isSpeech }) => isSpeech).length);
    expect(await share(1)).toBeLessThan(await share(0.5));
    expect(() => createVad({ method: "energy", modelPath: "x" }, silent)).toThrow(/expected none with method energy/);
  });
});

const contract = fileURLToPath(new URL("../../../../../shared/reference/streams.md", import.meta.url));
describe("parameter tables", () => {
  it.skipIf(!existsSync(contract))("are those of the contract (needs ../shared)", () => {
    const text = readFileSync(contract, "utf8");
    for (const { name, parameters } of OPERATORS) {
      if (name === "VAD") continue;
      const section = text.slice(text.search(new RegExp(`^## 2\\.\\d ${name}$`, "m")));
      const line = (/^\| parameters \| (.*) \|$/m.exec(section) ??
        /Parameters: (.*?)\. Real:/.exec(section) ??
        /Parameters: (.*)$/m.exec(section))?.[1] as string;
      const own = line.split(/\. (?:Same|Its)/)[0];
      const listed = [...own.matchAll(/`([A-Za-z]+)(\*?)`/g)]
        .map(([, key, star]) => ({ key, isRequired: star === "*" }))
        .filter(({ key }) => !/^mono|^audio(Data|Chunk)$/.test(key));
      expect(listed.map(({ key }) => key).sort(), name).toEqual(Object.keys(parameters).sort());
      for (const { key, isRequired } of listed) {
        const spec = parameters[key];
        expect([key, spec.isRequired ?? false]).toEqual([key, isRequired]);
        const stated = new RegExp(`\`${key}\\*?\` \\(\`?([\\w]+)`).exec(own)?.[1];
        if (stated && spec.default !== undefined && !spec.choices)
          expect([key, `${spec.default}`]).toEqual([key, stated]);
      }
    }
    expect(Object.keys(AUDIO_CHANNEL_SPLITTER.parameters)).toHaveLength(6);
  });
});
