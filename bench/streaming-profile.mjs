// Reads ONNX Runtime's profile of a session: which operators and which parts of the encoder take the time.
import { readdirSync, readFileSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Node events of the profile whose name begins with `prefix` and has the most layers, from `sinceUs` on; deletes all. */
export function readProfile(prefix, numRuns) {
  const folder = dirname(prefix);
  const files = readdirSync(folder).filter((name) => name.startsWith(basename(prefix)));
  let best = [];
  for (const name of files) {
    const events = JSON.parse(readFileSync(join(folder, name), "utf8"));
    const nodes = lastRuns(events, numRuns);
    if (nodes.length > best.length) best = nodes;
    unlinkSync(join(folder, name));
  }
  return best;
}

/** Operators of the last runs: warm-up and loading are left out. */
function lastRuns(events, numRuns) {
  const runs = events.filter(({ name }) => name === "model_run").sort((a, b) => a.ts - b.ts);
  const since = runs.at(-numRuns)?.ts ?? 0;
  return events.filter(({ cat, name, ts }) => cat === "Node" && name.endsWith("_kernel_time") && ts >= since);
}

/** `[key, ms a run, operators a run]`, most expensive first. */
export function sumBy(nodes, numRuns, keyOf) {
  const sums = new Map();
  for (const node of nodes) {
    const key = keyOf(node);
    const [us, count] = sums.get(key) ?? [0, 0];
    sums.set(key, [us + node.dur, count + 1]);
  }
  return [...sums].map(([key, [us, count]]) => [key, us / 1000 / numRuns, count / numRuns]).sort((a, b) => b[1] - a[1]);
}

export const operatorOf = ({ args }) => args.op_name;

/** `self_attn`, `conv`, …: the part of a layer, or of the whole where it belongs to none. */
export function partOf({ name }) {
  const inLayer = /layers\.\d+\/(\w+)\//.exec(name);
  if (inLayer) return inLayer[1];
  if (/layers\.\d+/.test(name)) return "layer";
  return /^(pre_encode)/.exec(name)?.[1] ?? "other";
}

/** A table of sums as text. */
export function profileText(title, rows, limit = 20) {
  const total = rows.reduce((sum, [, ms]) => sum + ms, 0);
  const line = ([key, ms, count]) =>
    `  ${ms.toFixed(3).padStart(9)} ms ${((100 * ms) / total).toFixed(1).padStart(5)} % ${count.toFixed(0).padStart(5)} ×  ${key}`;
  return [`${title} (${total.toFixed(2)} ms a batch in operators)`, ...rows.slice(0, limit).map(line)].join("\n");
}
