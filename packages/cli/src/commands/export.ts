import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { type ExportedFile, exportModel, type Graph, type Precision } from "@nemo-stt/core";
import { folderSink, withCheckpoint } from "@nemo-stt/node";
import { type Command, Option } from "commander";
import type { Console } from "../console.ts";
import { parseContext } from "../options.ts";

interface ExportFlags {
  readonly quantize?: "int8" | "fp16";
  readonly layout: "nemo-stt" | "nemo" | "sherpa";
  readonly attContext?: number[];
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** `nemo-stt export X.nemo [OUT]`. */
export function registerExport(program: Command, console: Console): void {
  program
    .command("export")
    .description("Write a checkpoint as ONNX graphs with its vocabulary, readable by any ONNX runtime.")
    .argument("<model>", "a .nemo file, the folder of an extracted one, or a pulled model's name")
    .argument("[out]", "folder to write, or folder/NAME.onnx to name the graphs (default: the model's name)")
    .addOption(new Option("--quantize <kind>", "store weights smaller").choices(["int8", "fp16"]))
    .addOption(
      new Option("--layout <layout>", "whose names, shapes and metadata to write")
        .choices(["nemo-stt", "nemo", "sherpa"])
        .default("nemo-stt"),
    )
    .option("--att-context <L,R>", "attention context fixed in the graph (layouts nemo and sherpa)", parseContext)
    .option("--json", "files with sizes, inputs and outputs as JSON")
    .option("--verbose", "list inputs and outputs of every graph")
    .action(async (model: string, out: string | undefined, flags: ExportFlags) => {
      const target = exportTarget(model, out);
      const files = await runExport(model, target, flags, console);
      const listed = await Promise.all(files.map((file) => listFile(target.folder, file)));
      if (flags.json) console.out(JSON.stringify({ folder: target.folder, files: listed }, null, 1));
      else for (const file of listed) console.out(fileText(target.folder, file, flags.verbose ?? false));
    });
}

/** Where an export goes, and what its graphs are called. */
export interface ExportTarget {
  readonly folder: string;
  readonly stem: string | undefined;
}

/** `OUT` is a folder, or a path ending in `.onnx` that names the graphs. */
export function exportTarget(model: string, out: string | undefined): ExportTarget {
  if (out === undefined) return { folder: basename(model, extname(model)), stem: undefined };
  if (extname(out) === ".onnx") return { folder: dirname(out), stem: basename(out, ".onnx") };
  return { folder: out, stem: undefined };
}

async function runExport(
  model: string,
  target: ExportTarget,
  flags: ExportFlags,
  console: Console,
): Promise<ExportedFile[]> {
  return withCheckpoint(model, async (source) => {
    const bar = console.progress(`export ${source.checkpoint.name}`, 1);
    try {
      return await exportModel(source, await folderSink(target.folder), {
        layout: flags.layout,
        precision: precisionOf(flags.quantize),
        attContext: flags.attContext,
        stem: target.stem,
        onProgress: ({ writtenBytes, totalBytes }) => bar.update(writtenBytes / totalBytes),
      });
    } finally {
      bar.stop();
    }
  });
}

/** The precision behind a `--quantize` choice. */
export function precisionOf(quantize: "int8" | "fp16" | undefined): Precision {
  return quantize === "int8" ? "int8" : quantize === "fp16" ? "float16" : "float32";
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

function fileText(folder: string, file: ListedFile, verbose: boolean): string {
  const head = `${join(folder, file.name)}  ${file.sizeBytes} bytes`;
  if (!verbose || !file.inputs || !file.outputs) return head;
  return [head, ...file.inputs.map((port) => `  in   ${port}`), ...file.outputs.map((port) => `  out  ${port}`)].join(
    "\n",
  );
}
