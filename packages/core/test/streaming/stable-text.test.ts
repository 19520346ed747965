import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { propertyRuns } from "../reference/compare.ts";
import { follow as followSteps, TOKENIZERS } from "./followed-tokens.ts";

/** Events of tokens that come one a step, or none; utterances end at `maxUtteranceSec` and nowhere else. */
const follow = (tokenizer: Tokenizer, tokens: readonly (number | undefined)[], maxUtteranceSec: number) =>
  followSteps(
    tokenizer,
    tokens.map((token) => ({ token })),
    { silence: "none", maxUtteranceSec },
  );

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
      "我们好，我ab| 我",
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
