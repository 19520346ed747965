// Writes the measured tables of docs/performance.md from a benchmark's JSON:
//   npm run bench -- --json bench/results.json && node tools/make-performance.mjs
// --check writes nothing and ends with status 1 where the page has other tables than the JSON gives.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tableOf } from "../bench/tables.mjs";
import { fillMarked } from "./marked.mjs";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { check: { type: "boolean" } } });
const root = join(import.meta.dirname, "..");
const path = join(root, "docs", "performance.md");
const table = tableOf(JSON.parse(readFileSync(positionals[0] ?? join(root, "bench", "results.json"), "utf8")));
const page = readFileSync(path, "utf8");
const made = fillMarked(page, "bench", table.join("\n"), "docs/performance.md");
if (!values.check) writeFileSync(path, made);
else if (made !== page) {
  console.error(
    "docs/performance.md: expected the tables of bench/results.json. Run `node tools/make-performance.mjs`.",
  );
  process.exitCode = 1;
}
