// Writes docs/work-plan.md: the original plan, phase by phase, as commands with the output that they really have.
//   npm run build && [NEMO_PYTHON=FOLDER] node tools/make-work-plan.mjs
// With the maintainers' reference folder beside the project the recordings are real speech from there; without it the
// project's own stand in, and what needs the others is left out. NEMO_PYTHON names the folder of a `python` that has NeMo,
// which then saves the plan's checkpoint itself; without it a checkpoint of ours stands in.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportPhase, filesPhase, standalonePhase, troublePhase } from "./work-plan/phases.mjs";
import { bans, criteria, documentsPhase, promises } from "./work-plan/results.mjs";
import { root } from "./work-plan/shell.mjs";
import { streamingPhase } from "./work-plan/streaming.mjs";

const makers = [exportPhase, standalonePhase, troublePhase, filesPhase, streamingPhase, documentsPhase];
const sections = [...makers, criteria, promises, bans].map((make) => make());
const { version } = process;
const page = `# The plan, phase by phase

Made by \`node tools/make-work-plan.mjs\` (Node ${version.slice(1).split(".")[0]}): commands in the project's folder and what they print.

${sections.join("\n\n")}
`;
if (page.includes(root) || /\/(tmp|home|root)\//.test(page)) throw new Error("the page names a place of this machine");
const target = join(root, "docs/work-plan.md");
const before = existsSync(target) ? readFileSync(target, "utf8") : "";
writeFileSync(target, page);
console.log(`docs/work-plan.md: ${page.split("\n").length} lines${page === before ? ", as before" : ""}`);
