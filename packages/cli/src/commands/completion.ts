import type { Command } from "commander";
import type { Console } from "../console.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** A shell that completions can be written for. */
export type Shell = (typeof SHELLS)[number];

/** `nemo-stt completion SHELL`. */
export function registerCompletion(program: Command, console: Console): void {
  const command = program
    .command("completion")
    .description("Print a script that lets a shell complete commands, options and their values.")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt completion bash > ~/.local/share/bash-completion/completions/nemo-stt
  nemo-stt completion zsh > "\${fpath[1]}/_nemo-stt"
  nemo-stt completion fish > ~/.config/fish/completions/nemo-stt.fish`,
    );
  command.addArgument(command.createArgument("<shell>", "which shell").choices(SHELLS)).action(async (shell: Shell) => {
    const { completionScript } = await import("../actions/completion.ts");
    console.out(completionScript(program, shell));
  });
}
