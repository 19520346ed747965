import { describe, expect, test } from "vitest";
import { processConsole } from "../src/index.ts";

/** What a terminal shows after some bytes: `\r` goes to the line's start, `ESC [K` erases to its end. */
function screen(bytes: string): string[] {
  const rows = [""];
  let column = 0;
  for (const char of bytes.replaceAll("\u001b[K", "\v")) {
    const row = rows.length - 1;
    if (char === "\v") rows[row] = rows[row].slice(0, column);
    else if (char === "\r") column = 0;
    else if (char === "\n") {
      rows.push("");
      column = 0;
    } else {
      rows[row] = rows[row].slice(0, column).padEnd(column) + char + rows[row].slice(column + 1);
      column++;
    }
  }
  return rows;
}

function streams(isTTY: boolean) {
  const written = { out: "", err: "", both: "" };
  const stream = (key: "out" | "err") => ({
    isTTY,
    columns: 60,
    write(text: string) {
      written[key] += text;
      written.both += text;
    },
  });
  return { written, console: processConsole(stream("out"), stream("err")) };
}

describe("progress bars", () => {
  test("stand below what is written, and go without a trace", () => {
    const { written, console } = streams(true);
    const bar = console.progress("transcribe", 4);
    expect(screen(written.both)).toEqual([`transcribe [${" ".repeat(30)}] 0 %`]);
    bar.update(2);
    console.out("first text");
    console.err("a warning");
    expect(screen(written.both)).toEqual([
      "first text",
      "a warning",
      `transcribe [${"=".repeat(15)}${" ".repeat(15)}] 50 %`,
    ]);
    bar.update(9);
    bar.stop();
    bar.stop();
    console.out("last text");
    expect(screen(written.both)).toEqual(["first text", "a warning", "last text", ""]);
    expect(written.out).toBe("first text\nlast text\n");
  });

  test("fit on a line, whatever their label", () => {
    const { written, console } = streams(true);
    console.progress("export of a model with a name that is longer than the terminal is wide", 1).update(0.5);
    expect(screen(written.both)[0]).toHaveLength(59);
  });

  test("are not drawn again for nothing", () => {
    const { written, console } = streams(true);
    const bar = console.progress("pull", 1e9);
    const before = written.err.length;
    for (let done = 0; done < 9e6; done += 1e6) bar.update(done);
    expect(written.err.length).toBe(before);
  });

  test("are not shown where standard error is no terminal", () => {
    const { written, console } = streams(false);
    const bar = console.progress("pull", 10);
    bar.update(5);
    bar.stop();
    expect(written.both).toBe("");
  });
});
