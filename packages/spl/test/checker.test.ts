import { checkSpl, formatProblem } from "@nemo-stt/spl";
import { describe, expect, test } from "vitest";
import { PROGRAM } from "./seeded-program.ts";

describe("checkSpl", () => {
  test("finds nothing in a program that is right", () => {
    expect(checkSpl([{ path: "test.spl", text: PROGRAM }]).map(formatProblem)).toEqual([]);
  });

  test("says where, what was expected and what came", () => {
    const problems = checkSpl([{ path: "app.spl", text: PROGRAM.replace("kind : quiet", "sort : quiet") }]);
    expect(problems.map(formatProblem)).toEqual([
      "app.spl:103:9: unknown-parameter: `Recognise`: expected one of host, port, kind, got `sort`.",
    ]);
  });

  test("looks at composites with open inputs anew for every use", () => {
    const inner =
      "/** X. @input A a @output B b */\npublic composite X(input A; output B) { graph stream<rstring t> B = Functor(A) { output B : t = A.name; } }";
    const use = (type: string) =>
      `/** M. */ public composite M { graph stream<${type}> S = Beacon() { output S : name = "n"; } stream<rstring t> R = X(S) {} }`;
    expect(
      checkSpl([
        { path: "a", text: inner },
        { path: "b", text: use("rstring name") },
      ]).map(formatProblem),
    ).toEqual([]);
    const problems = checkSpl([
      { path: "a", text: inner.replace("A.name", "A.title") },
      { path: "b", text: use("rstring name") },
    ]);
    expect(problems.map((p) => `${p.file} ${p.code}`)).toEqual(["a unknown-attribute"]);
  });
});
