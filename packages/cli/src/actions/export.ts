import { readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { type ExportedFile, exportModel, type Graph, MANIFEST_NAME, SpeechError } from "@nemo-stt/core";
import { folderSink, withCheckpoint } from "@nemo-stt/node";
import type { ExportFlags } from "../commands/export.ts";
import type { Console } from "../console.ts";
import { Failed, UsageError } from "../failures.ts";
import { precisionOf, type Quantize } from "../options.ts";
import {
  checkIncrease,
  comparePrecisions,
  comparisonRecordings,
  comparisonText,
  type PrecisionComparison,
} from "./precision-comparison.ts";

/** Writes a checkpoint as ONNX and lists the files; with smaller weights, what they change is measured. */
export async function exportCheckpoint(
  model: string,
  out: string | undefined,
  flags: ExportFlags,
  console: Console,
): Promise<void> {
  checkFlags(flags);
  const { folder, stem } = exportTarget(model, out);
  const recordings = flags.quantize ? await comparisonRecordings(flags.calibrate) : undefined;
  // Files appear in the folder when all of them are written; what an interrupted export left is overwritten.
  const partial = join(folder, ".partial");
  const firstNew = await firstMissing(folder);
  let isWritten = false;
  try {
    await removeFolder(partial);
    const { files, writesText } = await writeFiles(model, partial, stem, flags, console);
    const listed = await Promise.all(files.map((file) => listFile(partial, file)));
    const comparison =
      recordings && writesText ? await comparePrecisions(model, partial, recordings, flags, console) : undefined;
    if (flags.quantize) console.err(comparison ? comparisonText(comparison) : noComparison(flags.quantize, writesText));
    if (flags.maxWerIncrease !== undefined) checkMeasured(comparison, flags.maxWerIncrease);
    await moveFiles(partial, folder, files);
    isWritten = true;
    if (flags.json)
      console.out(JSON.stringify({ folder, files: listed, ...(comparison ? { comparison } : {}) }, null, 1));
    else for (const file of listed) console.out(fileText(folder, file, flags.verbose ?? false));
  } finally {
    await removeFolder(partial);
    if (firstNew && !isWritten) await removeEmptyFolders(folder, firstNew);
  }
}

/** The outermost folder of a path that is not there yet; undefined where all are. */
async function firstMissing(folder: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let path = resolve(folder); !(await exists(path)); path = dirname(path)) missing = path;
  return missing;
}

async function removeEmptyFolders(folder: string, last: string): Promise<void> {
  for (let path = resolve(folder); path.length >= last.length; path = dirname(path)) await rmdir(path).catch(() => {});
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A limit needs something to be measured on. */
function checkMeasured(comparison: PrecisionComparison | undefined, limit: number): void {
  if (!comparison) {
    throw new Failed(
      "--max-wer-increase: expected texts to compare, got none. Nothing was written. Name recordings with --calibrate, or leave it out.",
    );
  }
  checkIncrease(comparison, limit);
}

/** Whatever stands in the way is told where the files are written. */
const removeFolder = (path: string) => rm(path, { recursive: true, force: true }).catch(() => {});

function checkFlags({ attContext, calibrate, layout, maxWerIncrease, quantize }: ExportFlags): void {
  if (attContext && layout === "nemo-stt") {
    throw new UsageError(
      "--att-context: expected layout nemo or sherpa, got nemo-stt, whose graphs take the context as an input. Leave it out.",
    );
  }
  if (calibrate && !quantize)
    throw new UsageError("--calibrate: expected --quantize with it, got none. Add it, or leave both out.");
  if (maxWerIncrease !== undefined && !quantize)
    throw new UsageError("--max-wer-increase: expected --quantize with it, got none. Add it, or leave both out.");
}

const noComparison = (quantize: Quantize, writesText: boolean): string =>
  writesText
    ? `No texts compared: expected recordings to measure ${quantize} on, got none. Name a manifest with --calibrate.`
    : "No texts compared: the model is a classifier.";

/** `OUT` is a folder, or a path ending in `.onnx` that names the graphs. */
function exportTarget(model: string, out: string | undefined): { folder: string; stem: string | undefined } {
  if (out === undefined) return { folder: basename(model, extname(model) === ".nemo" ? ".nemo" : ""), stem: undefined };
  if (extname(out) === ".onnx") return { folder: dirname(out), stem: basename(out, ".onnx") };
  return { folder: out, stem: undefined };
}

/** Writes all files of a model; with those that hold weights only. */
async function writeFiles(
  model: string,
  folder: string,
  stem: string | undefined,
  flags: ExportFlags,
  console: Console,
): Promise<{ files: ExportedFile[]; writesText: boolean }> {
  return withCheckpoint(model, async (source) => {
    const bar = console.progress(`export ${source.checkpoint.name}`, 1);
    try {
      const files = await exportModel(source, await folderSink(folder), {
        layout: flags.layout,
        precision: precisionOf(flags.quantize),
        attContext: flags.attContext,
        stem,
        onProgress: ({ writtenBytes, totalBytes }) => bar.update(writtenBytes / totalBytes),
      });
      const known = new Set(files.map(({ name }) => name));
      const others = (await readdir(folder)).filter((name) => !known.has(name)).map((name) => ({ name }));
      return { files: [...files, ...others], writesText: source.tokenizer !== undefined };
    } finally {
      bar.stop();
    }
  });
}

async function moveFiles(from: string, to: string, files: readonly ExportedFile[]): Promise<void> {
  // A folder with a manifest is complete, so it comes last.
  const names = files.map(({ name }) => name).sort((a, b) => Number(a === MANIFEST_NAME) - Number(b === MANIFEST_NAME));
  for (const name of names) {
    await rename(join(from, name), join(to, name)).catch((cause: Error) => {
      const where = join(to, name);
      throw new SpeechError(
        "WRITE_FAILED",
        `${where}: expected to write here, got ${cause.message}. Name another folder.`,
        {
          cause,
        },
      );
    });
  }
}

interface ListedFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
}

async function listFile(folder: string, { name, graph }: ExportedFile): Promise<ListedFile> {
  const { size } = await stat(join(folder, name));
  const ports = (list: Graph["inputs"]) => list.map((port) => `${port.name} ${port.type} [${port.dims.join(", ")}]`);
  return { name, sizeBytes: size, ...(graph ? { inputs: ports(graph.inputs), outputs: ports(graph.outputs) } : {}) };
}

function fileText(folder: string, { name, sizeBytes, inputs, outputs }: ListedFile, verbose: boolean): string {
  const head = `${join(folder, name)}  ${sizeBytes} bytes`;
  if (!verbose || !inputs || !outputs) return head;
  return [head, ...inputs.map((port) => `  in   ${port}`), ...outputs.map((port) => `  out  ${port}`)].join("\n");
}
