import { expect, test } from "vitest";
import { limitWarnings } from "../../src/gateway/repeated-warnings.ts";

test("the same warning is given at once, then every ten seconds with how often it was", () => {
  const given: string[] = [];
  let nowMs = 0;
  const warn = limitWarnings(
    (text) => given.push(text),
    () => nowMs,
  );
  for (; nowMs < 25_000; nowMs += 10) warn("10.0.0.7: TLS failed");
  warn("10.0.0.8: TLS failed");
  expect(given).toEqual([
    "10.0.0.7: TLS failed",
    "10.0.0.7: TLS failed (999 times more since the last such line)",
    "10.0.0.7: TLS failed (999 times more since the last such line)",
    "10.0.0.8: TLS failed",
  ]);
});

test("no more than a thousand warnings are remembered", () => {
  const given: string[] = [];
  const warn = limitWarnings(
    (text) => given.push(text),
    () => 0,
  );
  for (let i = 0; i < 1001; i++) warn(`client ${i}`);
  warn("client 0");
  expect(given).toHaveLength(1002);
});
