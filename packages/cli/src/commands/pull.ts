import { pullModel } from "@nemo-stt/node";
import type { Command } from "commander";
import type { Console } from "../console.ts";

/** `nemo-stt pull nvidia/NAME`. */
export function registerPull(program: Command, console: Console): void {
  program
    .command("pull")
    .description(
      "Download a model from the hub (HF_ENDPOINT, HF_HOME and HF_TOKEN are honoured); interrupted downloads go on.",
    )
    .argument("<name>", "hub name such as nvidia/parakeet-tdt_ctc-110m")
    .option("--revision <revision>", "branch, tag or commit")
    .option("--json", "the result as JSON")
    .action(async (name: string, options: { revision?: string; json?: boolean }) => {
      let bar: ReturnType<Console["progress"]> | undefined;
      try {
        const pulled = await pullModel(name, {
          revision: options.revision,
          onProgress: ({ doneBytes, totalBytes }) => {
            bar ??= console.progress(`pull ${name}`, totalBytes);
            bar.update(doneBytes);
          },
        });
        console.out(options.json ? JSON.stringify(pulled) : pulled.path);
      } finally {
        bar?.stop();
      }
    });
}
