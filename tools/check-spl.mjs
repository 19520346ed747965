// The SPL toolkit and its samples: syntax, names, types, ports, parameters, documentation.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { checkSpl, formatProblem } from "../packages/spl/dist/index.js";

const root = resolve(import.meta.dirname, "..");
const folder = join(root, "streams");
const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".spl") && !path.split("/").includes("output"))
  .map((path) => ({ path: relative(root, join(folder, path)), text: readFileSync(join(folder, path), "utf8") }));
const problems = checkSpl(sources);
for (const problem of problems) console.error(formatProblem(problem));
console.log(`SPL: ${sources.length} files, ${problems.length} problems`);
process.exit(problems.length === 0 && sources.length > 0 ? 0 : 1);
