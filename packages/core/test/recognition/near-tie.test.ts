import { describe, expect, test } from "vitest";
import type { ModelSpec } from "../../src/config/spec.ts";
import { closeHypothesis } from "../../src/decoding/open-hypothesis.ts";
import { createTransducerDecoder } from "../../src/decoding/transducer.ts";
import type { AcousticModel, Encoded } from "../../src/recognition/acoustic.ts";
import { decodeRows } from "../../src/recognition/head-decoder.ts";
import { leadAtDifference, nearTie } from "../../src/recognition/near-tie.ts";
import { tableNetworks, tableRows } from "../decoding/table-networks.ts";

const CONFIDENCE = {
  ...{ excludeBlank: true, aggregation: "min", tdtIncludeDuration: false, method: "entropy" },
  ...{ entropyType: "tsallis", alpha: 0.33, entropyNorm: "exp" },
};

function acousticOf(heads: ModelSpec["heads"], networks?: AcousticModel["networks"]): AcousticModel {
  const spec = { heads, decoding: { confidence: CONFIDENCE, strategy: "greedy_batch" } } as unknown as ModelSpec;
  return { spec, networks } as AcousticModel;
}

/** Two rows of CTC steps, each by its values for a, b and blank. */
function ctcRows(...rows: number[][][]): Encoded {
  const numSteps = Math.max(...rows.map((row) => row.length));
  const logProbs = new Float32Array(rows.length * numSteps * 3);
  rows.forEach((row, r) => {
    row.forEach((step, s) => {
      logProbs.set(step, (r * numSteps + s) * 3);
    });
  });
  return { numSteps, lengths: rows.map((row) => row.length), encoded: new Float32Array(0), logProbs };
}

describe("leadAtDifference", () => {
  const acoustic = acousticOf({ ctc: { prefix: "", numClasses: 3, temperature: 1 } });
  const sure = [[0, -9, -9]];
  const encoded = ctcRows(sure, [
    [0, -9, -9],
    [-9, -9, 0],
    [-9, -1.00001, -1],
    [-9, 0, -9],
    [0, -9, -9],
  ]);

  test("is the smallest lead between the last common token and the first that differs", async () => {
    const found = (await decodeRows(acoustic, "ctc", encoded))[1];
    expect(found.tokens).toEqual([0, 1, 0]);
    const lead = (tokens: number[]) => leadAtDifference(acoustic, "ctc", encoded, 1, found, { tokens });
    expect(await lead([0, 1, 0])).toBeUndefined();
    expect(await lead([0, 1, 1, 0])).toBeCloseTo(9, 5);
    expect(await lead([0, 0])).toBeCloseTo(1e-5, 6);
    expect(await lead([1, 1, 0])).toBeCloseTo(9, 5);
  });

  test("evaluates a transducer again behind the common tokens", async () => {
    const model = { seed: 8, blank: 9, durations: [0, 1, 2, 3], blankLead: 2 };
    const { networks } = tableNetworks(model);
    const transducer = { kind: "tdt", vocabularySize: 9, durations: model.durations, maxSymbols: 10 };
    const tdt = acousticOf({ transducer } as unknown as ModelSpec["heads"], networks);
    const decoder = createTransducerDecoder(networks, { ...model, maxSymbols: 10 });
    const state = decoder.createState();
    const projected = tableRows(0, 40);
    await decoder.push([{ state, encoded: projected, numSteps: 40 }]);
    const found = closeHypothesis(state.hypothesis);
    const steps: Encoded = { numSteps: 40, lengths: [40], encoded: new Float32Array(0), projected };
    const other = found.tokens.map((token, i) => (i === 5 ? 8 - token : token));
    const lead = await leadAtDifference(tdt, "transducer", steps, 0, found, { tokens: other });
    expect(lead).toBeGreaterThan(0);
    expect(lead).toBeLessThan(5);
    // A tie of two tokens at that very step is seen.
    const tied = {
      ...networks,
      async joint(encoderRows: Float32Array, predictionRows: Float32Array) {
        const logits = await networks.joint(encoderRows, predictionRows);
        for (let row = 0; row < logits.length / 14; row++) {
          if (encoderRows[2 * row] !== found.steps[5]) continue;
          logits[row * 14 + 8 - found.tokens[5]] = logits[row * 14 + found.tokens[5]] - 1e-5;
        }
        return logits;
      },
    };
    const nearly = acousticOf({ transducer } as unknown as ModelSpec["heads"], tied);
    expect(await nearTie(nearly, "transducer", steps, 0, found, { tokens: other })).toBeCloseTo(1e-5, 6);
    expect(await nearTie(tdt, "transducer", steps, 0, found, { tokens: other })).toBeUndefined();
    expect(await nearTie(nearly, "transducer", steps, 0, found, found)).toBeUndefined();
  });
});
