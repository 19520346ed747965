import { CATALOGUE, REFUSAL_REASONS } from "@nemo-stt/core";
import { BUNDLED_MODELS, listPulled } from "@nemo-stt/node";
import type { Command } from "commander";
import type { Console } from "../console.ts";

/** `nemo-stt models`. */
export function registerModels(program: Command, console: Console): void {
  program
    .command("models")
    .description("List known models: which are here, which can be pulled, which are not supported and why.")
    .option("--local", "only what is on this machine")
    .option("--json", "as JSON")
    .action(async (options: { local?: boolean; json?: boolean }) => {
      const local = [
        ...Object.entries(BUNDLED_MODELS).map(([use, path]) => ({ name: `bundled (${use})`, path })),
        ...(await listPulled()),
      ];
      if (options.json) {
        console.out(JSON.stringify(options.local ? { local } : { local, known: CATALOGUE }, null, 1));
        return;
      }
      console.out("On this machine:");
      for (const { name, path } of local) console.out(`  ${name}  ${path}`);
      if (options.local) return;
      console.out("\nKnown:");
      for (const entry of CATALOGUE) console.out(`  ${catalogueText(entry)}`);
    });
}

function catalogueText({ name, hubId, refusal }: (typeof CATALOGUE)[number]): string {
  const state =
    refusal === undefined ? `supported      nemo-stt pull ${hubId}` : `not supported: ${REFUSAL_REASONS[refusal]}`;
  return `${name.padEnd(54)}${state}`;
}
