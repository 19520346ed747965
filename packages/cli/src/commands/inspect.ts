import type { Command } from "commander";
import type { Console } from "../console.ts";

/** The options of `nemo-stt inspect`. */
export interface InspectFlags {
  readonly json?: boolean;
  readonly tensors?: boolean;
}

/** `nemo-stt inspect X.nemo`. */
export function registerInspect(program: Command, console: Console): void {
  program
    .command("inspect")
    .description("Show what a checkpoint is: architecture, geometry, tokenizer, contexts, size; supported or why not.")
    .argument("<model>", "a .nemo file, the folder of an extracted one, or a pulled model's name")
    .option("--json", "everything as one JSON object")
    .option("--tensors", "list all tensors with shape and type")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt inspect model.nemo
  nemo-stt inspect nvidia/parakeet-tdt_ctc-110m --json`,
    )
    .action(async (model: string, flags: InspectFlags) => {
      const { showInspection } = await import("../actions/inspect.ts");
      await showInspection(model, flags, console);
    });
}
