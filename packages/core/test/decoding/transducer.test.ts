import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConfidenceSpec } from "../../src/config/spec.ts";
import { aggregateConfidence, createStepConfidence, logSumExp } from "../../src/decoding/confidence.ts";
import type { Hypothesis } from "../../src/decoding/hypothesis.ts";
import { closeHypothesis } from "../../src/decoding/open-hypothesis.ts";
import { createTransducerDecoder, type TransducerOptions } from "../../src/decoding/transducer.ts";
import { cloneTransducerState } from "../../src/decoding/transducer-state.ts";
import { nextHistory, type TableModel, tableLogits, tableNetworks, tableRows } from "./table-networks.ts";

const CONFIDENCE: ConfidenceSpec = {
  excludeBlank: true,
  aggregation: "min",
  tdtIncludeDuration: false,
  method: "entropy",
  entropyType: "tsallis",
  alpha: 0.33,
  entropyNorm: "exp",
};

/** The plain loop of the specification, one recording, one step, one evaluation at a time. */
function decodePlainly(model: TableModel, rows: Float32Array, options: TransducerOptions): Hypothesis {
  const { blank, durations, confidence = CONFIDENCE } = options;
  const isTdt = durations.length > 0;
  const measure = createStepConfidence(confidence, blank + 1);
  const tokens: number[] = [];
  const steps: number[] = [];
  const chosen: number[] = [];
  const logProbs: number[] = [];
  const confidences: number[][] = [];
  let history = nextHistory(1, blank);
  let t = 0;
  let symbols = 0;
  while (t < rows.length / 2) {
    const logits = tableLogits(model, rows[t * 2], history);
    const ofTokens = logits.subarray(0, blank + 1);
    const best = ofTokens.indexOf(Math.max(...ofTokens));
    const ofDurations = logits.subarray(blank + 1);
    let duration = isTdt ? durations[ofDurations.indexOf(Math.max(...ofDurations))] : 0;
    const logSum = logSumExp(logits, 0, blank + 1);
    let value = measure(logits, 0, blank + 1, logSum);
    if (isTdt && confidence.tdtIncludeDuration) {
      const other = measure(logits, blank + 1, logits.length, logSumExp(logits, blank + 1, logits.length));
      value = aggregateConfidence([value, other], confidence.aggregation);
    }
    if (best === blank) {
      const isOwnStepOfRnntToken = !isTdt && symbols > 0;
      if (!confidence.excludeBlank && !isOwnStepOfRnntToken) confidences.at(-1)?.push(value);
      duration = Math.max(1, duration);
    } else {
      tokens.push(best);
      steps.push(t);
      chosen.push(duration);
      logProbs.push(logits[best] - logSum);
      confidences.push([value]);
      history = nextHistory(history, best);
      symbols++;
      if (duration === 0 && symbols >= (options.maxSymbols ?? Infinity)) duration = 1;
    }
    t += duration;
    if (duration > 0) symbols = 0;
  }
  return {
    tokens,
    steps,
    endSteps: steps.map((step, i) => step + (isTdt ? chosen[i] : 1)),
    ...(isTdt && { durations: chosen }),
    logProbs,
    ...(options.confidence && { confidence: confidences.map((c) => aggregateConfidence(c, confidence.aggregation)) }),
    numSteps: rows.length / 2,
  };
}

/** The loop of NeMo's `GreedyTDTInfer._greedy_decode`, repeated evaluations of a blank without duration included. */
function decodeSequentially(model: TableModel, rows: Float32Array, maxSymbols: number) {
  const { blank, durations } = model;
  const found = { tokens: [] as number[], steps: [] as number[], durations: [] as number[] };
  let history = nextHistory(1, blank);
  for (let t = 0; t < rows.length / 2; ) {
    const start = t;
    let symbols = 0;
    for (let isAsked = true; isAsked && symbols < maxSymbols; symbols++) {
      const logits = tableLogits(model, rows[start * 2], history);
      const ofTokens = logits.subarray(0, blank + 1);
      const ofDurations = logits.subarray(blank + 1);
      const best = ofTokens.indexOf(Math.max(...ofTokens));
      const skip = durations[ofDurations.indexOf(Math.max(...ofDurations))];
      if (best !== blank) {
        found.tokens.push(best);
        found.steps.push(start);
        found.durations.push(skip);
        history = nextHistory(history, best);
      }
      t += skip;
      isAsked = skip === 0;
    }
    if (symbols === maxSymbols) t++;
  }
  return found;
}

const models = fc.record({
  seed: fc.nat(100_000),
  blank: fc.integer({ min: 1, max: 12 }),
  durations: fc.constantFrom([], [], [0, 1, 2, 3, 4], [1, 2], [0, 0], [4, 0, 9]),
  blankLead: fc.constantFrom(-3, 0, 1, 3, 5, 9),
  maxSymbols: fc.constantFrom(1, 2, 10),
});

describe("createTransducerDecoder", () => {
  test("finds what the plain loop finds, for any batch, cut and look-ahead", async () => {
    await fc.assert(
      fc.asyncProperty(
        models,
        fc.array(fc.array(fc.nat(9), { maxLength: 6 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom(1, 2, 3, 8, 50),
        fc.constantFrom(1, 4, 32),
        fc.boolean(),
        fc.constantFrom<ConfidenceSpec["aggregation"]>("min", "max", "mean", "prod"),
        async ({ maxSymbols, ...model }, cuts, maxBlockSteps, maxBlockRows, excludeBlank, aggregation) => {
          const { networks } = tableNetworks(model);
          const confidence = { ...CONFIDENCE, excludeBlank, aggregation, tdtIncludeDuration: aggregation === "mean" };
          const options = { ...model, maxSymbols, maxBlockSteps, maxBlockRows, confidence };
          const decoder = createTransducerDecoder(networks, options);
          const states = cuts.map(() => decoder.createState());
          const rows = cuts.map((sizes, r) =>
            tableRows(
              r,
              sizes.reduce((a, b) => a + b, 0),
            ),
          );
          const done = cuts.map(() => 0);
          for (let c = 0; c < 6; c++) {
            const chunks = cuts.map((sizes, r) => {
              const numSteps = sizes[c] ?? 0;
              const encoded = rows[r].subarray(done[r] * 2);
              done[r] += numSteps;
              return { state: states[r], encoded, numSteps };
            });
            await decoder.push(chunks);
          }
          const plain = rows.map((r) => decodePlainly(model, r, options));
          expect(states.map((s) => closeHypothesis(s.hypothesis))).toEqual(plain);
        },
      ),
      { numRuns: 400, seed: 5 },
    );
  });

  test("walks TDT models that ask for `greedy` as NeMo's sequential loop, for any cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        models.filter((model) => model.durations.length > 0),
        fc.array(fc.nat(9), { maxLength: 6 }),
        fc.constantFrom(1, 3, 8),
        async ({ maxSymbols, ...model }, sizes, maxBlockSteps) => {
          const options = { ...model, maxSymbols, maxBlockSteps, strategy: "greedy" };
          const decoder = createTransducerDecoder(tableNetworks(model).networks, options);
          const numSteps = sizes.reduce((a, b) => a + b, 0);
          const rows = tableRows(0, numSteps);
          const state = decoder.createState();
          let done = 0;
          for (const size of sizes) {
            await decoder.push([{ state, encoded: rows.subarray(done * 2), numSteps: size }]);
            done += size;
          }
          expect(closeHypothesis(state.hypothesis)).toMatchObject(decodeSequentially(model, rows, maxSymbols));
        },
      ),
      { numRuns: 300, seed: 6 },
    );
  });

  test("goes on one step where a model without a limit emits a blank without duration, sequential or not", async () => {
    const model = { seed: 1, blank: 5, durations: [0, 0], blankLead: 50 };
    for (const strategy of ["greedy", "greedy_batch"]) {
      const decoder = createTransducerDecoder(tableNetworks(model).networks, {
        ...{ ...model, maxSymbols: undefined, strategy },
      });
      const state = decoder.createState();
      await decoder.push([{ state, encoded: tableRows(0, 20), numSteps: 20 }]);
      expect(state.hypothesis).toMatchObject({ tokens: [], numSteps: 20 });
    }
  });

  test("goes on from a copy of a state as from the state itself", async () => {
    const model = { seed: 3, blank: 9, durations: [0, 1, 2, 3, 4], blankLead: 2 };
    const decoder = createTransducerDecoder(tableNetworks(model).networks, { ...model, maxSymbols: 10 });
    const rows = tableRows(0, 60);
    const state = decoder.createState();
    await decoder.push([{ state, encoded: rows, numSteps: 31 }]);
    const copies = [cloneTransducerState(state), structuredClone(state)];
    const before = closeHypothesis(state.hypothesis);
    const rest = { encoded: rows.subarray(31 * 2), numSteps: 29 };
    for (const copy of copies) await decoder.push([{ state: copy, ...rest }]);
    expect(closeHypothesis(state.hypothesis)).toEqual(before);
    await decoder.push([{ state, ...rest }]);
    for (const copy of copies) expect(copy).toEqual(state);
    expect(state.hypothesis.tokens.length).toBeGreaterThan(before.tokens.length);
  });

  test("advances the prediction network once a token and looks ahead over blanks", async () => {
    const model = { seed: 8, blank: 20, durations: [], blankLead: 4.2 };
    const { networks, calls } = tableNetworks(model);
    const decoder = createTransducerDecoder(networks, { ...model, maxSymbols: 10 });
    const state = decoder.createState();
    await decoder.push([{ state, encoded: tableRows(0, 400), numSteps: 400 }]);
    const numTokens = state.hypothesis.tokens.length;
    expect(numTokens).toBeGreaterThan(40);
    expect(calls.predictRows).toBeLessThanOrEqual(numTokens + 1);
    // A loop by single steps makes one call for every step and one for every token.
    expect(calls.joint).toBeLessThan((400 + numTokens) * 0.6);
  });

  test("decodes a silent recording in few calls", async () => {
    const model = { seed: 1, blank: 5, durations: [], blankLead: 50 };
    const { networks, calls } = tableNetworks(model);
    const decoder = createTransducerDecoder(networks, { ...model, maxSymbols: 10 });
    const state = decoder.createState();
    await decoder.push([{ state, encoded: tableRows(0, 800), numSteps: 800 }]);
    expect(state.hypothesis.tokens).toEqual([]);
    expect(calls).toMatchObject({ predict: 1, jointRows: 800 });
    expect(calls.joint).toBeLessThanOrEqual(103);
  });

  test("never evaluates more rows in a call than allowed, nor fewer than one for each recording", async () => {
    const model = { seed: 4, blank: 5, durations: [], blankLead: 20 };
    const { networks, calls } = tableNetworks(model);
    const decoder = createTransducerDecoder(networks, { ...model, maxSymbols: 10, maxBlockRows: 4 });
    const chunks = Array.from({ length: 7 }, (_, r) => ({
      state: decoder.createState(),
      encoded: tableRows(r, 10),
      numSteps: 10,
    }));
    await decoder.push(chunks);
    expect(calls).toMatchObject({ joint: 10, jointRows: 70 });
  });

  test("refuses outputs that do not fit vocabulary and durations", () => {
    const { networks } = tableNetworks({ seed: 1, blank: 5, durations: [], blankLead: 0 });
    expect(() => createTransducerDecoder(networks, { blank: 5, durations: [0, 1], maxSymbols: 10 })).toThrowError(
      expect.objectContaining({
        code: "MODEL_INVALID",
        message:
          "joint network: expected 8 outputs (5 tokens, blank, 2 durations), got 6. The checkpoint's vocabulary and durations do not fit its tensors.",
      }),
    );
  });

  test("refuses durations that are not numbers of steps", () => {
    const { networks } = tableNetworks({ seed: 1, blank: 5, durations: [0, -1], blankLead: 0 });
    expect(() => createTransducerDecoder(networks, { blank: 5, durations: [0, -1], maxSymbols: 10 })).toThrowError(
      expect.objectContaining({
        code: "MODEL_INVALID",
        message:
          "TDT durations: expected whole numbers of steps from 0 up, got [0, -1]. The checkpoint's configuration is damaged.",
      }),
    );
  });

  test("stops a model without a limit that never emits blank", async () => {
    const model = { seed: 1, blank: 5, durations: [], blankLead: -50 };
    const decoder = createTransducerDecoder(tableNetworks(model).networks, { ...model, maxSymbols: undefined });
    const push = decoder.push([{ state: decoder.createState(), encoded: tableRows(0, 2), numSteps: 2 }]);
    await expect(push).rejects.toMatchObject({
      code: "LIMIT_EXCEEDED",
      message:
        "transducer: expected fewer than 10000 tokens at one step, got as many. Set `decoding.greedy.max_symbols`.",
    });
  });

  test("takes no token from logits that are not numbers", async () => {
    const model = { seed: 1, blank: 5, durations: [], blankLead: 0 };
    const { networks } = tableNetworks(model);
    const broken = { ...networks, joint: async () => new Float32Array(6).fill(Number.NaN) };
    const decoder = createTransducerDecoder(broken, { ...model, maxSymbols: 10 });
    const push = decoder.push([{ state: decoder.createState(), encoded: tableRows(0, 1), numSteps: 1 }]);
    await expect(push).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message:
        "joint network: expected 6 numbers, got none (NaN or -Infinity). The model's weights or the recording hold values that are not numbers.",
    });
  });

  test("refuses network results of the wrong size", async () => {
    const model = { seed: 1, blank: 5, durations: [], blankLead: 0 };
    const { networks } = tableNetworks(model);
    const broken = { ...networks, joint: async () => new Float32Array(5) };
    const decoder = createTransducerDecoder(broken, { ...model, maxSymbols: 10 });
    const push = decoder.push([{ state: decoder.createState(), encoded: tableRows(0, 1), numSteps: 1 }]);
    await expect(push).rejects.toMatchObject({
      code: "RUNTIME_FAILED",
      message: "joint network output: expected 6 values, got 5. The graph does not fit the model's description.",
    });
  });
});
