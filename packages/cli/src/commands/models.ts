import type { Command } from "commander";
import type { Console } from "../console.ts";

/** The options of `nemo-stt models`. */
export interface ModelsFlags {
  readonly local?: boolean;
  readonly json?: boolean;
}

/** `nemo-stt models`. */
export function registerModels(program: Command, console: Console): void {
  program
    .command("models")
    .description("List known models: which are here, which can be pulled, which are not supported and why.")
    .option("--local", "only what is on this machine")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExample:\n  nemo-stt models | grep parakeet")
    .action(async (flags: ModelsFlags) => {
      const { listModels } = await import("../actions/models.ts");
      await listModels(flags, console);
    });
}
