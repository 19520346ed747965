import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { compareWords, defaultHead, type ErrorCounts, type Head, type Recognizer } from "@nemo-stt/core";
import { loadModel } from "@nemo-stt/node";
import type { ExportFlags } from "../commands/export.ts";
import type { Console } from "../console.ts";
import { errorText, printable } from "../messages.ts";
import { type ManifestEntry, percent, readManifest, type Scored, scoreManifest, totalErrors } from "./manifest.ts";

type Total = ErrorCounts & { readonly rate: number };

/** What smaller weights change, measured on recordings. */
export interface PrecisionComparison {
  readonly kind: string;
  readonly manifest: string;
  readonly numRecordings: number;
  /** A row for each head that the model has. */
  readonly heads: readonly {
    readonly head: Head;
    /** Words against the manifest's texts. */
    readonly fp32: Total;
    readonly small: Total;
    /** Words of the smaller weights against those of the full ones. */
    readonly smallAgainstFp32: Total;
    readonly differences: readonly { readonly name: string; readonly fp32: string; readonly small: string }[];
  }[];
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
  { quantize = "int8", layout, attContext }: ExportFlags,
  console: Console,
): Promise<PrecisionComparison> {
  const full = await loadModel(model);
  try {
    const small = await loadModel(folder);
    const bar = console.progress("compare", 1);
    try {
      const heads = headsOf(small);
      const rows: PrecisionComparison["heads"][number][] = [];
      let numRecordings = 0;
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
        rows.push(compareScores(head, ofFull.scored, ofSmall.scored));
        numRecordings = ofFull.scored.length;
      }
      return { kind: quantize, manifest: basename(manifest), numRecordings, heads: rows };
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

function compareScores(
  head: Head,
  full: readonly Scored[],
  small: readonly Scored[],
): PrecisionComparison["heads"][number] {
  const pairs = full.map((scored, i) => ({ name: scored.name, fp32: scored.hypothesis, small: small[i].hypothesis }));
  return {
    head,
    fp32: totalErrors(full.map(({ words }) => words)),
    small: totalErrors(small.map(({ words }) => words)),
    smallAgainstFp32: totalErrors(pairs.map((pair) => compareWords(pair.fp32, pair.small, "manifest"))),
    differences: pairs.filter((pair) => pair.fp32 !== pair.small),
  };
}

/** Texts that differ are shown up to this many. */
const MAX_SHOWN = 5;

/** The comparison as a table, with the texts that differ. */
export function comparisonText({ kind, manifest, numRecordings, heads }: PrecisionComparison): string {
  const columns = (cells: readonly string[]) =>
    `${cells[0].padEnd(12)}${cells
      .slice(1)
      .map((c) => c.padStart(12))
      .join("")}`;
  const count = ({ substitutions, deletions, insertions, numReference }: Total) =>
    `   ${substitutions + deletions + insertions} of ${numReference} words differ`;
  const lines = [
    `Word error rate of ${kind} weights on ${numRecordings} recording${numRecordings === 1 ? "" : "s"} (${manifest}):`,
    columns(["head", "fp32", kind, `${kind} - fp32`]),
  ];
  for (const { head, fp32, small, smallAgainstFp32, differences } of heads) {
    lines.push(
      columns([head, percent(fp32.rate), percent(small.rate), percent(smallAgainstFp32.rate)]) +
        count(smallAgainstFp32),
    );
    for (const { name, fp32: whole, small: own } of differences.slice(0, MAX_SHOWN)) {
      lines.push(`  ${printable(name)}`, `    fp32 ${whole}`, `    ${kind} ${own}`);
    }
    if (differences.length > MAX_SHOWN) lines.push(`  and ${differences.length - MAX_SHOWN} more texts that differ`);
  }
  return lines.join("\n");
}
