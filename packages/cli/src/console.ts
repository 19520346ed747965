import { SingleBar } from "cli-progress";

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
export function processConsole(options: { quiet?: boolean } = {}): Console {
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => {
      if (!options.quiet) process.stderr.write(`${text}\n`);
    },
    progress: (label, total) =>
      options.quiet || !process.stderr.isTTY ? silentProgress : terminalProgress(label, total),
  };
}

const silentProgress: Progress = { update: () => {}, stop: () => {} };

function terminalProgress(label: string, total: number): Progress {
  const bar = new SingleBar({
    format: `${label} {bar} {percentage} %`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(total, 0);
  return { update: (done) => bar.update(Math.min(done, total)), stop: () => bar.stop() };
}
