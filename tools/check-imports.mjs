// Import rules: data flows one way, the core is pure, and packages meet only at their public entry points.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** What each package may import besides its own files. */
const PACKAGES = {
  core: { packages: [], external: ["yaml", "@noble/hashes"] },
  node: { packages: ["@nemo-stt/core"], external: null },
  spl: { packages: [], external: ["chevrotain"] },
  web: { packages: ["@nemo-stt/core"], external: ["onnxruntime-web"] },
  streams: {
    packages: ["@nemo-stt/core", "@nemo-stt/node"],
    external: ["@hono/node-server", "hono", "prom-client"],
  },
  cli: { packages: ["@nemo-stt/core", "@nemo-stt/node", "@nemo-stt/streams"], external: null },
};

/** Folders of the core from the bottom up: a folder may import from its own row's predecessors only. */
const LAYERS = [
  [""],
  ["protobuf", "audio"],
  ["config-types"],
  ["checkpoint"],
  ["config"],
  ["tokenizer", "features", "onnx"],
  ["architectures", "decoding"],
  ["transcript", "export"],
  ["recognition"],
  ["vad"],
  ["streaming"],
];

const layerOf = (folder) => LAYERS.findIndex((row) => row.includes(folder));
const IMPORT =
  /(?:^|\n)\s*(?:import|export)[^"';]*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s*["']([^"']+)["']/g;
/** What a pure core cannot know: the process, the clock, chance, timers, the network, the screen. */
const IMPURE =
  /(?<![\w$.#"'`])(?:process(?=\s*\.\s*\w)|(?:Buffer|console|Date|setTimeout|setInterval|setImmediate|queueMicrotask|performance|fetch|require|globalThis|window\s*\.|document\s*\.|__dirname)\b(?=\s*[.(]))|\bnew\s+Date\b|\bMath\s*\.\s*random\b/g;
/** Parameters of the core that are named after what the platform gives. */
const GIVEN = { "sources.ts": ["fetch"] };
const root = resolve(import.meta.dirname, "..");
const problems = [];

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.(ts|mjs)$/.test(entry.name)) yield path;
  }
}

function checkFile(name, rules, src, file) {
  const text = readFileSync(file, "utf8");
  const where = relative(root, file);
  for (const match of text.matchAll(IMPORT)) {
    const target = match[1] ?? match[2] ?? match[3];
    if (target.startsWith(".")) checkRelative(name, src, file, where, target);
    else checkPackage(name, rules, where, target);
  }
  if (name === "core") checkPure(relative(src, file), where, text);
  const lines = text.split("\n").length;
  if (lines > 400) problems.push(`${where}: expected at most 400 lines, got ${lines}. Split it by concept.`);
}

function checkPure(file, where, text) {
  // Comments, module names and the words of messages are no code; `${…}` in messages is.
  const code = text
    .replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, "")
    .replace(/from\s+"[^"]*"/g, "")
    .replace(/`[^`]*`/g, (literal) => [...literal.matchAll(/\$\{([^}]*)\}/g)].map((part) => part[1]).join(" "));
  for (const [found] of code.matchAll(IMPURE)) {
    if (!GIVEN[file]?.includes(found)) problems.push(`${where}: the core is pure, but uses ${found}. Pass it in.`);
  }
}

function checkRelative(name, src, file, where, target) {
  const path = resolve(dirname(file), target);
  const inside = relative(src, path);
  if (inside.startsWith(".."))
    problems.push(`${where}: imports ${target} from outside its package. Use the package's name.`);
  if (name !== "core") return;
  const folder = (p) => (p.includes("/") ? p.split("/")[0] : "");
  const from = folder(relative(src, file));
  const to = inside === "config/spec.ts" ? "config-types" : folder(inside);
  if (relative(src, file) === "index.ts" || from === to || to === "") return;
  if (layerOf(from) === -1 || layerOf(to) === -1)
    problems.push(`${where}: folder ${from} or ${to} is not in the layers.`);
  else if (layerOf(to) >= layerOf(from))
    problems.push(`${where}: ${from} must not import from ${to}: data flows one way.`);
}

function checkPackage(name, rules, where, target) {
  if (target.startsWith("node:")) {
    if (name === "core" || name === "web")
      problems.push(`${where}: ${name} must run in browsers, but imports ${target}.`);
    return;
  }
  const own = target.startsWith("@nemo-stt/") || target === "nemo-stt";
  if (own && !rules.packages.includes(target)) problems.push(`${where}: ${name} must not import ${target}.`);
  const base = target.startsWith("@") ? target.split("/").slice(0, 2).join("/") : target.split("/")[0];
  if (!own && rules.external && !rules.external.includes(base))
    problems.push(`${where}: ${name} must not import ${target}.`);
}

for (const [name, rules] of Object.entries(PACKAGES)) {
  const src = join(root, "packages", name, "src");
  for (const file of sources(src)) checkFile(name, rules, src, file);
}
for (const problem of problems) console.error(problem);
console.log(`import rules: ${problems.length === 0 ? "kept" : `${problems.length} broken`}`);
process.exit(problems.length === 0 ? 0 : 1);
