import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type OpenHypothesis, openHypothesis } from "../../src/decoding/open-hypothesis.ts";
import type { InterimEvent } from "../../src/streaming/stream.ts";
import { createUtterances } from "../../src/streaming/utterances.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { textOf, textRules } from "../../src/transcript/text.ts";
import { bundled } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";

const { spec } = await bundled("speech");
const STEP_SEC = 0.08;

const mandarin = createTokenizer({ kind: "characters", pieces: ["我", "们", "好", "再", "见", "，"] });
const PIECES = ["<unk>", "▁he", "llo", "▁yes", "▁so", "."];
const english = createTokenizer({
  kind: "sentencepiece",
  pieces: PIECES,
  types: PIECES.map((piece) => (piece === "<unk>" ? "unknown" : "normal")),
  unkSurface: " ⁇ ",
  leadingSpace: "one",
});

/** Tokens and the steps they are found on. */
type Found = readonly (readonly [piece: string, step: number])[];

function add(hypothesis: OpenHypothesis, tokenizer: Tokenizer, found: Found, numSteps: number): void {
  for (const [piece, step] of found) {
    if (step < hypothesis.numSteps || step >= numSteps) continue;
    hypothesis.tokens.push(tokenizer.pieces.indexOf(piece));
    hypothesis.steps.push(step);
    hypothesis.endSteps.push(step + 1);
    hypothesis.logProbs.push(0);
  }
  hypothesis.numSteps = numSteps;
}

/** Two lanes of one stream; `hear` lets them come so far, and gives the text of the interim then. */
function lanesOf(tokenizer: Tokenizer, slow: Found, fast: Found) {
  const [hypothesis, ahead] = [0, 1].map(() => openHypothesis({ durations: false, confidence: false }));
  const rules = { silence: "none", maxUtteranceSec: 1e9 } as const;
  const utterances = createUtterances({ spec, tokenizer, head: "transducer", hypothesis, rules });
  let interim: InterimEvent | undefined;
  return {
    hear(slowSteps: number, fastSteps: number): string {
      add(hypothesis, tokenizer, slow, slowSteps);
      add(ahead, tokenizer, fast, fastSteps);
      const events = utterances.update(fastSteps * STEP_SEC, undefined, ahead);
      for (const event of events) if (event.type === "interim") interim = event;
      return interim?.text ?? "";
    },
    interim: () => interim,
    cut() {
      interim = undefined;
      return utterances.cut("asked", hypothesis.numSteps * STEP_SEC).map(({ text }) => text);
    },
    numTokens: () => [hypothesis.tokens.length, ahead.tokens.length],
  };
}

describe("what a faster lane has beyond a slower one", () => {
  test("without spaces between words: the late copy of the last token is not shown again, what follows is", () => {
    const slow = [..."我们好"].map((piece, i) => [piece, 1 + 2 * i] as const);
    const fast = [..."我们好再见"].map((piece, i) => [piece, 2 + 2 * i] as const);
    const { hear } = lanesOf(mandarin, slow, fast);
    expect(hear(6, 6)).toBe("我们好");
    expect(hear(6, 7)).toBe("我们好");
    expect(hear(6, 9)).toBe("我们好再");
    expect(hear(6, 11)).toBe("我们好再见");
  });

  test("a token that is said twice is shown twice", () => {
    const fast = [
      ["好", 5],
      ["好", 7],
    ] as const;
    expect(lanesOf(mandarin, [["好", 4]], fast).hear(6, 8)).toBe("好好");
    // The first of the faster lane's comes late: it is the slower one's.
    expect(lanesOf(mandarin, [["好", 5]], fast.slice(1)).hear(6, 8)).toBe("好");
  });

  test("what the slower lane decided otherwise is not shown, nor is what it has heard", () => {
    const slow = [
      ["我", 2],
      ["好", 5],
    ] as const;
    const fast = [
      ["我", 3],
      ["再", 6],
      ["好", 7],
      ["见", 9],
    ] as const;
    expect(lanesOf(mandarin, slow, fast).hear(6, 10)).toBe("我好见");
    expect(lanesOf(mandarin, [], [["再", 5]]).hear(6, 10)).toBe("");
  });

  test("a word whose beginning both have is shown once, and whole", () => {
    const fast = [
      ["▁he", 5],
      ["llo", 7],
      [".", 8],
      ["▁yes", 9],
    ] as const;
    const { hear, interim } = lanesOf(english, [["▁he", 5]], fast);
    expect(hear(6, 6)).toBe("he");
    expect(hear(6, 8)).toBe("hello");
    expect(hear(6, 10)).toBe("hello. yes");
    expect(interim()).toMatchObject({
      stableText: "",
      words: [
        { text: "hello.", startStep: 5, endStep: 8 },
        { text: "yes", startStep: 9, endStep: 10 },
      ],
    });
  });

  test("what is final already is not shown again", () => {
    const slow = [..."我们好再"].map((piece, i) => [piece, 2 + i] as const);
    const fast = [..."我们好再见"].map((piece, i) => [piece, 4 + i] as const);
    const { hear, cut } = lanesOf(mandarin, slow, fast);
    expect(hear(6, 6)).toBe("我们好再");
    expect(cut()).toEqual(["我们好再"]);
    expect(hear(6, 8)).toBe("");
    expect(hear(6, 9)).toBe("见");
  });

  test.each([
    ["Mandarin", mandarin],
    ["English", english],
  ])("is all that it has found, late, and the slower one has not; little is remembered: %s", (_, tokenizer) => {
    const spoken = fc.tuple(fc.nat({ max: tokenizer.size - 1 }), fc.integer({ min: 1, max: 5 }), fc.nat({ max: 6 }));
    const chunk = fc.tuple(fc.integer({ min: 1, max: 14 }), fc.boolean());
    const cases = fc.record({
      tokens: fc.array(spoken, { maxLength: 30 }),
      chunks: fc.array(chunk, { minLength: 1, maxLength: 10 }),
    });
    fc.assert(
      fc.property(cases, ({ tokens, chunks }) => {
        let [step, late] = [0, 0];
        const rows = tokens.map(([id, gap, lag]) => {
          step += gap;
          late = Math.min(step + 6, Math.max(step + lag, late + 1));
          return { piece: tokenizer.pieces[id], step, late };
        });
        const slow = rows.map((row) => [row.piece, row.step] as const);
        const fast = rows.map((row) => [row.piece, row.late] as const);
        const { hear, cut, interim, numTokens } = lanesOf(tokenizer, slow, fast);
        let heard = 0;
        let first = 0;
        for (const [numSteps, isCut] of chunks) {
          for (let ahead = 0; ahead <= numSteps; ahead++) {
            const found = rows.filter((row) => row.step < heard || row.late < heard + ahead).slice(first);
            const ids = found.map((row) => tokenizer.pieces.indexOf(row.piece));
            expect(hear(heard, heard + ahead)).toBe(textOf(ids, textRules(tokenizer, spec.decoding, "transducer")));
            expect(interim()?.text.startsWith(interim()?.stableText ?? "") ?? true).toBe(true);
          }
          heard += numSteps;
          hear(heard, heard);
          if (isCut) {
            cut();
            first = rows.filter((row) => row.step < heard).length;
            expect(numTokens()[0]).toBeLessThanOrEqual(18);
          }
          expect(numTokens()[1]).toBeLessThanOrEqual(18 + 14);
        }
      }),
      propertyRuns(200),
    );
  });
});
