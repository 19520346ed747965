import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConfidenceSpec } from "../../src/config/spec.ts";
import {
  aggregateConfidence,
  checkConfidence,
  createStepConfidence,
  logSumExp,
} from "../../src/decoding/confidence.ts";

interface Case {
  readonly name: string;
  readonly alpha: number;
  readonly values: readonly number[];
}

const reference: { logits: number[][]; cases: Case[] } = JSON.parse(
  readFileSync(new URL("nemo-confidence.json", import.meta.url), "utf8"),
);

function specOf({ name, alpha }: { name: string; alpha: number }): ConfidenceSpec {
  const [method, entropyType = "tsallis", entropyNorm = "exp"] =
    name === "max_prob" ? ["max_prob"] : (name.split("_") as [string, string, string]);
  return {
    excludeBlank: true,
    aggregation: "min",
    tdtIncludeDuration: false,
    method: method as ConfidenceSpec["method"],
    entropyType: entropyType as ConfidenceSpec["entropyType"],
    alpha,
    entropyNorm: entropyNorm as ConfidenceSpec["entropyNorm"],
  };
}

describe("createStepConfidence", () => {
  test.each(reference.cases)("equals NeMo: $name, alpha $alpha", ({ name, alpha, values }) => {
    reference.logits.forEach((logits, i) => {
      const x = Float32Array.from(logits);
      const measure = createStepConfidence(specOf({ name, alpha }), x.length);
      expect(measure(x, 0, x.length, logSumExp(x, 0, x.length))).toBeCloseTo(values[i], 6);
    });
  });

  test("gives 0 for a uniform and 1 for a certain distribution, by every method", () => {
    for (const spec of reference.cases.map(specOf)) {
      const measure = createStepConfidence(spec, 4);
      expect(measure(new Float32Array([3, 3, 3, 3]), 0, 4, 3 + Math.log(4))).toBeCloseTo(0, 6);
      expect(measure(new Float32Array([-Infinity, 0, -Infinity, -Infinity]), 0, 4, 0)).toBeCloseTo(1, 6);
    }
  });

  test("reads only its own part of the values", () => {
    const measure = createStepConfidence(specOf({ name: "entropy_gibbs_lin", alpha: 1 }), 3);
    const values = new Float32Array([50, 1, 2, 3, 50]);
    const alone = values.slice(1, 4);
    expect(measure(values, 1, 4, logSumExp(values, 1, 4))).toBe(measure(alone, 0, 3, logSumExp(alone, 0, 3)));
  });

  test.each([0, -1, Number.NaN, Infinity])("refuses alpha %d", (alpha) => {
    expect(() => createStepConfidence(specOf({ name: "max_prob", alpha }), 4)).toThrowError(
      new RangeError(`confidence.alpha: expected a finite number above 0, got ${alpha}. Leave it out, or give one.`),
    );
  });

  test("refuses a single class, of which nothing can be said", () => {
    expect(() => createStepConfidence(specOf({ name: "max_prob", alpha: 1 }), 1)).toThrowError(
      new RangeError("confidence: expected at least 2 classes, got 1."),
    );
  });
});

describe("checkConfidence", () => {
  test("knows what NeMo knows", () => {
    for (const spec of [{}, ...reference.cases.map(specOf)]) checkConfidence("options", spec);
  });

  test.each<[object, string]>([
    [{ method: "softmax" }, 'method: expected "max_prob" or "entropy", got "softmax"'],
    [{ method: null }, 'method: expected "max_prob" or "entropy", got null'],
    [{ entropyType: "shannon" }, 'entropyType: expected "gibbs" or "tsallis" or "renyi", got "shannon"'],
    [{ entropyNorm: "log" }, 'entropyNorm: expected "lin" or "exp", got "log"'],
    [{ aggregation: "median" }, 'aggregation: expected "mean" or "min" or "max" or "prod", got "median"'],
    [{ alpha: "0.5" }, 'alpha: expected a number, got "0.5"'],
    [{ excludeBlank: "no" }, 'excludeBlank: expected true or false, got "no"'],
    [{ tdtIncludeDuration: 1 }, "tdtIncludeDuration: expected true or false, got 1"],
  ])("refuses %j", (confidence, message) => {
    expect(() => checkConfidence("options.confidence", confidence)).toThrow(
      expect.objectContaining({
        code: "ARGUMENT_INVALID",
        message: `options.confidence.${message}. Leave it out, or give one.`,
      }),
    );
  });
});

describe("logSumExp", () => {
  test("neither overflows nor underflows", () => {
    expect(logSumExp(new Float32Array([1000, 1000]), 0, 2)).toBeCloseTo(1000 + Math.log(2), 9);
    expect(logSumExp(new Float32Array([-1000, -1000]), 0, 2)).toBeCloseTo(-1000 + Math.log(2), 9);
    expect(logSumExp(new Float32Array([-Infinity, -Infinity]), 0, 2)).toBe(-Infinity);
  });
});

describe("aggregateConfidence", () => {
  test("is the least, the greatest, the mean or the product", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 }), (values) => {
        expect(aggregateConfidence(values, "min")).toBe(Math.min(...values));
        expect(aggregateConfidence(values, "max")).toBe(Math.max(...values));
        expect(aggregateConfidence(values, "mean")).toBe(values.reduce((a, b) => a + b) / values.length);
        expect(aggregateConfidence(values, "prod")).toBe(values.reduce((a, b) => a * b));
      }),
      { seed: 1 },
    );
  });

  test("refuses nothing to aggregate", () => {
    expect(() => aggregateConfidence([], "min")).toThrowError(
      new RangeError("aggregateConfidence: expected at least one value, got none."),
    );
  });
});
