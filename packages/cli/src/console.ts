/** Where a command writes: results to `out`, everything else to `err`. */
export interface Console {
  /** Results, and nothing else. */
  out(text: string): void;
  /** Messages for people. */
  err(text: string): void;
  /** A progress bar on standard error; shown only where that is a terminal. */
  progress(label: string, total: number): Progress;
  /** The standard streams that are terminals, for what is drawn and drawn again. */
  readonly terminals?: { readonly out?: OutputStream; readonly err?: OutputStream };
}

/** A progress bar that is being shown, or stands for one. */
export interface Progress {
  update(done: number): void;
  /** Takes the bar away; idempotent. */
  stop(): void;
}

/** The part of a process's standard stream that is used. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The console of a process. */
export function processConsole(stdout: OutputStream = process.stdout, stderr: OutputStream = process.stderr): Console {
  let bar: Bar | undefined;
  // What is written while a bar stands there takes its line, and the bar stands below it again.
  const write = (stream: OutputStream, text: string) => {
    bar?.clear();
    stream.write(`${text}\n`);
    bar?.draw();
  };
  const isDrawable = process.env.TERM !== "dumb";
  return {
    terminals: {
      ...(isDrawable && stdout.isTTY ? { out: stdout } : {}),
      ...(isDrawable && stderr.isTTY ? { err: stderr } : {}),
    },
    out: (text) => write(stdout, text),
    err: (text) => write(stderr, text),
    progress(label, total) {
      if (!stderr.isTTY) return { update: () => {}, stop: () => {} };
      const own = createBar(stderr, label, total);
      bar = own;
      own.draw();
      return {
        update: own.update,
        stop() {
          if (bar !== own) return;
          own.clear();
          bar = undefined;
        },
      };
    },
  };
}

interface Bar {
  update(done: number): void;
  draw(): void;
  clear(): void;
}

const BAR_WIDTH = 30;

/**
 * A bar on one line. It changes nothing of the terminal's state, so that a process may end at any moment: libraries for
 * it hide the cursor, switch wrapping off or go back to where they began, over what was written since.
 */
function createBar(stream: OutputStream, label: string, total: number): Bar {
  let percent = 0;
  const draw = () => {
    const filled = Math.floor((percent / 100) * BAR_WIDTH);
    const line = `${label} [${"=".repeat(filled).padEnd(BAR_WIDTH)}] ${percent} %`;
    // A line that wraps could not be taken away.
    stream.write(`\r${line.slice(0, (stream.columns || 80) - 1)}\x1b[K`);
  };
  return {
    draw,
    update(done) {
      const now = Math.min(100, Math.floor((100 * done) / total));
      if (now === percent) return;
      percent = now;
      draw();
    },
    clear: () => void stream.write("\r\x1b[K"),
  };
}
