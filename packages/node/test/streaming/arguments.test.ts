import { openLocalEngine, type SpeechEngine } from "@nemo-stt/core";
import { afterAll, describe, expect, test } from "vitest";
import { BUNDLED_MODELS, nodeRuntime, openEngine, openModel } from "../../src/index.ts";
import { openTestEngine } from "./engine-fixture.ts";

// Callers without a compiler give anything at all.
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested
const anything = (value: unknown): any => value;
const receive = () => {};

const engines: Record<string, SpeechEngine> = {
  threads: await openTestEngine({ isFake: true, numWorkers: 1 }),
  "the calling thread": await openLocalEngine(await openModel(BUNDLED_MODELS.speech), nodeRuntime(), {
    now: () => 0,
    maxStreams: 1,
  }),
};
afterAll(() => Promise.all(Object.values(engines).map((engine) => engine.close())));

/** What a call is refused with: a `TypeError` with the code and the words. */
async function expectRefused(call: () => Promise<unknown>, message: string): Promise<void> {
  const error = await call().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ code: "ARGUMENT_INVALID", message });
}

describe.each(Object.entries(engines))("an engine on %s", (_, engine) => {
  const mode = "Leave it out, or give one of the engine's `modes`.";
  test.each([
    [null, receive, "options: expected an object of options, got null. Leave it out, or give {}."],
    [undefined, receive, "options: expected an object of options, got undefined. Leave it out, or give {}."],
    [{}, undefined, "onEvent: expected a function, got undefined. Give the receiver of events as the second argument."],
    [{}, {}, "onEvent: expected a function, got an Object. Give the receiver of events as the second argument."],
    [
      { sampleRateHz: "8000" },
      receive,
      'options.sampleRateHz: expected a number, got "8000". Leave it out, or give one.',
    ],
    [{ attContext: 70 }, receive, `options.attContext: expected an array of numbers, got 70. ${mode}`],
    [{ fastAttContext: "70,0" }, receive, `options.fastAttContext: expected an array of numbers, got "70,0". ${mode}`],
    [{ head: 1 }, receive, "options.head: expected a head's name, got 1. Leave it out, or give one the model has."],
    [
      { endpoint: "vad" },
      receive,
      'options.endpoint: expected an object of options, got "vad". Leave it out, or give {}.',
    ],
    [
      { endpoint: { minSilenceSec: "1" } },
      receive,
      'options.endpoint.minSilenceSec: expected a number, got "1". Leave it out, or give one.',
    ],
    [
      { confidence: [] },
      receive,
      "options.confidence: expected an object of options, got an Array. Leave it out, or give {}.",
    ],
    [
      { confidence: { method: "softmax" } },
      receive,
      'options.confidence.method: expected "max_prob" or "entropy", got "softmax". Leave it out, or give one.',
    ],
    [
      { confidence: { entropyNorm: 1 } },
      receive,
      'options.confidence.entropyNorm: expected "lin" or "exp", got 1. Leave it out, or give one.',
    ],
    [
      { confidence: { alpha: "0.5" } },
      receive,
      'options.confidence.alpha: expected a number, got "0.5". Leave it out, or give one.',
    ],
  ])("refuses to open a stream with %j", async (options, onEvent, message) => {
    await expectRefused(() => engine.open(anything(options), anything(onEvent)), `open: ${message}`);
    expect(engine.numStreams).toBe(0);
  });

  test("refuses what is no packet, and the stream goes on", async () => {
    const stream = await engine.open({}, receive);
    for (const [samples, got] of [
      [undefined, "undefined"],
      [null, "null"],
      [5, "5"],
      ["abc", '"abc"'],
      [[0, 1], "an Array"],
      [new Int16Array(2), "an Int16Array"],
      [Buffer.alloc(4), "a Uint8Array"],
    ]) {
      await expectRefused(
        () => stream.feed(anything(samples)),
        `feed: samples: expected a Float32Array of samples in [-1, 1], got ${got}. Divide samples of 16 bits by 32768; \`decodeSamples\` reads bytes of any encoding.`,
      );
    }
    await stream.feed(new Float32Array(160));
    await stream.finish();
  });
});

test.each([
  [null, {}, "model: expected a string, got null. Give a path, a model's name, or nothing for the bundled model."],
  [undefined, null, "options: expected an object of options, got null. Leave it out, or give {}."],
  [undefined, { numWorkers: "2" }, 'options.numWorkers: expected a number, got "2". Leave it out, or give one.'],
  [undefined, { snapshotSec: "x" }, 'options.snapshotSec: expected a number, got "x". Leave it out, or give one.'],
  [
    undefined,
    { method: "fast" },
    'options.method: expected "cache-aware" or "buffered", got "fast". Leave it out, or give one.',
  ],
  [
    undefined,
    { precision: "int4" },
    'options.precision: expected "float32" or "float16" or "int8", got "int4". Leave it out, or give one.',
  ],
  [
    undefined,
    { vad: true },
    "options.vad: expected a string or false, got a boolean. Leave it out for the bundled model.",
  ],
  [undefined, { onBatch: "log" }, 'options.onBatch: expected a function, got "log". Leave it out, or give one.'],
])("openEngine refuses %j, %j", async (model, options, message) => {
  await expectRefused(() => openEngine(anything(model), anything(options)), `openEngine: ${message}`);
});

test("engines refuse numbers that make no sense, and clocks that are none", async () => {
  const noTime = new RangeError(
    "openEngine: options.idleTimeoutSec: expected seconds above 0, got NaN. Leave it out, or give some.",
  );
  await expect(openEngine(undefined, { idleTimeoutSec: Number.NaN })).rejects.toThrow(noTime);
  const model = await openModel(BUNDLED_MODELS.speech);
  await expectRefused(
    () => openLocalEngine(model, nodeRuntime(), anything({})),
    "openLocalEngine: options.now: expected a function, got undefined. Give one that tells seconds.",
  );
  for (const count of [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    const message = (where: string, name: string) =>
      `${where}: options.${name}: expected a whole number from 1 up, got ${count}. Leave it out, or give one.`;
    await expect(openEngine(undefined, { numWorkers: count })).rejects.toThrow(
      new RangeError(message("openEngine", "numWorkers")),
    );
    await expect(openLocalEngine(model, nodeRuntime(), { now: () => 0, maxStreams: count })).rejects.toThrow(
      new RangeError(message("openLocalEngine", "maxStreams")),
    );
  }
  await expect(openEngine(undefined, { maxStreams: 1e9, numWorkers: 1 })).rejects.toMatchObject({
    code: "OVER_CAPACITY",
    message: expect.stringContaining("streams: expected memory for the caches of 2000000000 lanes"),
  });
});
