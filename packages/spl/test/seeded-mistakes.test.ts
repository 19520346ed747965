import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { checkSpl, formatProblem, type ProblemCode } from "@nemo-stt/spl";
import { describe, expect, test } from "vitest";

/** A program that is right. Every test below makes one mistake in it. */
const PROGRAM = `namespace test;

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

type Mistake = readonly [what: string, from: string, to: string, code: ProblemCode, at: string];

const MISTAKES: readonly Mistake[] = [
  ["an unknown operator", "= TCPSink(Audio)", "= TCPSnk(Audio)", "unknown-operator", "TCPSnk"],
  [
    "an unknown parameter",
    "address : $host;\n        port : 5601u",
    "adress : $host;\n        port : 5601u",
    "unknown-parameter",
    "adress",
  ],
  ["an unknown parameter of a composite", "kind : quiet", "sort : quiet", "unknown-parameter", "sort"],
  ["a parameter of another type", "port : 5601u", 'port : "5601"', "parameter-type", '"5601"'],
  ["a signed port number", "port : 5601u", "port : 5601", "parameter-type", "5601;"],
  ["a composite's parameter of another type", 'host : "localhost"', "host : 127", "parameter-type", "127"],
  ["a default of another type", "$port : 5602u", "$port : 5602", "parameter-type", "5602;"],
  ["a word that a parameter does not know", "format : bin", "format : binary", "parameter-mode", "binary"],
  ["a constant parameter with an expression", "flush : 1u", "flush : 1u + 1u", "parameter-mode", "+ 1u"],
  [
    "a missing parameter",
    "role : client;\n        address : $host;\n        port : $port",
    "address : $host;\n        port : $port",
    "missing-parameter",
    "TCPSource",
  ],
  ["a missing parameter of a composite", 'host : "localhost";\n', "", "missing-parameter", "Recognise(Pieces)"],
  [
    "a parameter given twice",
    "format : csv;",
    "format : csv;\n        format : txt;",
    "duplicate-parameter",
    "format : txt",
  ],
  ["two values for one", "format : csv;", "format : csv, txt;", "parameter-count", "format : csv"],
  ["a missing input port", "= TCPSink(Audio)", "= TCPSink()", "port-count", "TCPSink"],
  ["a missing input port of a composite", "= Recognise(Pieces)", "= Recognise()", "port-count", "Recognise()"],
  [
    "one output port too many",
    "stream<Text> Texts = TCPSource",
    "(stream<Text> Texts; stream<Text> More) = TCPSource",
    "port-count",
    "TCPSource",
  ],
  ["an unknown stream", "Functor(Results)", "Functor(Result)", "unknown-stream", "Result)"],
  [
    "an output that no operator makes",
    "output stream<Text> Texts)",
    "output stream<Text> Lost)",
    "unknown-stream",
    "Lost)",
  ],
  [
    "another type than the composite gives",
    "stream<Text> Results =",
    "stream<rstring transcription> Results =",
    "stream-type",
    "Results =",
  ],
  ["another type than the composite takes", "stream<Piece> Audio;", "stream<Text> Audio;", "stream-type", "Audio;"],
  ["a logic clause for a port that is not there", "onPunct F :", "onPunct Files :", "unknown-port", "Files :"],
  [
    "a submission to a port that is not there",
    "onPunct F : submit(currentPunct(), Pieces)",
    "onPunct F : submit(currentPunct(), Lines)",
    "unknown-port",
    "Lines);",
  ],
  ["an output clause for another stream", "Lines : line = text", "Line : line = text", "unknown-port", "Line :"],
  [
    "an output clause where there is none",
    "format : csv;\n        suppress : isFinal;",
    "format : csv;\n        suppress : isFinal;\n      output\n        File : line = line;",
    "unknown-clause",
    "FileSink",
  ],
  ["an undeclared attribute", "fopen(F.file", "fopen(F.name", "unknown-attribute", "name, "],
  [
    "an undeclared attribute in an output clause",
    "Lines : line = text",
    "Lines : words = text",
    "unknown-attribute",
    "words",
  ],
  ["an attribute that the sink does not get", "suppress : isFinal", "suppress : text", "unknown-attribute", "text;"],
  [
    "an attribute declared twice",
    "tuple<blob data, uint64 at>",
    "tuple<blob data, uint64 data>",
    "duplicate-attribute",
    "data>",
  ],
  [
    "a missing assignment",
    '\n      output\n        Lines : line = text + ".";',
    "",
    "missing-assignment",
    "Lines = Functor",
  ],
  [
    "a missing assignment of a source",
    "\n      output\n        Files : file = FullPath();",
    "",
    "missing-assignment",
    "Files = DirectoryScan",
  ],
  ["a misspelt type", "tuple<blob data, uint64 at>", "tuple<blob data, unit64 at>", "unknown-type", "unit64"],
  ["a misspelt type of a parameter", "expression<uint32> $port", "expression<unit32> $port", "unknown-type", "unit32"],
  ["a misspelt name of a type", "stream<Named> Files", "stream<Name> Files", "unknown-type", "Name>"],
  ["an unknown name", "at = count", "at = counter", "unknown-name", "counter"],
  [
    "an unknown parameter of the surrounding composite",
    "address : $host;\n        port : $port",
    "address : $hots;\n        port : $port",
    "unknown-name",
    "$hots",
  ],
  ["an unknown value of an enum", "kind : quiet", "kind : silent", "unknown-name", "silent"],
  ["an unknown function", "strerror(err)", "errorText(err)", "unknown-function", "errorText"],
  ["a file function without its namespace", "use spl.file::*;\n", "", "unknown-function", "fopen"],
  [
    "an output function where it is not known",
    'line = text + "."',
    "line = FullPath()",
    "unknown-function",
    "FullPath()",
  ],
  ["arguments of other types", "half(size(data))", "half(blobSize(data))", "argument-types", "half(blobSize"],
  ["an argument too few", 'fopen(F.file, "rb", err)', "fopen(F.file, err)", "argument-types", "fopen"],
  ["a value of another type", "uint64 handle = fopen", "int32 handle = fopen", "type-mismatch", "fopen"],
  ["an assignment of another type", "count += 100ul", "count += 100", "type-mismatch", "+= 100"],
  ["a map key of another type", "seen[F.file]", "seen[count]", "type-mismatch", "count]"],
  [
    "a submitted tuple of another type",
    "submit({ data = data, at = count }",
    "submit({ data = data, at = 0 }",
    "type-mismatch",
    "Pieces);\n            count",
  ],
  [
    "a submitted tuple with an attribute too few",
    "submit({ data = data, at = count }",
    "submit({ data = data }",
    "type-mismatch",
    "Pieces);\n            count",
  ],
  ["a wrong type in an output clause", 'line = text + "."', "line = length(text)", "type-mismatch", "length(text)"],
  [
    "a loop over elements of another type",
    "for (int32 s in sizes)",
    "for (uint64 s in sizes)",
    "type-mismatch",
    "uint64 s",
  ],
  ["operands of two types", "length(text) > 0", "length(text) > 0ul", "operand-types", "> 0ul"],
  ["a text and a number", 'text + "."', "text + 1", "operand-types", "+ 1"],
  [
    "a condition that is no boolean",
    "if (err == 0 &&",
    "if (err) count += 1ul; if (err == 0 &&",
    "condition-type",
    "err) count",
  ],
  ["a change of what is not mutable", "mutable uint64 count", "uint64 count", "not-mutable", "count += 100ul"],
  ["a change of the input", "count += 100ul;", 'F.file = "x";', "not-mutable", 'F.file = "x"'],
  [
    "a constant where a variable is changed",
    "freadfile(data, handle, err)",
    "freadfile(data, handle, 0)",
    "not-assignable",
    "0)",
  ],
  ["a value of another type returned", "return result;", "return 2.0;", "return-type", "2.0"],
  ["a way out without a value", "return result;", "if (value > 0) return result;", "return-type", "half(int32"],
  [
    "a stateful call in a stateless function",
    "public stateful float64 clock",
    "public float64 clock",
    "stateful-call",
    "getTimestampInSecs",
  ],
  [
    "a stream of the same name",
    "stream<rstring problem> Problems",
    "stream<rstring problem> Files",
    "duplicate-name",
    "Files) =",
  ],
  [
    "a type of the same name",
    "type Kind = enum",
    "type Piece = enum { none }; type Kind = enum",
    "duplicate-name",
    "Piece = tuple",
  ],
  [
    "a variable of the same name",
    "mutable int32 err = 0;",
    "mutable int32 err = 0; int32 err = 1;",
    "duplicate-name",
    "err = 1",
  ],
  [
    "an operator of the same name",
    "() as File =",
    '() as File = FileSink(Lines) { param file : "x"; }\n    () as File =',
    "duplicate-name",
    "File = FileSink(Lines) {\n",
  ],
  [
    "an unknown annotation",
    "stream<Text> Results =",
    "@parralel(width = 2)\n    stream<Text> Results =",
    "unknown-annotation",
    "parralel",
  ],
  ["a namespace that is not there", "use spl.file::*;", "use spl.files::*;", "unknown-namespace", "*;"],
  ["no documentation", "/** Uses it. */\n", "", "missing-documentation", "public composite Main"],
  [
    "a parameter without documentation",
    " * @param kind how\n",
    "",
    "missing-documentation",
    "public composite Recognise",
  ],
  ["a missing semicolon", "flush : 1u;", "flush : 1u", "syntax", "}\n\n    stream<Text> Texts"],
  ["a bracket too few", "half(size(data))", "half(size(data)", "syntax", ";\n            add"],
  ["a sign that SPL has not", "count += 100ul", "count += 100ul #", "syntax", "#"],
];

/** Line and column of a text: in what was put in, or else where it is first in the program. */
function placeOf(program: string, text: string, from: string, to: string): { line: number; column: number } {
  const offset = to.includes(text) ? PROGRAM.indexOf(from) + to.indexOf(text) : program.indexOf(text);
  const before = program.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}

describe("checkSpl", () => {
  test("finds nothing in a program that is right", () => {
    expect(checkSpl([{ path: "test.spl", text: PROGRAM }]).map(formatProblem)).toEqual([]);
  });

  test.each(MISTAKES)("rejects %s", (_, from, to, code, at) => {
    expect(PROGRAM.split(from).length - 1, `places of ${from}`).toBeGreaterThan(0);
    const text = PROGRAM.replace(from, () => to);
    const place = placeOf(text, at, from, to);
    const problems = checkSpl([{ path: "test.spl", text }]);
    expect(problems.map((p) => `${p.code} ${p.line}:${p.column}`)).toContain(`${code} ${place.line}:${place.column}`);
  });

  test("says where, what was expected and what came", () => {
    const problems = checkSpl([{ path: "app.spl", text: PROGRAM.replace("kind : quiet", "sort : quiet") }]);
    expect(problems.map(formatProblem)).toEqual([
      "app.spl:103:9: unknown-parameter: `Recognise`: expected one of host, port, kind, got `sort`.",
    ]);
  });

  test("looks at composites with open inputs anew for every use", () => {
    const inner =
      "/** X. @input A a @output B b */\npublic composite X(input A; output B) { graph stream<rstring t> B = Functor(A) { output B : t = A.name; } }";
    const use = (type: string) =>
      `/** M. */ public composite M { graph stream<${type}> S = Beacon() { output S : name = "n"; } stream<rstring t> R = X(S) {} }`;
    expect(
      checkSpl([
        { path: "a", text: inner },
        { path: "b", text: use("rstring name") },
      ]).map(formatProblem),
    ).toEqual([]);
    const problems = checkSpl([
      { path: "a", text: inner.replace("A.name", "A.title") },
      { path: "b", text: use("rstring name") },
    ]);
    expect(problems.map((p) => `${p.file} ${p.code}`)).toEqual(["a unknown-attribute"]);
  });
});

describe("the toolkit and the samples", () => {
  const root = resolve(import.meta.dirname, "../../../streams");
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (f) => f.endsWith(".spl") && !f.includes("output"),
  );
  const sources = files.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

  test("have nothing that the checker rejects", () => {
    expect(files.length).toBeGreaterThan(20);
    expect(checkSpl(sources).map(formatProblem)).toEqual([]);
  });

  test("are what the toolkit's index says", () => {
    const index = readFileSync(join(root, "toolkit/toolkit.xml"), "utf8");
    const public_ = sources
      .filter((s) => s.path.startsWith("toolkit"))
      .flatMap((s) => [...s.text.matchAll(/^public composite (\w+)|^type (\w+) =|^public .*?(\w+)\(.*\) \{$/gm)])
      .map((match) => match[1] ?? match[2] ?? match[3]);
    expect(public_.length).toBeGreaterThan(60);
    expect(public_.filter((name) => !index.includes(name))).toEqual([]);
  });

  test("keep the published types", () => {
    const types = sources
      .find((s) => s.path.endsWith("stt/Types.spl"))
      ?.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
      .replace(/\s+/g, " ");
    for (const type of [
      "type ChannelMetadata = tuple< int32 channelNumber, rstring channelRole, rstring phoneNumber, rstring speakerId, map<rstring,rstring> additionalMetadata >;",
      "type StereoAudioChunk = tuple< blob leftChannelData, blob rightChannelData, uint64 audioTimestamp, int32 sampleRate, int32 bitsPerSample, rstring encoding >;",
      "type ChannelAudioStream = tuple< blob audioData, uint64 audioTimestamp, ChannelMetadata channelInfo, int32 sampleRate, int32 bitsPerSample >;",
      "type ChannelTranscription = tuple< rstring text, float64 confidence, boolean isFinal, ChannelMetadata channelInfo, uint64 startTime, uint64 endTime >;",
      "type CallMetadata = tuple< rstring callId, rstring callerNumber, rstring calledNumber, timestamp callStartTime, timestamp callEndTime, rstring callDirection, map<rstring,rstring> sipHeaders >;",
      "type AudioFormat = enum { pcm16, pcm8, ulaw, alaw, opus, g729 };",
      "type ChannelRole = enum { caller, agent, left, right, customer, representative, unknown };",
    ]) {
      expect(types).toContain(type);
    }
  });
});
