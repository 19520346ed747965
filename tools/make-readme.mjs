// Fills the README's printed outputs with what the commands really print, or with `--check` tells where they differ.
//   npm run build && node tools/make-readme.mjs [--check] [FILE WITH THE OUTPUT OF npm test]
// Without the file the closing lines of the tests stay as they are.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { fillMarked } from "./marked.mjs";

const root = resolve(import.meta.dirname, "..");
const path = resolve(root, "README.md");
const isCheck = process.argv.includes("--check");
const testOutput = process.argv.slice(2).find((argument) => argument !== "--check");

const run = (...args) => execFileSync(process.execPath, args, { cwd: root, encoding: "utf8", stdio: "pipe" }).trim();
const block = (text, language = "") => `\`\`\`${language}\n${text}\n\`\`\``;

/** The command behind `npm start`, without the build before it. */
function quickstart() {
  const { scripts } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8"));
  const [program, ...args] = scripts.start.split("&&").at(-1).trim().split(/\s+/);
  if (program !== "node") throw new Error(`package.json: expected \`start\` to end with node, got ${program}.`);
  return block(run(...args));
}

function example() {
  const file = "examples/transcribe.mjs";
  return `${block(readFileSync(resolve(root, file), "utf8").trim(), "js")}\n\n${block(run(file))}`;
}

/** Vitest's last lines, without the one whose times no machine repeats. */
function closingLines(file) {
  const lines = stripVTControlCharacters(readFileSync(resolve(file), "utf8")).split("\n");
  const summary = lines.filter((line) => /^\s*(Test Files|Tests)\s/.test(line)).map((line) => line.trimEnd());
  if (summary.length < 2) throw new Error(`${file}: expected the output of \`npm test\`, got no summary.`);
  return block(summary.join("\n"));
}

const parts = { quickstart: quickstart(), example: example() };
if (testOutput) parts.test = closingLines(testOutput);

const before = readFileSync(path, "utf8");
let after = before;
for (const [name, content] of Object.entries(parts)) {
  const filled = fillMarked(after, name, content, "README.md");
  if (isCheck && filled !== after) {
    console.error(`README.md › ${name}: expected\n${content}\nRun \`node tools/make-readme.mjs\` after a build.`);
    process.exitCode = 1;
  }
  after = filled;
}
if (!isCheck && after !== before) writeFileSync(path, after);
