// Writes what the README shows of itself: the quick start's output, the test run's closing lines, the example and its
// output.
//   npm run build && node tools/make-readme.mjs [FILE WITH THE OUTPUT OF npm test]
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";

const root = join(import.meta.dirname, "..");
const path = join(root, "README.md");
const run = (args) =>
  execFileSync(process.execPath, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
const { start } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;
const block = (text, language = "") => `\`\`\`${language}\n${text}\n\`\`\``;

const parts = {
  quickstart: block(run(start.split("&& node ")[1].split(" "))),
  example: `${block(readFileSync(join(root, "examples", "transcribe.mjs"), "utf8").trim(), "js")}\n\n${block(run(["examples/transcribe.mjs"]))}`,
};
if (process.argv[2]) {
  const lines = stripVTControlCharacters(readFileSync(process.argv[2], "utf8")).split("\n");
  parts.test = block(lines.filter((line) => /^\s+(Test Files|Tests) /.test(line)).join("\n"));
}
let page = readFileSync(path, "utf8");
for (const [name, text] of Object.entries(parts)) {
  page = page.replace(
    new RegExp(`(<!-- ${name}:start -->\\n)[\\s\\S]*?(<!-- ${name}:end -->)`),
    (_, a, b) => `${a}${text}\n${b}`,
  );
}
writeFileSync(path, page);
