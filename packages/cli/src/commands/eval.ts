import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import {
  addErrors,
  type Comparison,
  compareCharacters,
  compareWords,
  type ErrorCounts,
  errorRate,
  type Head,
  isSpeechError,
  NO_ERRORS,
  NORMALIZERS,
  type NormalizerName,
  type Recognizer,
  SpeechError,
} from "@nemo-stt/core";
import { BUNDLED_MODELS, loadModel } from "@nemo-stt/node";
import { type Command, Option } from "commander";
import { readWaveform } from "../audio-files.ts";
import type { Console } from "../console.ts";
import { Failed } from "../failed.ts";
import { parseContext, wholeNumber } from "../options.ts";
import { precisionOf } from "./export.ts";

interface EvalFlags {
  readonly model: string;
  readonly head?: Head;
  readonly attContext?: number[];
  readonly normalizer: NormalizerName;
  readonly quantize?: "int8" | "fp16";
  readonly worst: number;
  readonly limit?: number;
  readonly json?: boolean;
}

/** One line of a NeMo manifest. */
interface ManifestEntry {
  readonly path: string;
  readonly name: string;
  readonly text: string;
  readonly source: string;
}

interface Scored extends ManifestEntry {
  readonly hypothesis: string;
  readonly words: Comparison;
  readonly chars: ErrorCounts;
}

/** `nemo-stt eval MANIFEST`. */
export function registerEval(program: Command, console: Console): void {
  program
    .command("eval")
    .description("Word and character error rate on a NeMo manifest, per source, with the worst recordings aligned.")
    .argument("<manifest>", "a JSON object a line: audio_filepath (relative to the manifest), text, source")
    .option("-m, --model <model>", ".nemo file, exported folder or pulled name", BUNDLED_MODELS.speech)
    .addOption(new Option("--head <head>", "which head of a hybrid decodes").choices(["ctc", "transducer"]))
    .option("--att-context <L,R>", "one of the model's attention contexts", parseContext)
    .addOption(
      new Option("--normalizer <name>", "how texts are made comparable")
        .choices(Object.keys(NORMALIZERS))
        .default("manifest"),
    )
    .addOption(new Option("--quantize <kind>", "run a .nemo with smaller weights").choices(["int8", "fp16"]))
    .option("--worst <n>", "recordings to show aligned", wholeNumber(0), 3)
    .option("--limit <n>", "only the first recordings", wholeNumber(1))
    .option("--json", "totals and every recording's texts as JSON")
    .action((manifest: string, flags: EvalFlags) => runEval(manifest, flags, console));
}

async function runEval(manifest: string, flags: EvalFlags, console: Console): Promise<void> {
  const entries = (await readManifest(manifest)).slice(0, flags.limit);
  const recognizer = await loadModel(flags.model, { precision: precisionOf(flags.quantize) });
  const bar = console.progress("eval", entries.length);
  try {
    const { scored, failures } = await score(recognizer, entries, flags, (done) => bar.update(done));
    bar.stop();
    for (const failure of failures) console.err(`nemo-stt: ${failure}`);
    if (flags.json) console.out(JSON.stringify(evalJson(scored, flags)));
    else console.out(evalText(recognizer.name, scored, flags));
    if (failures.length > 0) throw new Failed(`${failures.length} of ${entries.length} recordings failed.`);
  } finally {
    bar.stop();
    await recognizer.close();
  }
}

async function readManifest(path: string): Promise<ManifestEntry[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new SpeechError("NOT_FOUND", `${path}: expected a manifest, got nothing that can be read. Check the path.`, {
      cause,
    });
  });
  const lines = text.split("\n").map((line, i) => ({ line: line.trim(), number: i + 1 }));
  return lines.filter(({ line }) => line !== "").map(({ line, number }) => parseEntry(path, line, number));
}

function parseEntry(manifest: string, line: string, number: number): ManifestEntry {
  let value: { audio_filepath?: unknown; text?: unknown; source?: unknown } | null = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Told below, together with objects that lack a field.
  }
  const { audio_filepath: name, text, source } = value ?? {};
  if (typeof name !== "string" || typeof text !== "string") {
    throw new SpeechError(
      "FORMAT_INVALID",
      `${manifest}:${number}: expected a JSON object with audio_filepath and text, got ${line.slice(0, 60)}. Write one object a line.`,
    );
  }
  return { path: resolve(dirname(manifest), name), name, text, source: typeof source === "string" ? source : "all" };
}

/** Recordings that are read and recognised together. */
const GROUP_SIZE = 64;

async function score(
  recognizer: Recognizer,
  entries: readonly ManifestEntry[],
  flags: EvalFlags,
  onProgress: (done: number) => void,
) {
  const scored: Scored[] = [];
  const failures: string[] = [];
  for (let start = 0; start < entries.length; start += GROUP_SIZE) {
    const group: { entry: ManifestEntry; waveform: Float32Array }[] = [];
    for (const entry of entries.slice(start, start + GROUP_SIZE)) {
      const waveform = await readWaveform(entry.path, recognizer.spec.sampleRateHz).catch((error: unknown) => {
        if (!isSpeechError(error)) throw error;
        failures.push(error.message);
        return undefined;
      });
      if (waveform) group.push({ entry, waveform });
    }
    const results = await recognizer.transcribe(
      group.map(({ waveform }) => waveform),
      { head: flags.head, attContext: flags.attContext },
    );
    group.forEach(({ entry }, i) => {
      const hypothesis = results[i].text;
      const words = compareWords(entry.text, hypothesis, flags.normalizer);
      scored.push({ ...entry, hypothesis, words, chars: compareCharacters(entry.text, hypothesis, flags.normalizer) });
    });
    onProgress(Math.min(entries.length, start + GROUP_SIZE));
  }
  return { scored, failures };
}

/** Counts of several recordings together, and their rate. */
function total(of: readonly Scored[], unit: "words" | "chars") {
  const sum = of.reduce((counts, scored) => addErrors(counts, scored[unit]), NO_ERRORS);
  return { ...sum, rate: errorRate(sum) };
}

function bySource(scored: readonly Scored[]): [string, Scored[]][] {
  const groups = new Map<string, Scored[]>();
  for (const s of scored) groups.set(s.source, [...(groups.get(s.source) ?? []), s]);
  return [...groups];
}

function evalJson(scored: readonly Scored[], flags: EvalFlags) {
  return {
    normalizer: flags.normalizer,
    head: flags.head,
    attContext: flags.attContext,
    words: total(scored, "words"),
    chars: total(scored, "chars"),
    sources: Object.fromEntries(
      bySource(scored).map(([source, of]) => [source, { words: total(of, "words"), chars: total(of, "chars") }]),
    ),
    recordings: scored.map(({ name, text, hypothesis, words }) => ({
      name,
      text,
      hypothesis,
      errors: words.substitutions + words.deletions + words.insertions,
    })),
  };
}

function evalText(model: string, scored: readonly Scored[], flags: EvalFlags): string {
  const row = (name: string, of: readonly Scored[]) => {
    const [w, c] = [total(of, "words"), total(of, "chars")];
    return `${name.padEnd(16)}${String(of.length).padStart(6)}${String(w.numReference).padStart(8)}${(100 * w.rate).toFixed(2).padStart(9)} %${(100 * c.rate).toFixed(2).padStart(8)} %   ${w.substitutions} / ${w.deletions} / ${w.insertions}`;
  };
  const lines = [
    `${model}, normalizer ${flags.normalizer}${flags.head ? `, head ${flags.head}` : ""}${flags.attContext ? `, context [${flags.attContext}]` : ""}`,
    `${"source".padEnd(16)}${"files".padStart(6)}${"words".padStart(8)}${"WER".padStart(11)}${"CER".padStart(10)}   sub / del / ins`,
    ...bySource(scored).map(([source, of]) => row(source, of)),
    row("all", scored),
  ];
  const worst = [...scored].sort((a, b) => errorRate(b.words) - errorRate(a.words)).slice(0, flags.worst);
  for (const s of worst) lines.push("", `${s.name}  ${(100 * errorRate(s.words)).toFixed(0)} %`, ...alignmentRows(s));
  return lines.join("\n");
}

/** Reference and hypothesis one under the other, with gaps where words are missing. */
function alignmentRows({ words }: Scored): string[] {
  let reference = "  ref ";
  let found = "  hyp ";
  for (const row of words.rows) {
    const expected = "reference" in row ? row.reference : "***";
    const own = "hypothesis" in row ? row.hypothesis : "***";
    const width = Math.max(expected.length, own.length);
    reference += ` ${expected.padEnd(width)}`;
    found += ` ${(row.kind === "equal" ? own : own.toUpperCase()).padEnd(width)}`;
  }
  return [reference.trimEnd(), found.trimEnd()];
}
