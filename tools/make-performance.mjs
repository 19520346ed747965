// Writes the measured tables of docs/performance.md from a benchmark's JSON:
//   npm run bench -- --json bench/results.json && node tools/make-performance.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const path = join(root, "docs", "performance.md");
const { table } = JSON.parse(readFileSync(process.argv[2] ?? join(root, "bench", "results.json"), "utf8"));
const page = readFileSync(path, "utf8");
const between = /(<!-- bench:start -->\n)[\s\S]*?(<!-- bench:end -->)/;
if (!between.test(page)) throw new Error(`${path}: expected the markers bench:start and bench:end, got none.`);
writeFileSync(
  path,
  page.replace(between, (_, start, end) => `${start}${table.join("\n")}\n${end}`),
);
