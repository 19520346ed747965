// Children of the benchmark: one a side, pinned to one core where the system can, that do what they are told in turn.
import { execFileSync, fork } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";

/** `taskset` keeps both sides on the same core, one after the other. */
export const isPinned = canPin();

function canPin() {
  try {
    execFileSync("taskset", ["-c", String(cpus().length - 1), "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Starts a script that sends a message when it is ready and one for each it gets; an `error` in it is thrown here. */
export async function startChild(script, args) {
  const path = join(import.meta.dirname, script);
  const child = fork(path, args, {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    ...(isPinned && { execPath: "taskset", execArgv: ["-c", String(cpus().length - 1), process.execPath] }),
  });
  const next = () =>
    new Promise((resolve, reject) => {
      const onExit = (code) => reject(new Error(`${script}: expected a running child, got exit ${code}.`));
      child.once("exit", onExit);
      child.once("message", (message) => {
        child.off("exit", onExit);
        if (message.error) reject(new Error(message.error));
        else resolve(message);
      });
    });
  await next();
  return {
    ask(question) {
      const answer = next();
      child.send(question);
      return answer;
    },
    stop: () => child.kill(),
  };
}

/** The other end: answers every message by the function of its `do`. */
export function answerMessages(actions) {
  process.on("message", async (question) => {
    try {
      process.send((await actions[question.do](question)) ?? {});
    } catch (error) {
      process.send({ error: error.message });
    }
  });
  process.send({ isReady: true });
}
