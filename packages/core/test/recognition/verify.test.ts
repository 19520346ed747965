import { afterAll, describe, expect, test } from "vitest";
import { createFeatureExtractor } from "../../src/features/extractor.ts";
import { openAcousticModel } from "../../src/recognition/acoustic.ts";
import { decodeRows } from "../../src/recognition/head-decoder.ts";
import { computeStages } from "../../src/recognition/stages.ts";
import { verifyModel } from "../../src/recognition/verify.ts";
import type { Check, Reference } from "../../src/recognition/verify-checks.ts";
import { float32, int64, type Tensor } from "../../src/tensor.ts";
import { buildTranscript } from "../../src/transcript/build.ts";
import { nemoWordConfidence } from "../../src/transcript/nemo-word-confidence.ts";
import type { TimedText } from "../../src/transcript/transcript.ts";
import { bundled, recording, testRuntime } from "./bundled.ts";

const model = await bundled("speech");
const acoustic = await openAcousticModel(model, await testRuntime());
afterAll(() => acoustic.close());
const { spec } = model;
const tokenizer = model.tokenizer as NonNullable<typeof model.tokenizer>;
const waveform = (await recording("garden-slt")).subarray(0, 32_000);
const extractor = createFeatureExtractor(spec.features, model.featureTensors);
const stages = await computeStages(acoustic, extractor, [waveform]);
const CONTEXT = [70, 0];
const other = await computeStages(acoustic, extractor, [waveform], CONTEXT);

const rows = (items: readonly TimedText[], level: string) =>
  items.map(({ text, startStep, endStep, startSec, endSec }) => ({
    ...{ [level]: text, start_offset: startStep, end_offset: endStep, start: startSec, end: endSec },
  }));

/** Facts in the reference files' own layout, from what the model itself gives. */
async function ownReference(): Promise<Reference & { facts: ReturnType<typeof JSON.parse> }> {
  const facts: Record<string, unknown> = { contexts: {}, transcribe: {} };
  const of = (given: typeof stages) => {
    const [ctc] = given.hypotheses.ctc ?? [];
    const [rnnt] = given.hypotheses.transducer ?? [];
    const score = rnnt.logProbs.reduce((a, b) => a + b, 0);
    const text = buildTranscript(rnnt, tokenizer, {
      ...{ spec, head: "transducer", timestamps: "nemo", durationSec: 2 },
    }).text;
    return {
      ctc: [{ tokens: ctc.tokens, text: tokenizer.decode(ctc.tokens) }],
      transducer: [{ tokens: rnnt.tokens, frames: rnnt.steps, text, score }],
    };
  };
  facts.clip0 = of(stages);
  facts.clip1 = of(stages);
  const inContext = of(other);
  facts.contexts = { [`${CONTEXT}`]: [{ ctc: inContext.ctc[0], transducer: inContext.transducer[0] }] };
  for (const [kind, head] of [
    ["ctc", "ctc"],
    ["rnnt", "transducer"],
  ] as const) {
    const hypothesis = (stages.hypotheses[head] ?? [])[0];
    const nemo = buildTranscript(hypothesis, tokenizer, { spec, head, timestamps: "nemo", durationSec: 2 });
    const times = {
      char: rows(nemo.tokens, "char"),
      word: rows(nemo.words, "word"),
      segment: rows(nemo.segments, "segment"),
    };
    const item = {
      ...{ text: nemo.text, timestamps: times, token_confidence: hypothesis.confidence },
      word_confidence: nemoWordConfidence(hypothesis, tokenizer, head, spec.decoding.confidence.aggregation),
    };
    (facts.transcribe as Record<string, unknown>)[kind] = [item, item];
  }
  const method = { excludeBlank: false, aggregation: "mean", tdtIncludeDuration: false, method: "entropy" } as const;
  const confidence = { ...method, entropyType: "renyi", alpha: 0.5, entropyNorm: "lin" } as const;
  const [measured] = await decodeRows(acoustic, "ctc", stages.encoded, confidence);
  facts.confidence = [
    {
      ...{ head: "ctc", aggregation: "mean", exclude_blank: false, tdt_include_duration: false },
      method: { name: "entropy", entropy_type: "renyi", entropy_norm: "lin", alpha: 0.5 },
      ...{ token_confidence: measured.confidence, word_confidence: null },
    },
    { head: "rnnt", method: {}, error: "NeMo failed" },
  ];
  const { features, encoded } = stages;
  const size = encoded.encoded.length / encoded.numSteps;
  const tensors = new Map<string, Tensor>([
    ["clip0.features", float32(features.data, [1, features.numMels, features.numFrames])],
    ["clip0.features_len", int64(features.lengths)],
    ["clip0.encoder", float32(encoded.encoded, [1, size, encoded.numSteps])],
    ["context.70_0.clip0.encoder", float32(other.encoded.encoded, [1, size, encoded.numSteps])],
    ["stream.70_0.clip0.encoder", float32(new Float32Array(3), [1, 1, 3])],
    ["short.features", float32(extractor.extract(waveform.subarray(0, 100)).data, [1, features.numMels, 1])],
    ["short.encoder", float32(new Float32Array(1).fill(Number.NaN), [1, 1, 1])],
  ]);
  const recordings = new Map([
    ["clip0", waveform],
    ["clip1", waveform],
    ["short", waveform.subarray(0, 100)],
    ["refused", waveform.subarray(0, 10)],
  ]);
  return { tensors, facts: JSON.parse(JSON.stringify(facts)), recordings };
}

async function verify(reference: Reference): Promise<Check[]> {
  const checks: Check[] = [];
  for await (const check of verifyModel(model, acoustic, reference)) checks.push(check);
  return checks;
}

describe("verifyModel", async () => {
  const reference = await ownReference();

  test("compares all that a reference has, and nothing that it has not", async () => {
    const checks = await verify(reference);
    expect(checks.filter((check) => !check.isOk)).toEqual([]);
    const stagesOf = (where: string) => checks.filter((check) => check.where === where).map((check) => check.stage);
    expect(stagesOf("clip0")).toEqual([
      ...["features", "features_len", "encoder", "ctc tokens", "ctc text"],
      ...["transducer tokens", "transducer frames", "transducer text", "score"],
    ]);
    expect(stagesOf("context 70,0 clip0")).toEqual([
      ...["encoder", "ctc tokens", "ctc text", "transducer tokens", "transducer frames", "transducer text", "score"],
    ]);
    const transcript = ["text", "char times", "word times", "segment times", "confidence"];
    expect(stagesOf("transcribe ctc clip1")).toEqual(transcript);
    expect(stagesOf("transcribe transducer clip0")).toEqual(transcript);
    expect(stagesOf("transcribe transducer clip0 words")).toEqual(["confidence"]);
    expect(stagesOf("clip1 ctc entropy renyi lin 0.5 mean blank true")).toEqual(["confidence"]);
    expect(stagesOf("short")).toEqual(["features"]);
    expect(checks.filter((check) => check.where.includes("refused"))).toEqual([]);
  });

  type Facts = typeof reference.facts;
  test.each<[string, string, (facts: Facts) => void]>([
    ["clip0", "ctc text", (facts) => (facts.clip0.ctc[0].text += "s")],
    ["clip0", "transducer frames", (facts) => facts.clip0.transducer[0].frames[3]++],
    ["clip1", "transducer tokens", (facts) => facts.clip1.transducer[0].tokens.pop()],
    ["clip0", "score", (facts) => (facts.clip0.transducer[0].score += 0.5)],
    ["context 70,0 clip0", "ctc tokens", (facts) => facts.contexts["70,0"][0].ctc.tokens.push(7)],
    ["transcribe ctc clip1", "text", (facts) => (facts.transcribe.ctc[1] = { text: "no" })],
    ["transcribe transducer clip0", "word times", (facts) => (facts.transcribe.rnnt[0].timestamps.word[0].word = "x")],
    ["transcribe ctc clip0", "char times", (facts) => (facts.transcribe.ctc[0].timestamps.char[1].start += 0.01)],
    ["transcribe ctc clip0 words", "confidence", (facts) => (facts.transcribe.ctc[0].word_confidence[0] += 0.01)],
    [
      "clip1 ctc entropy renyi lin 0.5 mean blank true",
      "confidence",
      (facts) => (facts.confidence[0].token_confidence[0] += 0.01),
    ],
  ])("tells of %s: %s", async (where, stage, change) => {
    const facts = structuredClone(reference.facts);
    change(facts);
    const failed = (await verify({ ...reference, facts })).filter((check) => !check.isOk);
    expect(failed).toMatchObject([{ where, stage }]);
  });

  test("asks for no seconds where NeMo gives none", async () => {
    const facts = structuredClone(reference.facts);
    for (const level of Object.values(facts.transcribe.ctc[0].timestamps) as Record<string, unknown>[][]) {
      for (const row of level) {
        delete row.start;
        delete row.end;
      }
    }
    expect((await verify({ ...reference, facts })).every((check) => check.isOk)).toBe(true);
  });
});
