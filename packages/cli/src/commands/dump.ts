import type { Command } from "commander";
import type { Console } from "../console.ts";
import { contextOption } from "../options.ts";

/** The options of `nemo-stt dump`. */
export interface DumpFlags {
  readonly attContext?: number[];
  readonly json?: boolean;
}

/** `nemo-stt dump X.nemo AUDIO OUT.safetensors`. */
export function registerDump(program: Command, console: Console): void {
  program
    .command("dump")
    .description("Write what every stage computes for one recording: features, encoder, log-probs, tokens.")
    .argument("<model>", "a .nemo file or an exported folder")
    .argument("<audio>", "a recording, mono or mixed to mono")
    .argument("<out>", "the .safetensors file to write")
    .addOption(contextOption())
    .option("--json", "names, types and shapes as JSON")
    .addHelpText("after", "\nExample:\n  nemo-stt dump model.nemo talk.wav stages.safetensors")
    .action(async (model: string, audio: string, out: string, flags: DumpFlags) => {
      const { dump } = await import("../actions/dump.ts");
      await dump(model, audio, out, flags, console);
    });
}
