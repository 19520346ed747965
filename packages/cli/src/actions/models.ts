import { CATALOGUE, REFUSAL_REASONS } from "@nemo-stt/core";
import { BUNDLED_MODELS, listPulled } from "@nemo-stt/node";
import type { ModelsFlags } from "../commands/models.ts";
import type { Console } from "../console.ts";

/** Lists the models on this machine and those that are known. */
export async function listModels(flags: ModelsFlags, console: Console): Promise<void> {
  const bundled = Object.entries(BUNDLED_MODELS).map(([use, path]) => ({ name: `bundled (${use})`, path }));
  const local = [...bundled, ...(await listPulled())];
  if (flags.json) {
    console.out(JSON.stringify(flags.local ? { local } : { local, known: CATALOGUE }, null, 1));
    return;
  }
  console.out("On this machine:");
  for (const { name, path } of local) console.out(`  ${name}  ${path}`);
  if (flags.local) return;
  console.out("\nKnown:");
  for (const entry of CATALOGUE) console.out(`  ${catalogueText(entry)}`);
}

function catalogueText({ name, hubId, refusal }: (typeof CATALOGUE)[number]): string {
  const state =
    refusal === undefined ? `supported      nemo-stt pull ${hubId}` : `not supported: ${REFUSAL_REASONS[refusal]}`;
  return `${name.padEnd(54)}${state}`;
}
