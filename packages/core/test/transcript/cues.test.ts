import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildCues } from "../../src/transcript/cues.ts";
import type { TimedText } from "../../src/transcript/transcript.ts";

function word(text: string, startSec: number, endSec: number): TimedText {
  return { text, startSec, endSec, startStep: 0, endStep: 0 };
}

/** Words of a sentence, half a second each. */
function sentence(text: string, startSec = 0): TimedText[] {
  return text.split(" ").map((part, i) => word(part, startSec + i / 2, startSec + i / 2 + 0.4));
}

describe("buildCues", () => {
  test("fills lines one after another and ends cues with sentences", () => {
    const words = sentence("Well, I don't wish to see it any more. It is certainly very like the old portrait.");
    expect(buildCues({ words }, { maxLineChars: 24 })).toEqual([
      { startSec: 0, endSec: 4.4, lines: ["Well, I don't wish to", "see it any more."] },
      { startSec: 4.5, endSec: 8.4, lines: ["It is certainly very", "like the old portrait."] },
    ]);
  });

  test("ends cues before they have too many lines, last too long, or at a pause", () => {
    const words = sentence("a b c d e f");
    const texts = (options: Parameters<typeof buildCues>[1], given = words) =>
      buildCues({ words: given }, options).map((cue) => cue.lines.join("|"));
    expect(texts({ maxLineChars: 3, maxLines: 1 })).toEqual(["a b", "c d", "e f"]);
    expect(texts({ maxLineChars: 3, maxLines: 2 })).toEqual(["a b|c d", "e f"]);
    expect(texts({ maxSec: 1 })).toEqual(["a b", "c d", "e f"]);
    expect(texts({}, [word("a", 0, 1), word("b", 2.4, 3), word("c", 4.6, 5)])).toEqual(["a b", "c"]);
  });

  test("shows a short cue for its least time where the next one leaves room", () => {
    const words = [word("Yes.", 1, 1.2), word("No.", 1.5, 1.6), word("So.", 9, 9.1)];
    expect(buildCues({ words }, { minSec: 1 })).toEqual([
      { startSec: 1, endSec: 1.5, lines: ["Yes."] },
      { startSec: 1.5, endSec: 2.5, lines: ["No."] },
      { startSec: 9, endSec: 10, lines: ["So."] },
    ]);
  });

  test("cuts a word longer than a line by characters, with its share of the time", () => {
    expect(buildCues({ words: [word("你好世界啊", 0, 10)] }, { maxLineChars: 2, maxLines: 1, minSec: 0.1 })).toEqual([
      { startSec: 0, endSec: 4, lines: ["你好"] },
      { startSec: 4, endSec: 8, lines: ["世界"] },
      { startSec: 8, endSec: 10, lines: ["啊"] },
    ]);
  });

  test("leaves out words that show nothing", () => {
    expect(buildCues({ words: [word("", 0, 1), word(" \n", 1, 2)] })).toEqual([]);
  });

  test("keeps every letter, the limits and the order, for any words", () => {
    const anyWords = fc.array(
      fc.record({
        text: fc.constantFrom("a", "of", "portrait", "turning.", "extraordinarily", "你好世界你好世界你好世界"),
        gap: fc.constantFrom(0, 0.25, 3),
        length: fc.constantFrom(0, 0.5, 2),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(anyWords, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 3 }), (drawn, chars, lines) => {
        let sec = 0;
        const words = drawn.map(({ text, gap, length }) => {
          sec += gap + length;
          return word(text, sec - length, sec);
        });
        const cues = buildCues({ words }, { maxLineChars: chars, maxLines: lines });
        const letters = (text: string) => text.replaceAll(/\s/g, "");
        expect(letters(cues.flatMap((cue) => cue.lines).join(""))).toBe(letters(words.map((w) => w.text).join("")));
        let end = 0;
        for (const cue of cues) {
          expect(cue.lines.length).toBeLessThanOrEqual(lines);
          for (const line of cue.lines) expect([...line].length).toBeLessThanOrEqual(chars);
          expect(cue.startSec).toBeGreaterThanOrEqual(end);
          expect(cue.endSec).toBeGreaterThanOrEqual(cue.startSec);
          end = cue.endSec;
        }
      }),
      { numRuns: 300, seed: 6 },
    );
  });

  test("refuses limits that allow nothing", () => {
    expect(() => buildCues({ words: [] }, { maxLineChars: 0 })).toThrowError(
      new RangeError("options.maxLineChars: expected a number above 0, got 0. Leave it out, or give one."),
    );
  });
});
