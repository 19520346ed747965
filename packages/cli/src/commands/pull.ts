import type { Command } from "commander";
import type { Console } from "../console.ts";

/** The options of `nemo-stt pull`. */
export interface PullFlags {
  readonly revision?: string;
  readonly json?: boolean;
}

/** `nemo-stt pull nvidia/NAME`. */
export function registerPull(program: Command, console: Console): void {
  program
    .command("pull")
    .description("Download a model from the hub; an interrupted download goes on where it ended.")
    .argument("<name>", "hub name such as nvidia/parakeet-tdt_ctc-110m")
    .option("--revision <revision>", "branch, tag or commit")
    .option("--json", "the result as JSON")
    .addHelpText(
      "after",
      `
The environment is the hub's own: HF_ENDPOINT (address), HF_HOME (where downloads are kept), HF_TOKEN.

Example:
  nemo-stt pull nvidia/parakeet-tdt_ctc-110m && nemo-stt transcribe -m nvidia/parakeet-tdt_ctc-110m talk.wav`,
    )
    .action(async (name: string, flags: PullFlags) => {
      const { pull } = await import("../actions/pull.ts");
      await pull(name, flags, console);
    });
}
