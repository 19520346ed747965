import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import {
  compareWords,
  defaultHead,
  type ErrorCounts,
  type Head,
  type Recognizer,
  type SpeechEngine,
  streamModes,
} from "@nemo-stt/core";
import { loadModel, openModel } from "@nemo-stt/node";
import type { ExportFlags } from "../commands/export.ts";
import type { Console } from "../console.ts";
import { Failed } from "../failures.ts";
import { errorText, printable } from "../messages.ts";
import { type ManifestEntry, percent, readManifest, type Scored, scoreManifest, totalErrors } from "./manifest.ts";
import { openScoringEngine, streamTexts } from "./stream-scores.ts";

type Total = ErrorCounts & { readonly rate: number };

/** One way to recognise the recordings, with full and with smaller weights. */
export interface ComparisonRow {
  readonly head: Head;
  /** The latency mode of a stream; undefined for whole recordings. */
  readonly stream?: { readonly attContext: readonly number[]; readonly chunkSec: number };
  /** Words against the manifest's texts. */
  readonly fp32: Total;
  readonly small: Total;
  /** Words of the smaller weights against those of the full ones. */
  readonly smallAgainstFp32: Total;
  readonly differences: readonly { readonly name: string; readonly fp32: string; readonly small: string }[];
}

/** What smaller weights change, measured on recordings. */
export interface PrecisionComparison {
  readonly kind: string;
  readonly manifest: string;
  readonly numRecordings: number;
  /** A row for each head that the model has. */
  readonly heads: readonly ComparisonRow[];
  /** A row for each head and latency mode, where they were measured. */
  readonly streams: readonly ComparisonRow[];
}

/** The recordings of the project, as they lie in its repository. */
const OWN_MANIFEST = fileURLToPath(new URL("../../../../examples/audio/manifest.jsonl", import.meta.url));

/** What to compare on: a manifest that was named, or the project's own recordings where they are. */
export async function comparisonRecordings(
  manifest = existsSync(OWN_MANIFEST) ? OWN_MANIFEST : undefined,
): Promise<{ manifest: string; entries: ManifestEntry[] } | undefined> {
  return manifest === undefined ? undefined : { manifest, entries: await readManifest(manifest) };
}

/** Transcribes recordings with a checkpoint's full weights and with a folder exported from it, and compares the words. */
export async function comparePrecisions(
  model: string,
  folder: string,
  { manifest, entries }: { manifest: string; entries: readonly ManifestEntry[] },
  flags: ExportFlags,
  console: Console,
): Promise<PrecisionComparison> {
  const { quantize = "int8", layout, attContext } = flags;
  const full = await loadModel(model);
  try {
    const small = await loadModel(folder);
    const bar = console.progress("compare", 1);
    try {
      const heads = headsOf(small);
      const rows: ComparisonRow[] = [];
      let readable: readonly ManifestEntry[] = [];
      for (const [i, head] of heads.entries()) {
        const warn = (text: string) => {
          if (i === 0) console.err(printable(text));
        };
        const onProgress = (numDone: number) => bar.update((i + numDone / entries.length) / heads.length);
        const options = { head, normalizer: "manifest", onWarning: warn, onProgress } as const;
        // The context of a foreign layout is in its graphs.
        const ofFull = await scoreManifest(full, entries, {
          ...options,
          attContext: layout === "nemo-stt" ? undefined : attContext,
        });
        const ofSmall = await scoreManifest(small, entries, { ...options, onWarning: () => {} });
        for (const failure of ofFull.failures) warn(`nemo-stt: ${errorText(failure)}`);
        rows.push({ head, ...compareTexts(ofFull.scored, ofSmall.scored.map(hypothesisOf)) });
        readable = ofFull.scored;
      }
      // A limit on the error rate has to hold in every way that the folder can be used.
      const hasWords = rows.some(({ fp32 }) => fp32.numReference > 0);
      const isStreamed = flags.maxWerIncrease !== undefined && layout === "nemo-stt" && hasWords;
      const streams = isStreamed ? await compareStreams(model, folder, readable, heads, console) : [];
      const numRecordings = readable.length;
      return { kind: quantize, manifest: basename(manifest), numRecordings, heads: rows, streams };
    } finally {
      bar.stop();
      await small.close();
    }
  } finally {
    await full.close();
  }
}

/** The head that is used unless told comes first. */
function headsOf({ spec, acoustic }: Recognizer): Head[] {
  const heads: Head[] = [
    ...(spec.heads.ctc ? (["ctc"] as const) : []),
    ...(acoustic.networks ? (["transducer"] as const) : []),
  ];
  return heads.sort((a) => (a === defaultHead(spec) ? -1 : 1));
}

/** Every head in every latency mode that the model can be streamed in. */
async function compareStreams(
  model: string,
  folder: string,
  entries: readonly ManifestEntry[],
  heads: readonly Head[],
  console: Console,
): Promise<ComparisonRow[]> {
  const small = await openModel(folder);
  const modes = streamModes(small.spec);
  if (modes.length === 0) return [];
  const bar = console.progress("compare streams", 1);
  const engines: SpeechEngine[] = [];
  try {
    for (const side of [await openModel(model), small]) engines.push(await openScoringEngine(side));
    const rows: ComparisonRow[] = [];
    const total = heads.length * modes.length * engines.length * entries.length;
    let numBefore = 0;
    for (const head of heads) {
      for (const mode of modes) {
        const texts: string[][] = [];
        for (const engine of engines) {
          const onProgress = (numDone: number) => bar.update((numBefore + numDone) / total);
          texts.push(await streamTexts(engine, entries, { head, mode, onProgress }));
          numBefore += entries.length;
        }
        const { attContext, chunkSec } = mode;
        const full = entries.map((entry, i) => ({ ...entry, hypothesis: texts[0][i] }));
        rows.push({ head, stream: { attContext, chunkSec }, ...compareTexts(full, texts[1]) });
      }
    }
    return rows;
  } finally {
    bar.stop();
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

const hypothesisOf = ({ hypothesis }: Scored): string => hypothesis;

function compareTexts(
  full: readonly Pick<Scored, "name" | "text" | "hypothesis">[],
  small: readonly string[],
): Omit<ComparisonRow, "head"> {
  const pairs = full.map(({ name, hypothesis }, i) => ({ name, fp32: hypothesis, small: small[i] }));
  const against = (found: (i: number) => string) =>
    totalErrors(full.map(({ text }, i) => compareWords(text, found(i), "manifest")));
  return {
    fp32: against((i) => full[i].hypothesis),
    small: against((i) => small[i]),
    smallAgainstFp32: totalErrors(pairs.map((pair) => compareWords(pair.fp32, pair.small, "manifest"))),
    differences: pairs.filter((pair) => pair.fp32 !== pair.small),
  };
}

/**
 * Checks that smaller weights are worse by no more than a limit, in every way that was measured.
 * @param limit percent of the words
 * @throws Failed naming the worst row
 */
export function checkIncrease({ kind, heads, streams, numRecordings }: PrecisionComparison, limit: number): void {
  const increase = ({ fp32, small }: ComparisonRow) => 100 * (small.rate - fp32.rate);
  const [worst] = [...heads, ...streams].sort((a, b) => increase(b) - increase(a));
  if (numRecordings === 0 || worst.fp32.numReference === 0) {
    throw new Failed(
      `--max-wer-increase: expected recordings with words to measure ${kind} on, got none. Nothing was written. Name others with --calibrate.`,
    );
  }
  // Rates are quotients of whole numbers: rounding must not decide.
  if (increase(worst) <= limit + 1e-9) return;
  throw new Failed(
    `--max-wer-increase: expected ${kind} weights to cost at most ${limit.toFixed(2)} % of the words, got ${increase(worst).toFixed(2)} % (${nameOf(worst)}). Nothing was written. Allow more, or take ${kind === "int8" ? "fp16" : "full"} weights.`,
  );
}

/** `transducer`, or `transducer 160 ms` for a stream. */
const nameOf = ({ head, stream }: ComparisonRow): string =>
  stream ? `${head} ${Math.round(1000 * stream.chunkSec)} ms` : head;

/** Texts that differ are shown up to this many. */
const MAX_SHOWN = 5;

/** The comparison as a table, with the texts that differ. */
export function comparisonText({ kind, manifest, numRecordings, heads, streams }: PrecisionComparison): string {
  const width = streams.length > 0 ? 20 : 12;
  const columns = (cells: readonly string[]) =>
    `${cells[0].padEnd(width)}${cells
      .slice(1)
      .map((c) => c.padStart(12))
      .join("")}`;
  const count = ({ substitutions, deletions, insertions, numReference }: Total) =>
    `   ${substitutions + deletions + insertions} of ${numReference} words differ`;
  const lines = [
    `Word error rate of ${kind} weights on ${numRecordings} recording${numRecordings === 1 ? "" : "s"} (${manifest}):`,
    columns(["head", "fp32", kind, `${kind} - fp32`]),
  ];
  for (const row of [...heads, ...streams]) {
    const { fp32, small, smallAgainstFp32, differences, stream } = row;
    lines.push(
      columns([nameOf(row), percent(fp32.rate), percent(small.rate), percent(smallAgainstFp32.rate)]) +
        count(smallAgainstFp32),
    );
    // Streams say nearly what whole recordings do.
    if (stream) continue;
    for (const { name, fp32: whole, small: own } of differences.slice(0, MAX_SHOWN)) {
      lines.push(`  ${printable(name)}`, `    fp32 ${whole}`, `    ${kind} ${own}`);
    }
    if (differences.length > MAX_SHOWN) lines.push(`  and ${differences.length - MAX_SHOWN} more texts that differ`);
  }
  return lines.join("\n");
}
