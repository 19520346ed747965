import { SpeechError } from "@nemo-stt/core";
import { expect, test } from "vitest";
import { errorText, longFormNote, printable } from "../src/messages.ts";

test("names stay on one line and move no cursor", () => {
  expect(printable("a\nb\u001b[2Jc\u0085d é 语")).toBe("a\\x0ab\\x1b[2Jc\\x85d é 语");
  expect(errorText(new SpeechError("NOT_FOUND", "x\ny: expected a file, got nothing."))).toBe(
    "x\\x0ay: expected a file, got nothing. (NOT_FOUND)",
  );
});

test("windows that change numbers are told always, exact ones when asked, none of the whole", () => {
  expect(longFormNote("windows", false)).toContain("recognised in overlapping windows, merged as NeMo's");
  expect(longFormNote("exact-windows", true)).toContain("which give the numbers of the whole");
  expect([longFormNote("exact-windows", false), longFormNote("whole", true)]).toEqual([undefined, undefined]);
});
