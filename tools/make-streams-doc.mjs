// Fills docs/streams.md's tables and outputs from the code and from what commands print, or with `--check` tells where
// they differ.
//   npm run build && node tools/make-streams-doc.mjs [--check]
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATORS } from "@nemo-stt/streams";
import { createProgram } from "nemo-stt";
import { fillMarked } from "./marked.mjs";

const root = join(import.meta.dirname, "..");
const path = join(root, "docs/streams.md");
const isCheck = process.argv.includes("--check");

const cell = (text) => text.replaceAll("|", "\\|");
const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows.map((cells) => cells.map(cell))]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
const block = (text, language = "") => `\`\`\`${language}\n${text}\n\`\`\``;
const code = (value) => `\`${value}\``;

/** What a value may be. */
function rangeOf({ type, choices, min, max, off }) {
  if (choices) return choices.map(code).join(", ");
  return min === undefined ? type : `${type}, ${off === undefined ? "" : `${off} or `}${min} to ${max}`;
}

function operator({ name, inputs, outputs, parameters }) {
  const rows = Object.entries(parameters).map(([key, spec]) => [
    `${code(key)}${spec.isRequired ? " \\*" : ""}`,
    rangeOf(spec),
    spec.default === undefined ? "" : code(spec.default),
    spec.effect === "ignored" ? `Ignored, and told so: ${spec.text}` : spec.text,
  ]);
  const ports = (list) => (list.length === 0 ? "nothing" : list.map(code).join(" and "));
  return `### ${name}\n\nIn: ${ports(inputs)}. Out: ${ports(outputs)}.\n\n${table(["parameter", "values", "default", "what it does"], rows)}`;
}

function options() {
  const quiet = { out: () => {}, err: () => {}, progress: () => ({ update: () => {}, stop: () => {} }) };
  const command = createProgram(quiet).commands.find((one) => one.name() === "gateway");
  const rows = command.options.map(({ flags, description, argChoices, defaultValue }) => [
    code(flags),
    `${description}${argChoices ? `: ${argChoices.join(", ")}` : ""}`,
    defaultValue === undefined ? "" : code(defaultValue),
  ]);
  return table(["option", "what it does", "default"], rows);
}

function spl() {
  const file = "streams/samples/com.teracloud.streamsx.stt.sample/FileToText.spl";
  const text = readFileSync(join(root, file), "utf8");
  return block(
    text
      .slice(text.indexOf("  graph"))
      .replace(/\n}\s*$/, "")
      .replaceAll(/^ {2}/gm, "")
      .trim(),
    "",
  );
}

const call = () =>
  block(
    execFileSync(process.execPath, ["examples/dist/live-call.js", "examples/audio/call-ulaw-8k.wav", "fast"], {
      cwd: root,
      encoding: "utf8",
    }).trimEnd(),
  );

const parts = { operators: OPERATORS.map(operator).join("\n\n"), options: options(), spl: spl(), call: call() };
const before = readFileSync(path, "utf8");
let after = before;
for (const [name, content] of Object.entries(parts)) {
  const filled = fillMarked(after, name, `\n${content}\n`, "docs/streams.md");
  if (isCheck && filled !== after) {
    console.error(`docs/streams.md › ${name}: is not what the code says. Run \`node tools/make-streams-doc.mjs\`.`);
    process.exitCode = 1;
  }
  after = filled;
}
if (!isCheck && after !== before) writeFileSync(path, after);
