import type { StreamEvent } from "@nemo-stt/core";
import type { Console, OutputStream } from "../console.ts";
import { printable } from "../messages.ts";
import { wrapText } from "./wrap-text.ts";

/** Where the events of streams are shown. Channels count from 1; undefined where there is only one. */
export interface StreamView {
  show(event: StreamEvent, channel: number | undefined): void;
  /** One line that tells how it goes; shown where it can be drawn over. */
  status(text: string): void;
  /** Leaves what is final, and nothing else; idempotent. */
  close(): void;
}

/** The view for where output goes: a terminal that is drawn on, or plain lines. */
export function createView(console: Console): StreamView {
  const { out, err } = console.terminals ?? {};
  return out ? terminalView(out, err) : lineView(console, err);
}

/** A line of JSON an event. */
export function jsonView(console: Console): StreamView {
  return {
    show: (event, channel) => console.out(JSON.stringify({ ...(channel === undefined ? {} : { channel }), ...event })),
    status: () => {},
    close: () => {},
  };
}

const labelOf = (channel: number | undefined): string => (channel === undefined ? "" : `${channel}: `);

/** Finals as lines; the status where standard error is a terminal. */
function lineView(console: Console, err: OutputStream | undefined): StreamView {
  let line = "";
  const draw = (text: string) => {
    if (!err || text === line) return;
    line = text;
    err.write(`\r${text.slice(0, columnsOf(err))}\x1b[K`);
  };
  return {
    show(event, channel) {
      if (event.type !== "final") return;
      if (err && line) err.write("\r\x1b[K");
      line = "";
      console.out(`${labelOf(channel)}${printable(event.text)}`);
    },
    status: draw,
    close: () => draw(""),
  };
}

/** A column stays free: what fills a line to its end wraps in some terminals and not in others. */
const columnsOf = ({ columns }: OutputStream): number => Math.max(10, (columns || 80) - 1);

interface Interim {
  readonly text: string;
  /** Characters that will not change. */
  readonly numStable: number;
}

/**
 * Finals as lines, below them what is being said (stable text plain, the rest dim), below that the status. What is below
 * the finals is taken away and drawn again whole; nothing of the terminal's state is changed.
 */
function terminalView(out: OutputStream, err: OutputStream | undefined): StreamView {
  const interims = new Map<number | undefined, Interim>();
  const hasDim = !process.env.NO_COLOR;
  let statusText = "";
  /** Rows that stand below the finals, without the status. */
  let numRows = 0;
  let isClosed = false;

  function draw(finals: readonly string[], withInterims = true): void {
    const below = err ? numRows : Math.max(0, numRows - 1);
    const up = below > 0 ? `\x1b[${below}A` : "";
    const rows = withInterims ? [...interims].flatMap(([channel, interim]) => interimRows(channel, interim)) : [];
    // More than fits could not be taken away: the end of it is what is being said.
    const shown = rows.slice(-Math.max(1, (out.rows || 24) - 2));
    const separator = err ? shown.map((row) => `${row}\n`).join("") : shown.join("\n");
    out.write(`\r${up}\x1b[J${finals.map((line) => `${line}\n`).join("")}${separator}`);
    if (err && withInterims) err.write(statusText.slice(0, columnsOf(err)));
    numRows = shown.length;
  }

  function interimRows(channel: number | undefined, { text, numStable }: Interim): string[] {
    const label = labelOf(channel);
    return wrapText(label + text, columnsOf(out)).map(({ text: row, start }) => {
      const plain = Math.max(0, Math.min(row.length, label.length + numStable - start));
      const rest = row.slice(plain);
      return hasDim && rest ? `${row.slice(0, plain)}\x1b[2m${rest}\x1b[0m` : row;
    });
  }

  return {
    show(event, channel) {
      const text = printable(event.text);
      if (event.type === "final") {
        interims.delete(channel);
        draw([`${labelOf(channel)}${text}`]);
      } else {
        interims.set(channel, { text, numStable: printable(event.stableText).length });
        draw([]);
      }
    },
    status(text) {
      if (!err || text === statusText) return;
      statusText = text;
      err.write(`\r${text.slice(0, columnsOf(err))}\x1b[K`);
    },
    close() {
      if (!isClosed) draw([], false);
      isClosed = true;
    },
  };
}
