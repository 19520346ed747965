import type { StreamEvent } from "@nemo-stt/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createView } from "../src/actions/stream-view.ts";
import { wrapText } from "../src/actions/wrap-text.ts";
import { processConsole } from "../src/index.ts";

/** What a terminal shows: line feeds, carriage returns, cursor up, and erasing to the end of the screen or the line. */
function screen(bytes: string): string[] {
  const rows = [""];
  let [row, column] = [0, 0];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  for (const [part, up, code] of bytes.matchAll(/\x1b\[(\d*)([AJKm])|[\s\S]/g)) {
    if (code === "A") row -= Number(up || 1);
    else if (code === "J") rows.splice(row, rows.length, rows[row].slice(0, column));
    else if (code === "K") rows[row] = rows[row].slice(0, column);
    else if (code === "m") continue;
    else if (part === "\r") column = 0;
    else if (part === "\n") {
      row++;
      column = 0;
      rows[row] ??= "";
    } else {
      rows[row] = rows[row].slice(0, column).padEnd(column) + part + rows[row].slice(column + 1);
      column++;
    }
  }
  return rows;
}

function view({ out: outTty, err: errTty }: { out: boolean; err: boolean }) {
  const written = { out: "", err: "", both: "" };
  const stream = (key: "out" | "err", isTTY: boolean) => ({
    isTTY,
    columns: 30,
    rows: 8,
    write(text: string) {
      written[key] += text;
      written.both += text;
    },
  });
  const console = processConsole(stream("out", outTty), stream("err", errTty));
  return { written, view: createView(console) };
}

const interim = (text: string, stableText = "", utterance = 0): StreamEvent => ({
  type: "interim",
  utterance,
  text,
  stableText,
  words: [],
  heardSec: 1,
});
const final = (text: string): StreamEvent => ({
  type: "final",
  utterance: 0,
  text,
  words: [],
  tokens: [],
  startSec: 0,
  endSec: 1,
  confidence: 1,
  reason: "silence",
  joinsPrevious: false,
  heardSec: 1,
});

const environment = { ...process.env };
beforeEach(() => {
  delete process.env.NO_COLOR;
  process.env.TERM = "xterm";
});
afterEach(() => {
  process.env.TERM = environment.TERM ?? "";
  if (environment.NO_COLOR !== undefined) process.env.NO_COLOR = environment.NO_COLOR;
});

describe("on a terminal", () => {
  test("finals stay, what is being said is drawn over below them, the status below that", () => {
    const { written, view: shown } = view({ out: true, err: true });
    shown.status("[70,0] 80 ms, 0.1 s");
    shown.show(interim("he said that he would come back to the house", "he said that he would"), undefined);
    expect(screen(written.both)).toEqual(["he said that he would come", "back to the house", "[70,0] 80 ms, 0.1 s"]);
    shown.show(interim("he said"), undefined);
    expect(screen(written.both)).toEqual(["he said", "[70,0] 80 ms, 0.1 s"]);
    shown.show(final("he said that he would come back"), undefined);
    shown.show(interim("it was", "it"), undefined);
    shown.status("[70,0] 80 ms, 0.2 s");
    expect(screen(written.both)).toEqual(["he said that he would come back", "it was", "[70,0] 80 ms, 0.2 s"]);
    shown.close();
    expect(screen(written.both)).toEqual(["he said that he would come back", ""]);
    expect(written.err).not.toContain("he said");
  });

  test("stable text is plain, the rest dim, also where a row ends between them; not with NO_COLOR", () => {
    const { written, view: shown } = view({ out: true, err: false });
    shown.show(interim("one two", "one"), undefined);
    expect(written.out).toBe("\r\x1b[Jone\x1b[2m two\x1b[0m");
    process.env.NO_COLOR = "1";
    const { written: plain, view: colourless } = view({ out: true, err: false });
    colourless.show(interim("one two", "one"), undefined);
    expect(plain.out).toBe("\r\x1b[Jone two");
  });

  test("channels stand side by side, and more than fits shows its end", () => {
    const { written, view: shown } = view({ out: true, err: true });
    shown.show(interim("hello"), 1);
    shown.show(interim("who is there"), 2);
    expect(screen(written.both)).toEqual(["1: hello", "2: who is there", ""]);
    shown.show(final("hello"), 1);
    expect(screen(written.both)).toEqual(["1: hello", "2: who is there", ""]);
    shown.show(interim("word ".repeat(80).trim()), 2);
    expect(screen(written.both)).toHaveLength(8);
    shown.show(final("done\x1b[2J"), 2);
    expect(screen(written.both)).toEqual(["1: hello", "2: done\\x1b[2J", ""]);
  });
});

describe("elsewhere", () => {
  test("finals are lines; nothing is drawn where there is no terminal, nor on a dumb one", () => {
    for (const make of [() => view({ out: false, err: false }), () => view({ out: true, err: true })]) {
      process.env.TERM = "dumb";
      const { written, view: shown } = make();
      shown.status("status");
      shown.show(interim("he"), undefined);
      shown.show(final("he said"), undefined);
      shown.show(final("hello"), 2);
      shown.close();
      expect(written).toMatchObject({ out: "he said\n2: hello\n", err: "" });
    }
  });

  test("the status is drawn where standard error alone is a terminal", () => {
    const { written, view: shown } = view({ out: false, err: true });
    shown.status("half");
    expect(screen(written.err)).toEqual(["half"]);
    shown.show(final("he said"), undefined);
    expect([written.out, screen(written.err)]).toEqual(["he said\n", [""]]);
    shown.status("more");
    shown.close();
    expect(screen(written.err)).toEqual([""]);
  });
});

describe("wrapText", () => {
  test("between words where it can, within them where it must, by columns", () => {
    const rows = (text: string, columns: number) => wrapText(text, columns).map((row) => row.text);
    expect(rows("", 5)).toEqual([""]);
    expect(rows("one two three", 7)).toEqual(["one two", "three"]);
    expect(rows("abcdefghij kl", 4)).toEqual(["abcd", "efgh", "ij", "kl"]);
    expect(rows("你好世界", 5)).toEqual(["你好", "世界"]);
    expect(rows("a\u0301b\u0301c", 2)).toEqual(["a\u0301b\u0301", "c"]);
    expect(wrapText("one two three", 7).map(({ start }) => start)).toEqual([0, 8]);
  });
});
