import { describe, expect, test } from "vitest";
import { compareEqual, compareNumbers, excused, referenceRecordings } from "../../src/recognition/verify-checks.ts";

describe("referenceRecordings", () => {
  test("numbers the clips that a reference lists", () => {
    expect(referenceRecordings({ about: { clips: ["a.wav", "b.wav"], clips_folder: "clips8000" } }, [])).toEqual({
      folder: "clips8000",
      files: [
        { name: "clip0", file: "a.wav" },
        { name: "clip1", file: "b.wav" },
      ],
    });
    const listed = referenceRecordings({ clips: [{ file: "jfk.wav", seconds: 11 }] }, ["x.features"]);
    expect(listed).toEqual({ folder: undefined, files: [{ name: "clip0", file: "jfk.wav" }] });
  });

  test("without a list takes the names of the tensors for those of files", () => {
    const tensors = ["noise.features", "noise.encoder", "batch.features", "silence1s.features", "noise.features_len"];
    expect(referenceRecordings({}, tensors).files).toEqual([
      { name: "noise", file: "noise.wav" },
      { name: "silence1s", file: "silence1s.wav" },
    ]);
  });
});

describe("compareNumbers", () => {
  test("finds the largest difference and holds it against the tolerance of the stage", () => {
    const found = compareNumbers("clip0", "encoder", [1, 2, 3], [1, 2.00009, 3]);
    expect(found).toMatchObject({ where: "clip0", stage: "encoder", isOk: true, tolerance: 1e-4 });
    expect(found.difference).toBeCloseTo(9e-5, 12);
    expect(compareNumbers("clip0", "encoder", [1, 2, 3], [1, 2.0002, 3]).isOk).toBe(false);
  });

  test("takes NaN for a difference, but where the reference has it too", () => {
    expect(compareNumbers("clip0", "encoder", [Number.NaN, 1], [0, 1])).toMatchObject({ isOk: false, difference: NaN });
    expect(compareNumbers("clip0", "encoder", [0, 1], [Number.NaN, 1]).isOk).toBe(false);
    expect(compareNumbers("clip0", "encoder", [Number.NaN, 1], [Number.NaN, 1])).toMatchObject({
      ...{ isOk: true, difference: 0 },
    });
  });

  test("tells of another length", () => {
    expect(compareNumbers("clip0", "joint", [1], [1, 2])).toMatchObject({
      ...{ isOk: false, detail: "1 numbers, 2 in the reference" },
    });
  });
});

describe("excused", () => {
  test("lets what a near-tie decided pass, with the lead to be shown", () => {
    const same = compareEqual("clip0", "ctc tokens", [1, 2], [1, 2]);
    const other = compareEqual("clip0", "ctc tokens", [1, 2], [1, 3]);
    expect(other).toEqual({ where: "clip0", stage: "ctc tokens", isOk: false, detail: "[1,2] instead of [1,3]" });
    expect(excused(other, undefined)).toBe(other);
    expect(excused(same, 1e-6)).toBe(same);
    expect(excused(other, 1e-6)).toEqual({ ...other, isOk: true, nearTie: 1e-6 });
  });
});
