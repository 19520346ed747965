import { checkSpl, type ProblemCode } from "@nemo-stt/spl";
import { describe, expect, test } from "vitest";

/** A program that is right. Every test of mistakes makes one in it. */
export const PROGRAM = `namespace test;

use spl.file::*;

/** How. */
type Kind = enum { loud, quiet };
/** Audio. */
type Piece = tuple<blob data, uint64 at>;
/** Text. */
type Text = rstring text, boolean isFinal;

/** Half of it. */
public int32 half(int32 value) {
  mutable int32 result = value;
  result = result / 2;
  return result;
}

/** Adds to a list. */
public void add(mutable list<int32> values, int32 value) {
  appendM(values, value);
}

/** Reads the clock. */
public stateful float64 clock() {
  return getTimestampInSecs();
}

/**
 * Sends audio, gives text.
 *
 * @input Audio audio
 * @output Texts text
 * @param host where
 * @param port where
 * @param kind how
 */
public composite Recognise(input stream<Piece> Audio; output stream<Text> Texts) {
  param
    expression<rstring> $host;
    expression<uint32> $port : 5602u;
    expression<Kind> $kind : loud;
  graph
    () as Send = TCPSink(Audio) {
      param
        role : client;
        address : $host;
        port : 5601u;
        format : bin;
        flush : 1u;
    }

    stream<Text> Texts = TCPSource() {
      param
        role : client;
        address : $host;
        port : $port;
        readPunctuations : true;
    }
}

/** Uses it. */
public composite Main {
  type
    Named = tuple<rstring file>;
  graph
    stream<Named> Files = DirectoryScan() {
      param
        directory : "recordings";
        sortBy : name;
      output
        Files : file = FullPath();
    }

    (stream<Piece> Pieces; stream<rstring problem> Problems) = Custom(Files as F) {
      logic
        state : {
          mutable uint64 count = 0ul;
          mutable map<rstring, int32> seen = {};
          mutable list<int32> sizes = [];
        }
        onTuple F : {
          mutable int32 err = 0;
          uint64 handle = fopen(F.file, "rb", err);
          mutable blob data = convertToBlob("");
          freadfile(data, handle, err);
          if (err == 0 && !(F.file in ["none"])) {
            submit({ data = data, at = count }, Pieces);
            count += 100ul;
            seen[F.file] = half(size(data));
            add(sizes, size(data));
            for (int32 s in sizes) count += (uint64) s;
          } else {
            submit({ problem = strerror(err) }, Problems);
          }
        }
        onPunct F : submit(currentPunct(), Pieces);
    }

    stream<Text> Results = Recognise(Pieces) {
      param
        host : "localhost";
        kind : quiet;
    }

    stream<rstring line, boolean isFinal> Lines = Functor(Results) {
      param
        filter : isFinal && length(text) > 0;
      output
        Lines : line = text + ".";
    }

    () as File = FileSink(Lines) {
      param
        file : "lines.csv";
        format : csv;
        suppress : isFinal;
    }
}
`;

/** What is wrong, by replacing a text by another; the code that tells of it, and where. */
export type Mistake = readonly [what: string, from: string, to: string, code: ProblemCode, at: string];

/** Tests that the checker rejects each of the mistakes, by its code, where it is. */
export function rejects(concept: string, mistakes: readonly Mistake[]): void {
  describe(concept, () => {
    test.each(mistakes)("rejects %s", (_, from, to, code, at) => {
      expect(PROGRAM.split(from).length - 1, `places of ${from}`).toBeGreaterThan(0);
      const text = PROGRAM.replace(from, () => to);
      const place = placeOf(text, at, from, to);
      const problems = checkSpl([{ path: "test.spl", text }]);
      expect(problems.map((p) => `${p.code} ${p.line}:${p.column}`)).toContain(`${code} ${place.line}:${place.column}`);
    });
  });
}

/** Line and column of a text: in what was put in, or else where it is first in the program. */
function placeOf(program: string, text: string, from: string, to: string): { line: number; column: number } {
  const offset = to.includes(text) ? PROGRAM.indexOf(from) + to.indexOf(text) : program.indexOf(text);
  const before = program.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}
