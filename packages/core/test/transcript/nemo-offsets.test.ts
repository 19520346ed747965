import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { aggregateConfidence } from "../../src/decoding/confidence.ts";
import { createCtcDecoder } from "../../src/decoding/ctc.ts";
import type { Hypothesis } from "../../src/decoding/hypothesis.ts";
import { closeHypothesis } from "../../src/decoding/open-hypothesis.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import { sentencePieceFromPieces } from "../../src/tokenizer/open.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import {
  nemoSegmentOffsets,
  nemoTokenOffsets,
  nemoWordOffsets,
  type Offsets,
} from "../../src/transcript/nemo-offsets.ts";
import { nemoWordConfidence } from "../../src/transcript/nemo-word-confidence.ts";
import { stepWords } from "../../src/transcript/step-words.ts";
import { textOf, textRules } from "../../src/transcript/text.ts";

type Flat = readonly (readonly [text: string, startStep: number, endStep: number])[];

/** One case of nemo-timestamps.json: what NeMo was given, and what it answered. */
interface Case {
  readonly head: "ctc" | "transducer";
  readonly rules: { segment_gap_threshold?: number; segment_seperators?: string[] };
  readonly labels?: number[];
  readonly tokens?: number[];
  readonly steps?: number[];
  readonly durations?: number[];
  readonly text: string;
  readonly char: Flat;
  readonly word: Flat;
  readonly segment: Flat;
  readonly token_confidence?: number[];
  readonly word_confidence?: number[] | null;
}

const models: { kind: Tokenizer["kind"]; pieces: string[]; cases: Case[] }[] = JSON.parse(
  readFileSync(new URL("nemo-timestamps.json", import.meta.url), "utf8"),
);

function tokenizerOf(kind: Tokenizer["kind"], pieces: readonly string[]): Tokenizer {
  if (kind === "characters") return createTokenizer({ kind, pieces });
  if (kind === "wordpiece") return createTokenizer({ kind, pieces, special: [] });
  return createTokenizer(sentencePieceFromPieces(pieces));
}

function hypothesisOf(given: Case, numClasses: number): Hypothesis {
  if (given.labels) {
    const decoder = createCtcDecoder({ numClasses });
    const state = decoder.createState();
    const logProbs = new Float32Array(given.labels.length * numClasses).fill(-9);
    given.labels.forEach((label, t) => {
      logProbs[t * numClasses + label] = 0;
    });
    decoder.push(state, logProbs, given.labels.length);
    return closeHypothesis(state.hypothesis);
  }
  const { tokens = [], steps = [], durations } = given;
  return {
    tokens,
    steps,
    endSteps: steps.map((step, i) => step + (durations?.[i] ?? 1)),
    ...(durations && { durations }),
    logProbs: tokens.map(() => 0),
    ...(given.token_confidence && { confidence: given.token_confidence }),
    numSteps: (steps.at(-1) ?? 0) + 1,
  };
}

const TEXT_SPEC = { eouString: "<EOU>", eobString: "<EOB>", stripLangTags: false, langTagPattern: undefined };

const flat = (offsets: readonly Offsets[]): Flat => offsets.map((o) => [o.text, o.startStep, o.endStep]);

describe.each(models)("NeMo's times with a $kind tokenizer", ({ kind, pieces, cases }) => {
  const tokenizer = tokenizerOf(kind, pieces);
  const text = textRules(tokenizer, TEXT_SPEC, "ctc");

  test.each(cases.map((given, i) => ({ given, i, head: given.head, text: given.text })))(
    "are NeMo's: $i, $head, $text",
    ({ given }) => {
      const hypothesis = hypothesisOf(given, pieces.length + 1);
      const decoding = {
        wordSeparator: " ",
        segmentSeparators: given.rules.segment_seperators ?? [".", "?", "!"],
        segmentGapThresholdSteps: given.rules.segment_gap_threshold,
      };
      const rules = { ...text, decoding };
      const tokens = nemoTokenOffsets(hypothesis, given.head, rules);
      const words = nemoWordOffsets(hypothesis.tokens, tokens, rules);
      expect(textOf(hypothesis.tokens, text)).toBe(given.text);
      expect(flat(tokens)).toEqual(given.char);
      expect(flat(words)).toEqual(given.word);
      expect(flat(nemoSegmentOffsets(words, decoding))).toEqual(given.segment);
    },
  );

  test("give words whose confidence is NeMo's", () => {
    let compared = 0;
    for (const given of cases) {
      if (!given.word_confidence) continue;
      const hypothesis = hypothesisOf(given, pieces.length + 1);
      const words = stepWords(hypothesis, text, " ");
      const values = words.map((word) =>
        aggregateConfidence(
          word.tokenIndices.map((i) => hypothesis.confidence?.[i] as number),
          "min",
        ),
      );
      expect(values, given.text).toEqual(given.word_confidence);
      compared++;
    }
    expect(compared).toBe(kind === "sentencepiece" ? 42 : 0);
  });
});

describe("nemoWordConfidence", () => {
  test("is NeMo's, and nothing where NeMo gives up", () => {
    const [{ kind, pieces, cases }] = models;
    const tokenizer = tokenizerOf(kind, pieces);
    const compared = cases.filter((given) => given.word_confidence !== undefined);
    for (const given of compared) {
      const values = nemoWordConfidence(hypothesisOf(given, pieces.length + 1), tokenizer, "transducer", "min");
      expect(values, given.text).toEqual(given.word_confidence ?? undefined);
    }
    expect(compared.filter((given) => given.word_confidence === null)).toHaveLength(10);
    expect(compared).toHaveLength(52);
  });

  test("counts the words of CTC before punctuation is joined to them", () => {
    const tokenizer = tokenizerOf("sentencepiece", ["<unk>", "▁", ".", "▁a"]);
    const hypothesis = {
      ...hypothesisOf({ tokens: [3, 1, 2], steps: [1, 2, 3] } as Case, 5),
      confidence: [0.9, 0.4, 0.5],
    };
    expect(nemoWordConfidence(hypothesis, tokenizer, "ctc", "min")).toEqual([0.9, 0.4]);
    expect(nemoWordConfidence(hypothesis, tokenizer, "transducer", "min")).toBeUndefined();
    expect(nemoWordConfidence({ ...hypothesis, confidence: undefined }, tokenizer, "ctc", "min")).toBeUndefined();
  });

  test("takes a label for each character and one between words", () => {
    const tokenizer = tokenizerOf("characters", [" ", "a", "b"]);
    const given = { tokens: [1, 2, 0, 1], steps: [1, 2, 3, 4], token_confidence: [0.5, 0.7, 0.1, 0.9] };
    const hypothesis = hypothesisOf(given as unknown as Case, 4);
    expect(nemoWordConfidence(hypothesis, tokenizer, "transducer", "prod")).toEqual([0.35, 0.9]);
  });
});

describe("nemoTokenOffsets", () => {
  test("does not move a mark that is the first token", () => {
    const tokenizer = tokenizerOf("sentencepiece", ["<unk>", ".", "▁a"]);
    const hypothesis = hypothesisOf(
      { head: "transducer", rules: {}, tokens: [1, 1], steps: [4, 9], durations: [2, 3] } as unknown as Case,
      4,
    );
    const decoding = { wordSeparator: " ", segmentSeparators: [], segmentGapThresholdSteps: undefined };
    expect(flat(nemoTokenOffsets(hypothesis, "transducer", { tokenizer, marks: new Set("."), decoding }))).toEqual([
      [".", 4, 6],
      [".", 6, 6],
    ]);
  });
});
