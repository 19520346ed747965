import { existsSync, readdirSync, readFileSync } from "node:fs";
import {
  buildGraphs,
  type ForeignLayout,
  foreignGraphs,
  type Graph,
  memorySource,
  modelBytes,
  openNemo,
  openRecognizer,
  type Recognizer,
} from "@nemo-stt/core";
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../../src/runtime.ts";
import {
  bundled,
  exported,
  type Files,
  graphFiles,
  headsOf,
  openForeign,
  openOwn,
  readPcm16,
  recordings,
  shared,
  textFile,
  tokensFile,
  tokensOf,
} from "./files.ts";
import { type RandomModel, randomHybrid } from "./random-model.ts";

const LAYOUTS: readonly ForeignLayout[] = ["nemo", "sherpa"];
const waveforms = recordings.map(readPcm16);

const tdt = randomHybrid([0, 1, 2, 3, 4], 20);
const rnnt = randomHybrid([], 31);

/** What a random model gives in our own layout. */
async function ownRecognizer({ spec, weights }: RandomModel, tokenizer: Recognizer["tokenizer"]): Promise<Recognizer> {
  const { encoder, prediction, joint } = buildGraphs(spec, weights);
  const located = async (graph: Graph | undefined) => ({ bytes: await modelBytes(graph as Graph) });
  const graphs = {
    encoder: await located(encoder),
    prediction: await located(prediction),
    joint: await located(joint),
  };
  return openRecognizer(
    { fingerprint: "test", name: "own", spec, tokenizer, featureTensors: {}, graphs },
    nodeRuntime(),
  );
}

/** A random model in another layout, and without our metadata what another tool would have written. */
async function foreignFiles(model: RandomModel, layout: ForeignLayout, hasMetadata: boolean) {
  const options = { precision: "float32", stem: "model" } as const;
  return graphFiles(foreignGraphs(layout, model.spec, model.weights, options), hasMetadata);
}

async function expectSameAsOwn(model: RandomModel, files: Files, graph?: string): Promise<void> {
  await using foreign = await openForeign(files, graph);
  await using own = await ownRecognizer(model, foreign.tokenizer);
  const { transducer } = foreign.spec.heads;
  if (transducer) expect(transducer.durations).toEqual(model.spec.heads.transducer?.durations);
  for (const head of headsOf(foreign.spec)) {
    const expected = tokensOf(await own.transcribe(waveforms, { head }));
    expect(expected.every(({ tokens }) => tokens.length > 5)).toBe(true);
    expect(tokensOf(await foreign.transcribe(waveforms, { head }))).toEqual(expected);
  }
}

describe("openForeignRecognizer", () => {
  test.each(LAYOUTS)(
    "gives the bundled model's tokens, times and texts in layout %s, by either head",
    async (layout) => {
      await using own = await openRecognizer(await openOwn(await exported(bundled, "nemo-stt")), nodeRuntime());
      await using foreign = await openForeign(await exported(bundled, layout));
      for (const head of ["ctc", "transducer"] as const) {
        const expected = tokensOf(await own.transcribe(waveforms, { head }));
        expect(expected.every(({ text }) => text.length > 20)).toBe(true);
        expect(tokensOf(await foreign.transcribe(waveforms, { head }))).toEqual(expected);
      }
      expect(foreign.spec.features).toEqual(own.spec.features);
    },
  );

  test.each(LAYOUTS)("gives a TDT hybrid's tokens and times in layout %s, by either head", async (layout) => {
    const files = await foreignFiles(tdt, layout, true);
    await expectSameAsOwn(tdt, files.set("tokens.txt", tokensFile(tdt.pieces)));
  });

  test("reads NeMo's own export, whose graphs tell nothing but their shapes", async () => {
    const files = await foreignFiles(rnnt, "nemo", false);
    files.set("config.json", textFile(JSON.stringify({ max_tokens_per_step: 5 })));
    await expectSameAsOwn(rnnt, files.set("tokens.txt", tokensFile(rnnt.pieces)));
  });

  test("reads onnx-asr's folders: vocab.txt, config.json, features as a graph beside the model", async () => {
    const files = await foreignFiles(tdt, "nemo", false);
    files.delete("model.onnx");
    files.set("nemo80.onnx", new Uint8Array(0));
    files.set("vocab.txt", tokensFile(tdt.pieces));
    const config = {
      model_type: "nemo-conformer-tdt",
      features_size: 80,
      subsampling_factor: 8,
      max_tokens_per_step: 5,
    };
    await expectSameAsOwn(tdt, files.set("config.json", textFile(JSON.stringify(config))));
  });

  test("reads graphs whose batch is fixed to one recording and one step", async () => {
    for (const layout of LAYOUTS) {
      const options = { precision: "float32", stem: "model" } as const;
      const graphs = foreignGraphs(layout, tdt.spec, tdt.weights, options);
      const fixed = (graph: Graph): Graph => ({
        ...graph,
        inputs: graph.inputs.map((port) => ({
          ...port,
          dims: port.dims.map((dim) => (dim === "batch" || dim === "step" || dim === "label" ? 1 : dim)),
        })),
      });
      const files = await graphFiles(new Map([...graphs].map(([name, graph]) => [name, fixed(graph)])));
      await expectSameAsOwn(tdt, files.set("tokens.txt", tokensFile(tdt.pieces)));
    }
  });

  test("loads the head of the graph that was named, with the tokens that carry its name", async () => {
    const files = await foreignFiles(tdt, "sherpa", true);
    files.set("model.tokens.txt", tokensFile(tdt.pieces));
    files.set("tokens.txt", tokensFile(["of", "another", "model"]));
    await using ctc = await openForeign(files, "model.onnx");
    expect(headsOf(ctc.spec)).toEqual(["ctc"]);
    await expectSameAsOwn(tdt, files, "model.onnx");
    files.set("tokens.txt", tokensFile(tdt.pieces));
    await using transducer = await openForeign(files, "joiner.onnx");
    expect(headsOf(transducer.spec)).toEqual(["transducer"]);
  });

  test("answers alike whatever a recording is batched with", async () => {
    const files = await foreignFiles(tdt, "sherpa", true);
    await using foreign = await openForeign(files.set("tokens.txt", tokensFile(tdt.pieces)));
    const alone = await Promise.all(waveforms.map(async (waveform) => (await foreign.transcribe([waveform]))[0]));
    expect(await foreign.transcribe(waveforms)).toEqual(alone);
    const [cut] = await foreign.transcribe([waveforms[0].subarray(0, 100)]);
    expect(cut.text).toBe("");
  });

  test("cuts long recordings into windows", async () => {
    const files = await foreignFiles(tdt, "sherpa", true);
    await using foreign = await openForeign(files.set("tokens.txt", tokensFile(tdt.pieces)));
    const long = new Float32Array(300 * 16_000);
    for (let start = 0; start + waveforms[0].length <= long.length; start += waveforms[0].length) {
      long.set(waveforms[0], start);
    }
    const [transcript] = await foreign.transcribe([long], { head: "ctc" });
    expect(transcript.longForm).toBe("windows");
    expect(transcript.tokens.at(-1)?.endSec).toBeGreaterThan(290);
  });

  test("takes the front end from NeMo's model_config.yaml where it lies beside the graphs", async () => {
    const files = await exported(bundled, "nemo");
    const checkpoint = await openNemo(memorySource(readFileSync(bundled), "bundled.nemo"));
    const config = JSON.stringify({ ...checkpoint.config, target: "x.EncDecHybridRNNTCTCBPEModel" });
    const graphs = new Map([...files].filter(([name]) => name.endsWith(".onnx")));
    await using told = await openForeign(files, "model.onnx");
    const plain = new Map([...graphs].map(([name, bytes]) => [name, withoutMetadata(bytes)]));
    plain.set("tokens.txt", files.get("tokens.txt") as Uint8Array);
    await using untold = await openForeign(plain, "model.onnx");
    expect(untold.spec.features.normalize).toEqual({ kind: "per_feature" });
    await using configured = await openForeign(plain.set("model_config.yaml", textFile(config)), "model.onnx");
    expect({ ...configured.spec.features, padTo: 0 }).toEqual({ ...told.spec.features, padTo: 0 });
    expect(configured.spec.features.normalize).toEqual({ kind: "none" });
    expect(configured.spec.decoding).toEqual(told.spec.decoding);
    expect(configured.spec.className).toBe("EncDecHybridRNNTCTCBPEModel");
  });
});

/** The graph under another name for our note: nobody finds it there. */
function withoutMetadata(model: Uint8Array): Uint8Array {
  const bytes = Buffer.from(model);
  const at = bytes.lastIndexOf("nemo_stt_spec");
  if (at >= 0) bytes.write("somebody_else", at);
  return bytes;
}

describe("openForeignRecognizer on goldens", () => {
  const goldens = new URL("golden/", shared);
  const clips = ["clip0", "clip1", "clip2"];
  const names = existsSync(goldens)
    ? readdirSync(goldens).filter(
        (name) => existsSync(new URL(`${name}/model.nemo`, goldens)) && !name.startsWith("vad"),
      )
    : [];
  const cases = names.flatMap((name) => LAYOUTS.map((layout) => [name, layout] as const));

  test.skipIf(cases.length === 0).each(cases.length > 0 ? cases : [["none", "nemo"] as const])(
    "gives NeMo's tokens of %s in layout %s",
    async (name, layout) => {
      const reference = JSON.parse(readFileSync(new URL(`${name}/reference.json`, goldens), "utf8"));
      await using foreign = await openForeign(await exported(new URL(`${name}/model.nemo`, goldens), layout));
      const waves = clips.map((clip) => readPcm16(new URL(`clips/${clip}.wav`, goldens)));
      for (const head of headsOf(foreign.spec)) {
        const found = await foreign.transcribe(waves, { head });
        const expected = clips.map((clip) => reference[clip][head][0]);
        expect(found.map((t) => t.tokens.map((token) => token.id))).toEqual(expected.map((e) => e.tokens));
        expect(expected.map((e) => foreign.tokenizer.decode(e.tokens))).toEqual(expected.map((e) => e.text));
        // NeMo itself cannot give times, and so no transcripts, of characters and WordPieces.
        const transcripts = reference.transcribe?.[head === "ctc" ? "ctc" : "rnnt"] ?? reference.transcribe?.default;
        if (transcripts) expect(found.map((t) => t.text)).toEqual(transcripts.map((t: { text: string }) => t.text));
      }
    },
  );
});
