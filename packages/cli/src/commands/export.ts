import { type Command, Option } from "commander";
import type { Console } from "../console.ts";
import { contextOption, numberBetween, type Quantize, quantizeOption } from "../options.ts";

/** The options of `nemo-stt export`. */
export interface ExportFlags {
  readonly quantize?: Quantize;
  readonly layout: "nemo-stt" | "nemo" | "sherpa";
  readonly attContext?: number[];
  readonly calibrate?: string;
  /** Percent of the words. */
  readonly maxWerIncrease?: number;
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
    .addOption(
      quantizeOption("store weights smaller; texts are compared with those of the full weights on some recordings"),
    )
    .option(
      "--calibrate <manifest>",
      "NeMo manifest of the recordings to compare smaller weights on (default: the project's own two)",
    )
    .option(
      "--max-wer-increase <percent>",
      "write nothing if smaller weights get more of the words wrong than this, in whole recordings or in any latency mode",
      numberBetween(0, 100),
    )
    .addOption(
      new Option("--layout <layout>", "whose names, shapes and metadata to write")
        .choices(["nemo-stt", "nemo", "sherpa"])
        .default("nemo-stt"),
    )
    .addOption(contextOption("attention context fixed in the graph; for sherpa also its streaming graphs"))
    .option("--json", "files with sizes, inputs and outputs as JSON")
    .option("--verbose", "list inputs and outputs of every graph")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt export model.nemo exported/
  nemo-stt export model.nemo exported/conformer_ctc.onnx --verbose
  nemo-stt export model.nemo small/ --quantize int8 --calibrate dev.jsonl --max-wer-increase 0.2
  nemo-stt export model.nemo sherpa/ --layout sherpa --att-context 70,6`,
    )
    .action(async (model: string, out: string | undefined, flags: ExportFlags) => {
      const { exportCheckpoint } = await import("../actions/export.ts");
      await exportCheckpoint(model, out, flags, console);
    });
}
