import { describe, expect, test } from "vitest";
import { addErrors, compareCharacters, compareWords, errorRate, NO_ERRORS } from "../../src/transcript/error-rate.ts";
import { NORMALIZERS, splitWords } from "../../src/transcript/normalize.ts";

describe("compareWords", () => {
  test("counts substitutions, deletions and insertions and shows them", () => {
    const comparison = compareWords("a cat sat there on the mat", "a hat sat on the old mat", "none");
    expect(comparison).toMatchObject({ substitutions: 1, deletions: 1, insertions: 1, numReference: 7 });
    expect(comparison.rows).toEqual([
      { kind: "equal", reference: "a", hypothesis: "a" },
      { kind: "substitution", reference: "cat", hypothesis: "hat" },
      { kind: "equal", reference: "sat", hypothesis: "sat" },
      { kind: "deletion", reference: "there" },
      { kind: "equal", reference: "on", hypothesis: "on" },
      { kind: "equal", reference: "the", hypothesis: "the" },
      { kind: "insertion", hypothesis: "old" },
      { kind: "equal", reference: "mat", hypothesis: "mat" },
    ]);
    expect(errorRate(comparison)).toBe(3 / 7);
  });

  test("compares as the normaliser says", () => {
    const [reference, hypothesis] = ["it isn't well known", "It isn’t well-known."];
    expect(errorRate(compareWords(reference, hypothesis, "manifest"))).toBe(0);
    expect(errorRate(compareWords(reference, hypothesis, "none"))).toBe(1);
  });
});

describe("compareCharacters", () => {
  test("counts the spaces between words too", () => {
    expect(compareCharacters("ab c", "abc", "none")).toMatchObject({ deletions: 1, numReference: 4 });
    expect(compareCharacters(" ab  c ", "ab c", "none")).toMatchObject({ deletions: 0, numReference: 4 });
  });

  test("counts characters, not units of UTF-16", () => {
    expect(compareCharacters("𝄞x", "𝄢x", "none")).toMatchObject({ substitutions: 1, numReference: 2 });
  });
});

describe("errorRate", () => {
  test("is that of all texts together, not the mean of their rates", () => {
    const short = compareWords("a", "b", "none");
    const long = compareWords("a b c", "a b c", "none");
    expect(errorRate([short, long].reduce(addErrors, NO_ERRORS))).toBe(0.25);
  });

  test("is 0 for nothing against nothing and infinite for something against nothing", () => {
    expect(errorRate(compareWords("", "", "none"))).toBe(0);
    expect(errorRate(compareWords("", "a", "none"))).toBe(Infinity);
  });
});

describe("NORMALIZERS", () => {
  test("manifest lowers case and drops punctuation but apostrophes inside words", () => {
    expect(splitWords("“Don't,” she said — at 10:30, Mr. O’Neill's dogs' 'tail'.", "manifest")).toEqual(
      "don't she said at 10 30 mr o'neill's dogs tail".split(" "),
    );
    expect(NORMALIZERS.manifest("E\u0301TE\u0301")).toBe("été");
    expect(splitWords("$5 + 3°", "manifest")).toEqual(["5", "3"]);
  });

  test("none only splits at white space", () => {
    expect(splitWords("  A, b\n'c ", "none")).toEqual(["A,", "b", "'c"]);
  });
});
