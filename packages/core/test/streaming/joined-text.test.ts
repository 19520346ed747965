import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FinalEvent } from "../../src/streaming/stream.ts";
import { textOf, textRules } from "../../src/transcript/text.ts";
import { bundled } from "../recognition/bundled.ts";
import { propertyRuns } from "../reference/compare.ts";
import { follow, TOKENIZERS } from "./followed-tokens.ts";

const { spec } = await bundled("speech");

const joined = (finals: readonly FinalEvent[]) =>
  finals.map(({ text, joinsPrevious }) => (joinsPrevious ? text : ` ${text}`)).join("");

const inWords = (text: string) => text.split(" ").filter((word) => word !== "");

describe("finals", () => {
  test.each(Object.entries(TOKENIZERS))(
    "are the words of the text without cuts, wherever it is cut: %s",
    (_, tokenizer) => {
      const rules = textRules(tokenizer, spec.decoding, "transducer");
      // `<unk>` writes spaces of its own around itself.
      const ids = tokenizer.pieces.flatMap((piece, id) => (piece === "<unk>" ? [] : [id]));
      const step = fc.record({
        token: fc.option(fc.constantFrom(...ids), { nil: undefined, freq: 4 }),
        asks: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(0, 0.1, 1e9), (steps, minSilenceSec) => {
          const tokens = steps.flatMap(({ token }) => token ?? []);
          const spoken = tokens.filter((token) => !rules.isEvent(token));
          const text = textOf(spoken, rules);
          // Bytes of one character, cut apart, are none.
          fc.pre(!text.includes("\ufffd") && !tokens.some((token) => tokenizer.pieces[token].startsWith("<0x")));
          const finals = follow(tokenizer, steps, { silence: "decoder", minSilenceSec }).filter(
            (event): event is FinalEvent => event.type === "final",
          );
          expect(inWords(joined(finals))).toEqual(inWords(text));
          for (const final of finals) expect(final.text.trim()).not.toBe("");
          for (const final of finals)
            expect(final.text).toBe(final.reason === "end" ? final.text : final.text.trimEnd());
        }),
        propertyRuns(300),
      );
    },
  );
});
