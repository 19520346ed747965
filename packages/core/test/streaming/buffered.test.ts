import { existsSync } from "node:fs";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { ConformerSpec, ModelSpec } from "../../src/config/spec.ts";
import { openModelFolder } from "../../src/recognition/folder.ts";
import type { LongFormLimits } from "../../src/recognition/long-form.ts";
import { openRecognizer, type Recognizer, recognizerOf } from "../../src/recognition/recognizer.ts";
import { type BufferedParts, createBufferedSet } from "../../src/streaming/buffered-set.ts";
import { openBufferedSet, openSpeechEngine, type SpeechEngineOptions } from "../../src/streaming/open-speech-engine.ts";
import type { FinalEvent, StreamEvent, StreamOptions } from "../../src/streaming/stream.ts";
import type { StreamSet } from "../../src/streaming/stream-set.ts";
import { tableNetworks } from "../decoding/table-networks.ts";
import { bundled, exportBundled, memoryFolder, openExported, recording, testRuntime } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";

const runtime = await testRuntime();
const speech = await bundled("speech");
const morning = await recording("morning-rms");
const garden = await recording("garden-slt");
const clips = [garden, morning.subarray(0, 100_003), garden.subarray(0, 30_000), new Float32Array(100)];

/** The bundled model under another description. */
async function variant(change: (encoder: ConformerSpec) => ConformerSpec) {
  const files = await exportBundled("speech", "float32", (spec) => ({
    ...spec,
    encoder: change(spec.encoder as ConformerSpec),
  }));
  return openModelFolder(memoryFolder(files, "variant"));
}

const withContexts = (encoder: ConformerSpec, style: ConformerSpec["attention"]["style"], contexts: number[][]) => ({
  ...encoder,
  attention: { ...encoder.attention, style, contexts: contexts.map(([left, right]) => ({ left, right })) },
});

/** Runs recordings side by side in packets, each saved and restored once where asked for. */
async function stream(
  set: StreamSet,
  waveforms: readonly Float32Array[],
  options: StreamOptions,
  packets: readonly number[],
  restores = false,
): Promise<FinalEvent[][]> {
  const finals = waveforms.map((): FinalEvent[] => []);
  const receive = (i: number) => (event: StreamEvent) => {
    if (event.type === "final") finals[i].push(event);
  };
  waveforms.forEach((_, i) => {
    set.open(i, options, receive(i));
  });
  const places = waveforms.map(() => 0);
  for (let n = 0; places.some((place, i) => place < waveforms[i].length); n++) {
    const i = n % waveforms.length;
    const size = packets[n % packets.length];
    if (places[i] >= waveforms[i].length) continue;
    set.feed(i, waveforms[i].subarray(places[i], places[i] + size));
    places[i] += size;
    if (n % 3 === 0) while (await set.runBatch());
    if (!restores || n !== 10 + i) continue;
    while (await set.runBatch());
    const blob = set.save(i);
    set.close(i);
    set.open(i, {}, receive(i), blob);
  }
  waveforms.forEach((_, i) => {
    set.finish(i);
  });
  while (await set.runBatch());
  waveforms.forEach((_, i) => {
    expect(set.hasEnded(i)).toBe(true);
    set.close(i);
  });
  return finals;
}

const facts = (tokens: readonly { readonly id: number; readonly startStep: number; readonly endStep: number }[]) =>
  tokens.map(({ id, startStep, endStep }) => [id, startStep, endStep]);

const packets = fc.array(fc.integer({ min: 100, max: 60_000 }), { minLength: 1, maxLength: 5 });

/** Streams give what `transcribe` gives in the windows of the same sizes. */
async function expectSame(
  recognizer: Recognizer,
  set: StreamSet,
  options: StreamOptions,
  longForm: LongFormLimits,
  runs = 2,
): Promise<void> {
  const { head, attContext } = options;
  const expected: Awaited<ReturnType<Recognizer["transcribe"]>> = [];
  for (const clip of clips) expected.push(...(await recognizer.transcribe([clip], { head, attContext, longForm })));
  expect(expected[0].tokens.length).toBeGreaterThan(3);
  await fc.assert(
    fc.asyncProperty(packets, fc.boolean(), async (sizes, restores) => {
      const finals = await stream(set, clips, options, sizes, restores);
      finals.forEach((events, i) => {
        expect(facts(events.flatMap(({ tokens }) => tokens))).toEqual(facts(expected[i].tokens));
        const text = events.reduce((all, { text, joinsPrevious }) => `${all}${joinsPrevious ? "" : " "}${text}`, "");
        expect(text.trim()).toBe(expected[i].text);
      });
    }),
    propertyRuns(runs),
  );
}

const SIZES = { leftSec: 4, chunkSec: 1, rightSec: 0.8 };
const FORCED = { ...SIZES, maxWholeSec: 0.05 };
const now = () => 0;
/** Louder samples are refused. */
const LOUDEST = 1e6;

describe("a model with full attention", async () => {
  const model = await variant((encoder) => withContexts(encoder, "regular", [[-1, -1]]));
  const recognizer = await openRecognizer(model, runtime);
  const opened = await openBufferedSet(model, runtime, { now, buffered: SIZES });
  afterAll(() => Promise.all([recognizer.close(), opened.release()]));

  test.each(["ctc", "transducer"] as const)("streams what `transcribe` finds in the same windows: %s", async (head) => {
    await expectSame(recognizer, opened.set, { head, endpoint: { silence: "none" } }, FORCED);
  });
});

describe("a model whose attention is limited", async () => {
  // Four steps back and one ahead: what reaches a step through all layers is seconds.
  const model = await variant((encoder) => withContexts(encoder, "regular", [[4, 1]]));
  const recognizer = await openRecognizer(model, runtime);
  const opened = await openBufferedSet(model, runtime, { now, buffered: { leftSec: 15, chunkSec: 1, rightSec: 2 } });
  afterAll(() => Promise.all([recognizer.close(), opened.release()]));

  test("streams what `transcribe` finds in the whole recording", async () => {
    expect(opened.parts.modes.map(({ sizes }) => sizes.method)).toEqual(["exact-windows"]);
    await expectSame(recognizer, opened.set, { endpoint: { silence: "decoder", minSilenceSec: 0.4 } }, {}, 1);
  });
});

describe("a model whose default looks ahead in every layer", async () => {
  const model = await variant((encoder) =>
    withContexts(encoder, "regular", [
      [70, 1],
      [70, 0],
    ]),
  );

  test("streams with caches in what a chunk contains, and says which context that is not", async () => {
    const engine = await openSpeechEngine(model, runtime, { now });
    expect(engine.modes.map(({ attContext }) => attContext)).toEqual([[70, 0]]);
    expect(engine.defaultContext).toEqual([70, 1]);
    await expect(engine.open({ attContext: [70, 1] }, () => {})).rejects.toMatchObject({ code: "MODEL_UNSUPPORTED" });
    await engine.close();
    const inWindows = await openSpeechEngine(model, runtime, { now, method: "buffered" });
    expect(inWindows.modes[0].attContext).toEqual(inWindows.defaultContext);
    await inWindows.close();
  });
});

/** A recogniser of tables behind real features: an encoder row is what eight frames of sound are, and nothing else. */
async function tableRecognizer(
  durations: readonly number[],
  normalize: "none" | "per_feature" = "none",
): Promise<Recognizer> {
  const { spec, tokenizer, featureTensors } = speech;
  const transducer = spec.heads.transducer as NonNullable<ModelSpec["heads"]["transducer"]>;
  const blank = transducer.vocabularySize;
  const { networks } = tableNetworks({ seed: 5, blank, durations, blankLead: 4 });
  const kind = durations.length > 0 ? ("tdt" as const) : ("rnnt" as const);
  const encoder = { kind: "graph", numMels: spec.features.numMels, outSize: 2, subsamplingFactor: 8 } as const;
  const features = { ...spec.features, normalize: { kind: normalize } };
  const own: ModelSpec = { ...spec, features, encoder, heads: { transducer: { ...transducer, kind, durations } } };
  return recognizerOf({
    name: "tables",
    tokenizer: tokenizer as NonNullable<typeof tokenizer>,
    featureTensors,
    acoustic: {
      spec: own,
      networks,
      close: async () => {},
      async encode({ data, numMels, numFrames, lengths }) {
        const numSteps = Math.ceil(numFrames / 8);
        const projected = new Float32Array(lengths.length * numSteps * 2);
        for (let row = 0; row < lengths.length; row++) {
          for (let t = 0; t < numSteps; t++) {
            const frame = Math.min(8 * t + 3, numFrames - 1);
            let sum = 0;
            for (let m = 0; m < numMels; m++) sum += data[(row * numMels + m) * numFrames + frame];
            projected[(row * numSteps + t) * 2] = Math.abs(Math.round(sum * 10));
          }
        }
        const steps = lengths.map((length) => Math.ceil(length / 8));
        return { numSteps, lengths: steps, encoded: new Float32Array(0), projected };
      },
    },
  });
}

describe.each([{ durations: [] }, { durations: [0, 1, 2, 3, 4] }])(
  "a graph with durations $durations",
  ({ durations }) => {
    const endpoint = { silence: "none" } as const;

    test("streams the tokens of the whole recording where steps hear their own sound only", async () => {
      const recognizer = await tableRecognizer(durations);
      const { set } = await openBufferedSet(recognizer, runtime, { now, buffered: SIZES });
      await expectSame(recognizer, set, { endpoint }, {}, 3);
    });

    test("streams what `transcribe` finds in the same windows where features are normalised over these", async () => {
      const recognizer = await tableRecognizer(durations, "per_feature");
      const { set } = await openBufferedSet(recognizer, runtime, { now, buffered: SIZES });
      await expectSame(recognizer, set, { endpoint }, FORCED, 3);
    });
  },
);

const goldens = new URL("../../../../../shared/golden/", import.meta.url);

describe.runIf(existsSync(goldens))("NeMo's own checkpoints without caches", () => {
  test.each([
    "citrinet-bpe",
    "conformer-ctc-wpe",
    "fastconformer-local-attention",
    "parakeet-tdt",
    "parakeet-tdt-ctc",
    "quartznet-char",
  ])("stream what `transcribe` finds in the same windows: %s", async (name) => {
    const model = await openExported(new URL(`${name}/model.nemo`, goldens));
    const recognizer = await openRecognizer(model, runtime);
    const { set } = await openBufferedSet(recognizer, runtime, { now, buffered: SIZES });
    await expectSame(recognizer, set, { endpoint: { silence: "none" } }, FORCED, 1);
    await recognizer.close();
  });
});

describe("openSpeechEngine", async () => {
  const model = speech;
  const options: SpeechEngineOptions = { now };

  test("remembers where the encoder can, and says so", async () => {
    const engine = await openSpeechEngine(model, runtime, options);
    expect(engine.modes[0]).toEqual({ attContext: [70, 13], chunkSec: 1.12 });
    await engine.close();
  });

  test("takes windows where the encoder cannot remember or where it is told, and states the latency", async () => {
    const engine = await openSpeechEngine(model, runtime, { ...options, method: "buffered" });
    expect(engine.modes.map(({ attContext, method, latencySec }) => [attContext, method, latencySec])).toEqual([
      [[70, 13], "windows", 2.24 + 2],
      [[70, 6], "windows", 2.24 + 2],
      [[70, 1], "windows", 4.08],
      [[70, 0], "windows", 4],
    ]);
    const events: StreamEvent[] = [];
    const live = await engine.open({ sampleRateHz: 16_000 }, (event) => events.push(event));
    for (let at = 0; at < morning.length; at += 8000) await live.feed(morning.subarray(at, at + 8000));
    await live.finish();
    const text = events.flatMap((event) => (event.type === "final" ? [event.text] : [])).join(" ");
    expect(text).toMatch(/^he said that he would come back/);
    expect(events[0].type).toBe("interim");
    expect(events[0].heardSec).toBeLessThan(3);
    await engine.close();
    const graph = await openSpeechEngine(await tableRecognizer([]), runtime, options);
    expect(graph.modes).toEqual([{ attContext: [-1, -1], chunkSec: 2, latencySec: 4, method: "windows" }]);
    await graph.close();
  });

  test("takes the sizes of windows from a context of three", async () => {
    const recognizer = await tableRecognizer([]);
    const encoder = model.spec.encoder as ConformerSpec;
    const attention = { ...encoder.attention, style: "chunked_limited_with_rc", chunkContexts: [[70, 13, 7]] } as const;
    const rc = { ...recognizer, spec: { ...recognizer.spec, encoder: { ...encoder, attention } } };
    const engine = await openSpeechEngine(rc, runtime, options);
    expect(engine.modes).toEqual([
      { attContext: [-1, -1, -1], chunkSec: 2, latencySec: 4, method: "windows" },
      { attContext: [70, 13, 7], chunkSec: 1.04, latencySec: 1.6, method: "windows" },
    ]);
    await engine.close();
  });

  test.each([{ head: "ctc" }, { head: "transducer" }] as const)(
    "ends a stream whose sound gives no numbers, and its batch mates go on: $head",
    async (choice) => {
      const opened = await openBufferedSet(model, runtime, { now, buffered: SIZES });
      const { acoustic } = opened.parts;
      const failing: BufferedParts = {
        ...opened.parts,
        acoustic: {
          ...acoustic,
          async encode(batch, context, head) {
            const encoded = await acoustic.encode(batch, context, head);
            const values = (head === "ctc" ? encoded.logProbs : encoded.projected) as Float32Array;
            const size = values.length / batch.lengths.length;
            // The first stream's row, where several share a batch.
            if (batch.lengths.length > 1) values.fill(Number.NaN, 0, size);
            return encoded;
          },
        },
      };
      const finals = async (set: StreamSet, ids: readonly number[]) => {
        const found: FinalEvent[] = [];
        for (const id of ids) set.open(id, choice, (event) => event.type === "final" && id === 2 && found.push(event));
        for (let at = 0; at < garden.length; at += 16_000) {
          for (const id of ids) if (!set.failure(id)) set.feed(id, garden.subarray(at, at + 16_000));
          while (await set.runBatch());
        }
        set.finish(2);
        while (await set.runBatch());
        return found.map(({ tokens }) => facts(tokens));
      };
      const set = createBufferedSet(failing);
      expect(await finals(set, [1, 2])).toEqual(await finals(createBufferedSet(opened.parts), [2]));
      expect(set.failure(1)).toMatchObject({ code: "AUDIO_INVALID" });
      expect(set.failure(2)).toBeUndefined();
      expect(() => set.feed(1, garden)).toThrow("stream 1: expected numbers from the encoder, got none at step 0.");
      expect(set.hasEnded(2)).toBe(true);
      set.close(1);
      await opened.release();
    },
  );

  test("hears its batch mates beside the loudest garbage that is let in", async () => {
    const opened = await openBufferedSet(model, runtime, { now, buffered: SIZES });
    const { set } = opened;
    const loud = Float32Array.from({ length: 40_000 }, (_, i) => (i % 3 === 0 ? LOUDEST : -LOUDEST));
    const found: FinalEvent[] = [];
    set.open(1, {}, () => {});
    set.open(2, {}, (event) => event.type === "final" && found.push(event));
    for (let at = 0; at < 40_000; at += 8000) {
      set.feed(1, loud.subarray(at, at + 8000));
      set.feed(2, garden.subarray(at, at + 8000));
      while (await set.runBatch());
    }
    set.finish(2);
    while (await set.runBatch());
    expect(() =>
      set.feed(
        1,
        loud.map((x) => 2 * x),
      ),
    ).toThrow("expected samples in [-1, 1]");
    expect(found.map(({ text }) => text).join(" ")).toMatch(/^she opened/);
    await opened.release();
  });

  test("refuses what windows cannot do, and streams over its capacity", async () => {
    const { set } = await openBufferedSet(await tableRecognizer([]), runtime, { now, maxStreams: 1 });
    const open = (id: number, asked: StreamOptions, blob?: Uint8Array) => () => set.open(id, asked, () => {}, blob);
    expect(open(0, { fastAttContext: [70, 0] })).toThrow(
      "expected one attention context, got a second, faster one, which takes an encoder with caches. Leave it out: windows have one latency.",
    );
    expect(open(0, { attContext: [70, 0] })).toThrow("attention context: expected none");
    open(0, {})();
    expect(open(1, {})).toThrow(
      "streams: expected at most 1 at a time, got one more. Try again when another has ended.",
    );
    const blob = set.save(0);
    expect(() => set.feed(0, new Float32Array([Number.NaN]))).toThrow("got NaN at place 0 of a packet");
    set.close(0);
    const other = await openBufferedSet(await tableRecognizer([0, 1]), runtime, { now });
    expect(() => other.set.open(0, {}, () => {}, blob)).toThrow("Open it with the model it was saved with.");
    expect(open(0, {}, new Uint8Array(3))).toThrow("stream: expected a saved stream, got bytes that are none.");
    await expect(
      openBufferedSet(await tableRecognizer([]), runtime, { now, buffered: { chunkSec: 0 } }),
    ).rejects.toThrow("buffered.chunkSec: expected a number of seconds above 0, got 0. Leave it out, or give one.");
  });
});
