// A core of several that work at once: a process of its own that is told what to measure next, so that all measure the same
// at the same time. `capacity-together.ts` is the side that tells.

import type { Precision } from "@nemo-stt/core";
import { openModel } from "@nemo-stt/node";
import { type CoreFound, type CoreTask, type Near, openCore } from "./capacity-core.ts";
import type { Mode } from "./latency.ts";

/** What such a process is told. */
export type CoreCommand =
  | {
      readonly kind: "load";
      readonly model: string;
      readonly precision: Precision | undefined;
      readonly task: CoreTask;
    }
  | { readonly kind: "find"; readonly mode: Mode; readonly saved: Uint8Array; readonly near: Near }
  /** All cores have found their numbers of this mode. */
  | { readonly kind: "enough" };

/** What it answers: that it has the model, that it has a number, and how it fared while the others looked for theirs. */
export type CoreAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "found" }
  | { readonly kind: "measured"; readonly found: CoreFound };

const commands: CoreCommand[] = [];
let wake = () => {};

process.on("message", (command: CoreCommand) => {
  commands.push(command);
  wake();
});
// The other side has ended, or has what it wants.
process.on("disconnect", () => process.exit());

async function next<K extends CoreCommand["kind"]>(kind: K): Promise<Extract<CoreCommand, { readonly kind: K }>> {
  while (commands.length === 0) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  const command = commands.shift();
  if (command?.kind !== kind) throw new Error(`expected to be told ${kind}, got ${command?.kind}`);
  return command as Extract<CoreCommand, { readonly kind: K }>;
}

const answer = (text: CoreAnswer): void => void process.send?.(text);

const { model, precision, task } = await next("load");
const core = await openCore(await openModel(model, { precision }), task);
answer({ kind: "ready" });
for (;;) {
  const { mode, saved, near } = await next("find");
  const others = { onFound: () => answer({ kind: "found" }), haveFound: () => commands.length > 0 };
  const found = await core.findNear(mode, saved, near, others);
  await next("enough");
  answer({ kind: "measured", found });
}
