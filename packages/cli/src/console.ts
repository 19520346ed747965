import { createRequire } from "node:module";
import type CliProgress from "cli-progress";

/** Where a command writes: results to `out`, everything else to `err`. */
export interface Console {
  /** Results, and nothing else. */
  out(text: string): void;
  /** Messages for people. */
  err(text: string): void;
  /** A progress bar on standard error; shown only where that is a terminal. */
  progress(label: string, total: number): Progress;
}

/** A progress bar that is being shown, or stands for one. */
export interface Progress {
  update(done: number): void;
  /** Takes the bar away; idempotent. */
  stop(): void;
}

/** The console of a process. */
export function processConsole(): Console {
  let bar: CliProgress.SingleBar | undefined;
  // What is written while a bar stands there takes its line; the bar draws itself again below.
  const clear = () => {
    if (bar?.isActive) process.stderr.write("\r\x1b[K");
  };
  return {
    out(text) {
      clear();
      process.stdout.write(`${text}\n`);
    },
    err(text) {
      clear();
      process.stderr.write(`${text}\n`);
    },
    progress(label, total) {
      if (!process.stderr.isTTY) return { update: () => {}, stop: () => {} };
      const shown = startBar(label, total);
      bar = shown;
      return { update: (done) => shown.update(Math.min(done, total)), stop: () => shown.stop() };
    },
  };
}

/** Loaded when a bar is shown: most commands show none, and loading takes as long as `--help`. */
function startBar(label: string, total: number): CliProgress.SingleBar {
  const { SingleBar } = createRequire(import.meta.url)("cli-progress") as typeof CliProgress;
  const bar = new SingleBar({
    format: `${label} {bar} {percentage} %`,
    stream: process.stderr,
    clearOnComplete: true,
    // Ctrl-C ends the process at once, by the signal; the bar's own handler would only take the bar away.
    gracefulExit: false,
    hideCursor: false,
  });
  bar.start(total, 0);
  return bar;
}
