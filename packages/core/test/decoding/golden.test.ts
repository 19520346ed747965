import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/bytes.ts";
import { openNemo } from "../../src/checkpoint/nemo.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { ConfidenceSpec } from "../../src/config/spec.ts";
import { createCtcDecoder, decodeCtc } from "../../src/decoding/ctc.ts";
import type { Hypothesis } from "../../src/decoding/hypothesis.ts";
import { closeHypothesis } from "../../src/decoding/open-hypothesis.ts";
import { createTransducerDecoder } from "../../src/decoding/transducer.ts";
import { plainTransducer } from "./plain-networks.ts";

const goldens = new URL("../../../../../shared/golden/", import.meta.url);
const hasGoldens = existsSync(goldens);

const NEMO_DEFAULT: ConfidenceSpec = {
  excludeBlank: true,
  aggregation: "min",
  tdtIncludeDuration: false,
  method: "entropy",
  entropyType: "tsallis",
  alpha: 0.33,
  entropyNorm: "exp",
};

const CTC = [
  "citrinet-bpe",
  "conformer-ctc-char",
  "conformer-ctc-streaming-regular",
  "conformer-ctc-wpe",
  "fastconformer-ctc-bpe",
  "fastconformer-hybrid-streaming",
  "fastconformer-hybrid-streaming-short",
  "fastconformer-local-attention",
  "parakeet-tdt-ctc",
  "quartznet-char",
];
const TRANSDUCERS = [
  "fastconformer-hybrid-streaming",
  "fastconformer-hybrid-streaming-short",
  "fastconformer-rnnt-bpe",
  "parakeet-tdt",
  "parakeet-tdt-ctc",
];

/** What NeMo's `transcribe` gave for a clip, as far as it belongs to decoding. */
interface Transcribed {
  readonly token_confidence: readonly number[];
  readonly timestamps: { readonly char: readonly { readonly start_offset: number; readonly end_offset: number }[] };
}

async function openGolden(name: string) {
  const file = (path: string) => memorySource(readFileSync(new URL(`${name}/${path}`, goldens)), `${name}/${path}`);
  const tensors = await openSafetensors(file("reference.safetensors"));
  return {
    info: JSON.parse(readFileSync(new URL(`${name}/reference.json`, goldens), "utf8")),
    dims: (tensor: string) => tensors.tensors.get(tensor)?.dims as readonly number[],
    floats: (tensor: string) => tensors.readFloat32(tensor),
    checkpoint: () => openNemo(file("model.nemo")),
  };
}

/** The confidences span many orders of magnitude, so they are compared by ratio. */
function expectConfidence(actual: readonly number[] | undefined, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    const got = actual?.[i] as number;
    expect(Math.abs(got - value), `token ${i}: ${got} against ${value}`).toBeLessThan(2e-3 * Math.abs(value) + 1e-7);
  });
}

describe.skipIf(!hasGoldens)("greedy CTC on the goldens", () => {
  test.each(CTC)("finds NeMo's tokens, steps and confidences: %s", async (name) => {
    const golden = await openGolden(name);
    for (const clips of ["clip0", "clip1", "clip2", "batch"]) {
      const dims = golden.dims(`${clips}.log_probs`);
      const data = await golden.floats(`${clips}.log_probs`);
      const numSteps = await golden.floats(`${clips}.encoder_len`);
      const hypotheses = decodeCtc({ data, dims }, numSteps, { numClasses: dims[2], confidence: NEMO_DEFAULT });
      const expected: { tokens: number[] }[] = golden.info[clips].ctc;
      expect(hypotheses.map((h) => h.tokens)).toEqual(expected.map((e) => e.tokens));
      const transcribed: Transcribed | undefined = (golden.info.transcribe?.ctc ?? golden.info.transcribe?.default)?.[
        Number(clips.slice(4))
      ];
      if (clips === "batch" || !transcribed) continue;
      // NeMo's start offset of a CTC token is the step at which the token before it was emitted.
      const { steps } = hypotheses[0];
      const starts = transcribed.timestamps.char.map((c) => c.start_offset);
      expect([Math.max(0, steps[0] - 1), ...steps.slice(0, -1)]).toEqual(starts);
      expectConfidence(hypotheses[0].confidence, transcribed.token_confidence);
    }
  });

  test("decodes the log-probs of a real model step by step to its tokens", async () => {
    const golden = await openGolden("real-fastconformer-logits");
    const [, numSteps, numClasses] = golden.dims("log_probs");
    const data = await golden.floats("log_probs");
    const decoder = createCtcDecoder({ numClasses });
    const state = decoder.createState();
    for (let t = 0; t < numSteps; t++) decoder.push(state, data, 1, t * numClasses);
    expect(state.hypothesis.tokens).toEqual(golden.info.tokens);
  });
});

describe.skipIf(!hasGoldens)("greedy transducer decoding on the goldens", () => {
  test.each(TRANSDUCERS)("finds NeMo's tokens, steps, durations and confidences: %s", async (name) => {
    const golden = await openGolden(name);
    const { networks, project } = await plainTransducer(await golden.checkpoint());
    const durations = name.includes("tdt") ? [0, 1, 2, 3, 4] : [];
    const blank = networks.numOutputs - 1 - durations.length;
    const decoder = createTransducerDecoder(networks, { blank, durations, maxSymbols: 10, confidence: NEMO_DEFAULT });

    async function decode(clips: string, chunkSteps: number): Promise<Hypothesis[]> {
      const [batch, model, width] = golden.dims(`${clips}.encoder`);
      const data = await golden.floats(`${clips}.encoder`);
      const lengths = await golden.floats(`${clips}.encoder_len`);
      const rows = Array.from(lengths, (numSteps, b) => ({
        numSteps,
        encoded: project(data.subarray(b * model * width, (b + 1) * model * width), numSteps),
        state: decoder.createState(),
      }));
      for (let t = 0; t < width; t += chunkSteps) {
        await decoder.push(
          rows.map(({ state, encoded, numSteps }) => ({
            state,
            encoded: encoded.subarray(Math.min(t, numSteps) * networks.jointSize),
            numSteps: Math.max(0, Math.min(chunkSteps, numSteps - t)),
          })),
        );
      }
      expect(rows).toHaveLength(batch);
      return rows.map(({ state }) => closeHypothesis(state.hypothesis));
    }

    for (const clips of ["clip0", "clip1", "clip2", "batch"]) {
      const whole = await decode(clips, 10_000);
      const expected: { tokens: number[]; frames: number[] }[] = golden.info[clips].transducer;
      expect(whole.map((h) => h.tokens)).toEqual(expected.map((e) => e.tokens));
      expect(whole.map((h) => h.steps)).toEqual(expected.map((e) => e.frames));
      expect(await decode(clips, 3)).toEqual(whole);
      if (clips === "batch") continue;
      const transcribed: Transcribed = (golden.info.transcribe.rnnt ?? golden.info.transcribe.default)[
        Number(clips.slice(4))
      ];
      const { char } = transcribed.timestamps;
      expect(whole[0].endSteps).toEqual(char.map((c) => c.end_offset));
      if (durations.length > 0) expect(whole[0].durations).toEqual(char.map((c) => c.end_offset - c.start_offset));
      expectConfidence(whole[0].confidence, transcribed.token_confidence);
    }
  });
});
