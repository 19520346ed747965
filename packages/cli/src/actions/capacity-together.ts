import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { SpeechError } from "@nemo-stt/core";
import type { CoreFound } from "./capacity-core.ts";
import type { CoreAnswer, CoreCommand } from "./capacity-process.ts";

/** Several cores at once, each a process of its own. */
export interface CoresTogether {
  /** What each carries of one mode while all work. */
  find(command: Omit<Extract<CoreCommand, { kind: "find" }>, "kind">): Promise<CoreFound[]>;
  close(): void;
}

/** Starts the processes and has them load the model. @throws SpeechError `RUNTIME_FAILED` where one ends */
export async function openTogether(
  numCores: number,
  load: Omit<Extract<CoreCommand, { kind: "load" }>, "kind">,
): Promise<CoresTogether> {
  const cores = Array.from({ length: numCores }, startCore);
  const close = () => {
    for (const core of cores) core.close();
  };
  /** Tells all the same, and waits for the answer of the slowest. */
  const ask = async <K extends CoreAnswer["kind"]>(command: CoreCommand, kind: K) => {
    try {
      return await Promise.all(cores.map((core) => core.ask(command, kind)));
    } catch (error) {
      close();
      throw error;
    }
  };
  await ask({ kind: "load", ...load }, "ready");
  return {
    async find(command) {
      await ask({ kind: "find", ...command }, "found");
      return (await ask({ kind: "enough" }, "measured")).map(({ found }) => found);
    },
    close,
  };
}

interface CoreProcess {
  ask<K extends CoreAnswer["kind"]>(command: CoreCommand, kind: K): Promise<Extract<CoreAnswer, { readonly kind: K }>>;
  close(): void;
}

function startCore(): CoreProcess {
  const child = fork(fileURLToPath(new URL("./capacity-process.js", import.meta.url)), {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
  });
  let err = "";
  let waiting: { kind: CoreAnswer["kind"]; resolve(answer: CoreAnswer): void; reject(error: Error): void } | undefined;
  let ended: SpeechError | undefined;
  child.stderr?.on("data", (bytes: Buffer) => {
    err += bytes;
  });
  child.on("message", (answer: CoreAnswer) => {
    if (answer.kind === waiting?.kind) waiting.resolve(answer);
  });
  const end = (got: string) => {
    const text = `capacity: expected a process a core, got ${got}. Measure with --cores 1.`;
    ended ??= new SpeechError("RUNTIME_FAILED", text);
    waiting?.reject(ended);
  };
  child.on("error", (error) => end(error.message));
  child.on("close", (status, signal) => end(`status ${status ?? signal} (${err.trim().slice(-200)})`));
  return {
    ask: (command, kind) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        waiting = {
          kind,
          resolve: (answer) => resolve(answer as Extract<CoreAnswer, { readonly kind: typeof kind }>),
          reject,
        };
        child.send(command, (error) => error && end(error.message));
      }),
    close() {
      if (child.connected) child.disconnect();
    },
  };
}
