import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AlignmentRow, alignSequences } from "../../src/transcript/align.ts";

/** The textbook table. */
function plainDistance(a: readonly string[], b: readonly string[]): number {
  let row = b.map((_, j) => j).concat(b.length);
  a.forEach((x, i) => {
    const next = [i + 1];
    b.forEach((y, j) => {
      next.push(Math.min(row[j] + (x === y ? 0 : 1), row[j + 1] + 1, next[j] + 1));
    });
    row = next;
  });
  return row[b.length];
}

const countEdits = (rows: readonly AlignmentRow[]) => rows.filter((row) => row.kind !== "equal").length;
const sides = (rows: readonly AlignmentRow[]) => [
  rows.flatMap((row) => ("reference" in row ? [row.reference] : [])),
  rows.flatMap((row) => ("hypothesis" in row ? [row.hypothesis] : [])),
];

/** A long sequence and a copy with some errors, both out of few words. */
function longPair(numWords: number, errorEvery: number): [string[], string[]] {
  let seed = 12345;
  const draw = (n: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % n;
  };
  const reference = Array.from({ length: numWords }, () => `w${draw(50)}`);
  const hypothesis = reference.flatMap((word) => {
    if (draw(errorEvery) > 0) return [word];
    return [[], [`w${draw(50)}`], [word, `w${draw(50)}`]][draw(3)];
  });
  return [reference, hypothesis];
}

describe("alignSequences", () => {
  test("finds the fewest edits and keeps both sequences, for any pair", () => {
    const sequence = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 30 });
    fc.assert(
      fc.property(sequence, sequence, (a, b) => {
        const rows = alignSequences(a, b);
        expect(countEdits(rows)).toBe(plainDistance(a, b));
        expect(sides(rows)).toEqual([a, b]);
        for (const row of rows) {
          if (row.kind === "equal") expect(row.reference).toBe(row.hypothesis);
          if (row.kind === "substitution") expect(row.reference).not.toBe(row.hypothesis);
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  test.each([
    [700, 900, 5],
    [2000, 1, 3],
    [3000, 4, 40],
  ])("finds the fewest edits of long sequences, which it halves: %d words, %d", (numWords, extra, errorEvery) => {
    const [a, b] = longPair(numWords, errorEvery);
    const longer = [...Array.from({ length: extra }, (_, i) => `x${i % 7}`), ...b];
    const rows = alignSequences(a, longer);
    expect(countEdits(rows)).toBe(plainDistance(a, longer));
    expect(sides(rows)).toEqual([a, longer]);
  });

  test("aligns what has nothing in common", () => {
    const [a, b] = [new Array(800).fill("a"), new Array(600).fill("b")];
    expect(countEdits(alignSequences(a, b))).toBe(800);
    expect(countEdits(alignSequences(b, a))).toBe(800);
  });

  test("aligns with nothing", () => {
    expect(alignSequences([], [])).toEqual([]);
    expect(alignSequences(["a"], [])).toEqual([{ kind: "deletion", reference: "a" }]);
    expect(alignSequences([], ["a"])).toEqual([{ kind: "insertion", hypothesis: "a" }]);
  });

  test("refuses texts that are too long and too different, before it has worked on them for long", () => {
    const [a, b] = [new Array(200_000).fill("a"), new Array(20_000).fill("b")];
    expect(() => alignSequences(a, b)).toThrowError(
      expect.objectContaining({
        code: "LIMIT_EXCEEDED",
        message:
          "alignment: expected texts that can be compared, got 200000 and 20000 elements with over 90000 differences. Compare shorter parts.",
      }),
    );
  });
});
