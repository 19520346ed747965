import { errorRate } from "@nemo-stt/core";
import { loadModel } from "@nemo-stt/node";
import type { EvalFlags } from "../commands/eval.ts";
import type { Console } from "../console.ts";
import { throwIfFailed } from "../failures.ts";
import { errorText } from "../messages.ts";
import { precisionOf } from "../options.ts";
import { writeCalibration } from "./calibrate.ts";
import { percent, readManifest, type Scored, scoreManifest, totalErrors } from "./manifest.ts";

/** Word and character error rate of a model on a manifest. */
export async function evaluate(manifest: string, flags: EvalFlags, console: Console): Promise<void> {
  const entries = (await readManifest(manifest)).slice(0, flags.limit);
  const recognizer = await loadModel(flags.model, {
    precision: precisionOf(flags.quantize),
    onWarning: console.err,
  });
  const bar = console.progress("eval", entries.length);
  try {
    const { scored, failures } = await scoreManifest(recognizer, entries, {
      ...flags,
      onWarning: (text) => console.err(text),
      onProgress: (numDone) => bar.update(numDone),
    });
    bar.stop();
    if (entries.length > 1) for (const failure of failures) console.err(`nemo-stt: ${errorText(failure)}`);
    if (flags.json) console.out(JSON.stringify({ ...evalJson(scored, flags), failures: failures.map(errorText) }));
    else console.out(evalText(recognizer.name, scored, flags));
    if (flags.calibrate !== undefined && scored.length > 0) {
      for (const line of await writeCalibration(flags.calibrate, recognizer, scored, flags.head)) console.err(line);
    }
    throwIfFailed(failures, entries.length);
  } finally {
    bar.stop();
    await recognizer.close();
  }
}

const words = (scored: readonly Scored[]) => totalErrors(scored.map((s) => s.words));
const chars = (scored: readonly Scored[]) => totalErrors(scored.map((s) => s.chars));

function bySource(scored: readonly Scored[]): [string, Scored[]][] {
  const groups = new Map<string, Scored[]>();
  for (const s of scored) groups.set(s.source, [...(groups.get(s.source) ?? []), s]);
  return [...groups];
}

function evalJson(scored: readonly Scored[], { normalizer, head, attContext }: EvalFlags) {
  return {
    normalizer,
    head,
    attContext,
    words: words(scored),
    chars: chars(scored),
    sources: Object.fromEntries(
      bySource(scored).map(([source, of]) => [source, { words: words(of), chars: chars(of) }]),
    ),
    recordings: scored.map(({ name, text, hypothesis, words: { substitutions, deletions, insertions } }) => ({
      name,
      text,
      hypothesis,
      errors: substitutions + deletions + insertions,
    })),
  };
}

function evalText(
  model: string,
  scored: readonly Scored[],
  { normalizer, head, attContext, worst }: EvalFlags,
): string {
  const row = (name: string, of: readonly Scored[]) => {
    const w = words(of);
    const rates = `${percent(w.rate).padStart(11)}${percent(chars(of).rate).padStart(10)}`;
    return `${name.padEnd(16)}${String(of.length).padStart(6)}${String(w.numReference).padStart(8)}${rates}   ${w.substitutions} / ${w.deletions} / ${w.insertions}`;
  };
  const lines = [
    `${model}, normalizer ${normalizer}${head ? `, head ${head}` : ""}${attContext ? `, context [${attContext}]` : ""}`,
    `${"source".padEnd(16)}${"files".padStart(6)}${"words".padStart(8)}${"WER".padStart(11)}${"CER".padStart(10)}   sub / del / ins`,
    ...bySource(scored).map(([source, of]) => row(source, of)),
    row("all", scored),
  ];
  const byRate = [...scored].sort((a, b) => errorRate(b.words) - errorRate(a.words));
  for (const s of byRate.slice(0, worst)) lines.push("", `${s.name}  ${percent(errorRate(s.words))}`, ...alignment(s));
  return lines.join("\n");
}

/** Reference and hypothesis one under the other, with gaps where words are missing. */
function alignment({ words: { rows } }: Scored): string[] {
  let reference = "  ref ";
  let found = "  hyp ";
  for (const row of rows) {
    const expected = "reference" in row ? row.reference : "***";
    const own = "hypothesis" in row ? row.hypothesis : "***";
    const width = Math.max(expected.length, own.length);
    reference += ` ${expected.padEnd(width)}`;
    found += ` ${(row.kind === "equal" ? own : own.toUpperCase()).padEnd(width)}`;
  }
  return [reference.trimEnd(), found.trimEnd()];
}
