import { pullModel } from "@nemo-stt/node";
import type { PullFlags } from "../commands/pull.ts";
import type { Console, Progress } from "../console.ts";

/** Downloads a model and says where it is. */
export async function pull(name: string, flags: PullFlags, console: Console): Promise<void> {
  let bar: Progress | undefined;
  try {
    const pulled = await pullModel(name, {
      revision: flags.revision,
      onProgress: ({ doneBytes, totalBytes }) => {
        bar ??= console.progress(`pull ${name}`, totalBytes);
        bar.update(doneBytes);
      },
    });
    bar?.stop();
    console.out(flags.json ? JSON.stringify(pulled) : pulled.path);
  } finally {
    bar?.stop();
  }
}
