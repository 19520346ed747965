import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../src");
const THROWN = /new (?:Range|Type)Error\(\s*(`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")/g;
/** `where: expected X, got Y. What to do.`, where a message is written as one text. */
const WHOLE = /^.+: expected .+, got .+\. [A-Z{].*\.$/s;

it("refusals of parameters, values and items say where, what was expected, what came, and what to do", () => {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  const messages = files
    .filter((path) => !path.startsWith("gateway"))
    .flatMap((path) => [...readFileSync(join(root, path), "utf8").matchAll(THROWN)].map(([, text]) => [path, text]));
  expect(messages.length).toBeGreaterThan(20);
  for (const [path, text] of messages) expect([path, text.slice(1, -1)]).toEqual([path, expect.stringMatching(WHOLE)]);
});
