import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type OpenHypothesis, openHypothesis } from "../../src/decoding/open-hypothesis.ts";
import type { FinalEvent, InterimEvent } from "../../src/streaming/stream.ts";
import { createUtterances } from "../../src/streaming/utterances.ts";
import { createTokenizer } from "../../src/tokenizer/create.ts";
import type { Tokenizer, TokenizerData } from "../../src/tokenizer/tokenizer.ts";
import { bundled } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";

const { spec } = await bundled("speech");
const STEP_SEC = 0.08;

function sentencePiece(pieces: readonly string[]): TokenizerData {
  const typeOf = (piece: string) => (piece === "<unk>" ? "unknown" : piece.startsWith("<0x") ? "byte" : "normal");
  return { kind: "sentencepiece", pieces, types: pieces.map(typeOf), unkSurface: " ⁇ ", leadingSpace: "one" };
}

const TOKENIZERS: Record<string, Tokenizer> = {
  "Mandarin characters": createTokenizer({ kind: "characters", pieces: ["我", "们", "好", " ", "a", "b", "，", "。"] }),
  "Japanese pieces without marks of words": createTokenizer(
    sentencePiece(["<unk>", "▁", "です", "私", "は", "カ", "ー", "゙", "。", "<0xE4>", "<0xBD>", "<0xA0>"]),
  ),
  "English pieces": createTokenizer(sentencePiece(["<unk>", "▁he", "llo", "▁yes", "▁", ".", "▁.", "s"])),
  "English characters": createTokenizer({ kind: "characters", pieces: [" ", "a", "b", "c", "'", "."] }),
  "WordPiece of both": createTokenizer({
    kind: "wordpiece",
    pieces: ["我", "们", "hel", "##lo", "##。", "。", "[UNK]"],
    special: ["[UNK]"],
  }),
};

/** Events of tokens that come one a step, or none; utterances end at `maxUtteranceSec` and nowhere else. */
function follow(tokenizer: Tokenizer, tokens: readonly (number | undefined)[], maxUtteranceSec: number) {
  const hypothesis: OpenHypothesis = openHypothesis({ durations: false, confidence: false });
  const rules = { silence: "none", maxUtteranceSec } as const;
  const utterances = createUtterances({ spec, tokenizer, head: "transducer", hypothesis, rules });
  const events: (InterimEvent | FinalEvent)[] = [];
  for (const token of tokens) {
    const step = hypothesis.numSteps++;
    if (token !== undefined) {
      hypothesis.tokens.push(token);
      hypothesis.steps.push(step);
      hypothesis.endSteps.push(step + 1);
      hypothesis.logProbs.push(0);
    }
    events.push(...utterances.update(hypothesis.numSteps * STEP_SEC));
  }
  return [...events, ...utterances.cut("end", hypothesis.numSteps * STEP_SEC)];
}

describe("stableText", () => {
  test.each(Object.entries(TOKENIZERS))(
    "is kept by later interims and the final, whatever comes: %s",
    (_, tokenizer) => {
      const token = fc.option(fc.nat({ max: tokenizer.size - 1 }), { nil: undefined, freq: 4 });
      fc.assert(
        fc.property(fc.array(token, { maxLength: 40 }), fc.constantFrom(0.3, 1, 1e9), (tokens, maxUtteranceSec) => {
          const stable = new Map<number, string>();
          for (const event of follow(tokenizer, tokens, maxUtteranceSec)) {
            const known = stable.get(event.utterance) ?? "";
            const now = event.type === "final" ? event.text : event.stableText;
            expect(event.text.startsWith(now)).toBe(true);
            expect(now.startsWith(known)).toBe(true);
            stable.set(event.utterance, now);
          }
        }),
        propertyRuns(300),
      );
    },
  );

  test("follows token by token where the script has no spaces, but for the last", () => {
    const tokenizer = TOKENIZERS["Mandarin characters"];
    const ids = [..."我们好，我ab 我"].map((label) => tokenizer.pieces.indexOf(label));
    const texts = follow(tokenizer, ids, 1e9).map((event) =>
      event.type === "interim" ? `${event.stableText}|${event.text.slice(event.stableText.length)}` : event.text,
    );
    expect(texts).toEqual([
      "|我",
      "我|们",
      "我们|好",
      "我们|好，",
      "我们好，|我",
      "我们好，我|a",
      "我们好，我|ab",
      "我们好，我ab| ",
      "我们好，我ab |我",
      "我们好，我ab 我",
    ]);
  });

  test("waits for the last byte of a character", () => {
    const tokenizer = TOKENIZERS["Japanese pieces without marks of words"];
    const ids = ["私", "<0xE4>", "<0xBD>", "<0xA0>", "は"].map((piece) => tokenizer.pieces.indexOf(piece));
    const interims = follow(tokenizer, ids, 1e9).filter((event) => event.type === "interim");
    expect(interims.map(({ text }) => text)).toEqual(["私", "私\ufffd", "私\ufffd\ufffd", "私你", "私你は"]);
    expect(interims.map(({ stableText }) => stableText)).toEqual(["", "", "", "", "私你"]);
  });

  test("an utterance that is too long ends between two tokens, and the next goes on without a space", () => {
    const tokenizer = TOKENIZERS["Mandarin characters"];
    const finals = follow(tokenizer, [0, 1, 2, 0, 1, 2, 0, 1], 0.3).filter((event) => event.type === "final");
    expect(finals.map(({ text }) => text)).toEqual(["我们好", "我们好", "我们"]);
    expect(finals.map(({ reason, joinsPrevious }) => [reason, joinsPrevious])).toEqual([
      ["max-utterance", false],
      ["max-utterance", true],
      ["end", true],
    ]);
  });
});
