import type { Command } from "commander";
import type { Console } from "../console.ts";

/** The options of `nemo-stt verify`. */
export interface VerifyFlags {
  readonly clips?: string;
  readonly json?: boolean;
  readonly all?: boolean;
}

/** `nemo-stt verify X.nemo REFERENCE`. */
export function registerVerify(program: Command, console: Console): void {
  program
    .command("verify")
    .description("Compare every stage of a model with what NeMo computed (reference.json, reference.safetensors).")
    .argument(
      "<model>",
      "a .nemo file, an exported folder, or a folder with both model and reference; with --all, a folder of such",
    )
    .argument("[reference]", "folder with reference.json and reference.safetensors (default: the model's folder)")
    .option(
      "--clips <folder>",
      "recordings of references that do not name a folder of their own (default: clips beside the fixture)",
    )
    .option("--all", "verify every fixture of a folder, each with its own model.nemo")
    .option("--json", "every comparison as a line of JSON")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt verify model.nemo reference/ --clips recordings/
  nemo-stt verify fixtures/ --all`,
    )
    .action(async (model: string, reference: string | undefined, flags: VerifyFlags) => {
      const { verify } = await import("../actions/verify.ts");
      await verify(model, reference, flags, console);
    });
}
