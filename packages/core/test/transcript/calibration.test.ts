import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConfidenceSpec } from "../../src/config/spec.ts";
import {
  CALIBRATION_SCHEMA,
  calibrate,
  checkCalibration,
  headCalibration,
  parseCalibration,
} from "../../src/transcript/calibration.ts";
import {
  calibrateHead,
  calibrationError,
  confidenceRanking,
  fitConfidenceMap,
  judgeTranscript,
} from "../../src/transcript/fit-calibration.ts";
import { propertyRuns } from "../reference/compare.ts";
import { uniform } from "../reference/params.ts";

const map = fc.record({
  a: fc.double({ min: 0, max: 5, noNaN: true }),
  b: fc.double({ min: 0, max: 5, noNaN: true }),
  c: fc.double({ min: -5, max: 5, noNaN: true }),
});
const share = fc.double({ min: 0, max: 1, noNaN: true });

/** Answers that are right as often as a map says, for confidences all over. */
function answers(number: number, seed: number, truth: (confidence: number) => number) {
  const next = uniform(seed);
  return Array.from({ length: number }, () => {
    const confidence = next() ** 2;
    return { confidence, isRight: next() < truth(confidence) };
  });
}

describe("calibrate", () => {
  test("gives a probability and keeps the order of confidences", () => {
    fc.assert(
      fc.property(map, share, share, (own, x, y) => {
        const [low, high] = [x, y].sort((p, q) => p - q).map((value) => calibrate(own, value));
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low).toBeLessThanOrEqual(high);
      }),
      propertyRuns(300),
    );
    expect(calibrate({ a: 1, b: 1, c: 0 }, 0.3)).toBeCloseTo(0.3, 12);
  });
});

describe("fitConfidenceMap", () => {
  test("finds the map that answers were made with, up to chance", () => {
    const truth = { a: 0.6, b: 1.5, c: -0.4 };
    const fitted = fitConfidenceMap(answers(20_000, 1, (x) => calibrate(truth, x)));
    for (const x of [0.01, 0.1, 0.3, 0.6, 0.9]) {
      expect(Math.abs(calibrate(fitted, x) - calibrate(truth, x))).toBeLessThan(0.03);
    }
    const held = answers(20_000, 2, (x) => calibrate(truth, x));
    const after = held.map(({ confidence, isRight }) => ({ confidence: calibrate(fitted, confidence), isRight }));
    expect(calibrationError(held)).toBeGreaterThan(0.05);
    expect(calibrationError(after)).toBeLessThan(0.02);
    expect(confidenceRanking(after)).toBeCloseTo(confidenceRanking(held), 6);
  });

  test("does not turn the order round where surer answers are wrong more often", () => {
    const fitted = fitConfidenceMap(answers(2000, 3, (x) => 0.9 - 0.8 * x));
    expect(fitted.a).toBeGreaterThanOrEqual(0);
    expect(fitted.b).toBeGreaterThanOrEqual(0);
  });

  test("refuses too few answers of a kind", () => {
    expect(() => fitConfidenceMap(answers(500, 4, () => 1))).toThrow(
      "calibration: expected at least 20 right and 20 wrong answers, got 500 and 0. Give more recordings.",
    );
  });
});

describe("calibrationError and confidenceRanking", () => {
  test("are what their definitions say", () => {
    const of = (...pairs: [number, boolean][]) => pairs.map(([confidence, isRight]) => ({ confidence, isRight }));
    expect(calibrationError([])).toBe(0);
    expect(calibrationError(of([1, true], [1, false]))).toBeCloseTo(0.5);
    expect(calibrationError(of([0.5, true], [0.5, false]))).toBeCloseTo(0);
    // One bin is a quarter too sure, the other a quarter too careful: they do not make up for each other.
    expect(calibrationError(of([0.75, true], [0.75, false], [0.25, true], [0.25, false]))).toBeCloseTo(0.25);
    expect(confidenceRanking(of([0.9, true], [0.1, false]))).toBe(1);
    expect(confidenceRanking(of([0.1, true], [0.9, false], [0.5, true], [0.5, false]))).toBeCloseTo(0.125);
  });
});

describe("judgeTranscript", () => {
  const word = (text: string, confidence: number) => ({ ...timed(text), confidence });
  const timed = (text: string) => ({ text, startSec: 0, endSec: 0, startStep: 0, endStep: 0 });
  const pieces = ["▁it", "▁wa", "s", "▁co", "ld"];
  const tokens = [0, 1, 2, 3, 4].map((id) => ({ ...word(pieces[id], 0.1 * (id + 1)), id }));
  const startsWord = (id: number) => pieces[id].startsWith("▁");

  test("finds right words by alignment; a token is right where its word is", () => {
    const words = [word("It", 0.9), word("was", 0.8), word("cold.", 0.7)];
    const judged = judgeTranscript({ words, tokens }, "it is very cold", "manifest", startsWord);
    expect(judged.words.map(({ isRight }) => isRight)).toEqual([true, false, true]);
    expect(judged.tokens.map(({ isRight }) => isRight)).toEqual([true, false, false, true, true]);
    expect(judged.words[2].confidence).toBe(0.7);
  });

  test("leaves out what has no confidence, and tokens that words are not made of", () => {
    const words = [timed("it"), word("was", 0.8)];
    const judged = judgeTranscript({ words, tokens }, "it was", "manifest", startsWord);
    expect(judged).toEqual({ words: [{ confidence: 0.8, isRight: true }], tokens: [] });
  });
});

describe("a calibration file", () => {
  const confidence: ConfidenceSpec = {
    excludeBlank: true,
    aggregation: "min",
    tdtIncludeDuration: false,
    method: "entropy",
    entropyType: "tsallis",
    alpha: 0.33,
    entropyNorm: "exp",
  };
  const half = { words: answers(200, 5, (x) => x), tokens: answers(200, 6, (x) => x) };
  const { head, report } = calibrateHead([half, { words: answers(200, 7, (x) => x), tokens: half.tokens }]);
  const file = { schema: CALIBRATION_SCHEMA, confidence, heads: { ctc: head } } as const;

  test("is read as it was written, and is for its head and method only", () => {
    const read = parseCalibration(JSON.stringify(file), "model.calibration.json");
    expect(read).toEqual(file);
    expect(report.word.number).toBe(200);
    expect(headCalibration(read, "ctc", confidence)).toEqual(head);
    expect(headCalibration(read, "transducer", confidence)).toBeUndefined();
    expect(headCalibration(read, "ctc", { ...confidence, alpha: 0.5 })).toBeUndefined();
    expect(headCalibration(undefined, "ctc", confidence)).toBeUndefined();
  });

  test("is for its own model", () => {
    const named = { ...file, model: "ab12" };
    expect(() => checkCalibration(named, "ab12-int8", "c.json")).not.toThrow();
    expect(() => checkCalibration(file, "cd34-int8", "c.json")).not.toThrow();
    expect(() => checkCalibration(named, "cd34-int8", "c.json")).toThrow(
      "c.json: expected the calibration of model cd34, got one of ab12. Make it again with `eval --calibrate`, or remove it.",
    );
  });

  test.each([
    ["{", "c.json: expected a calibration in JSON, got text that is none. Make it again with `eval --calibrate`."],
    ["null", "c.json: expected schema nemo-stt/calibration/1, got undefined. Make it again with `eval --calibrate`."],
    [
      JSON.stringify({ ...file, heads: { ctc: { ...head, word: { a: -1, b: 0, c: 0 } } } }),
      "c.json: expected maps with numbers a and b from 0 up and c for the tokens and words of a head, got others or none.",
    ],
    [
      JSON.stringify({ ...file, confidence: { ...confidence, method: "softmax" } }),
      'c.json: confidence.method: expected "max_prob" or "entropy", got "softmax". Make it again with `eval --calibrate`.',
    ],
  ])("is refused where it is %s", (text, message) => {
    expect(() => parseCalibration(text, "c.json")).toThrow(message);
  });
});
