import { describe, expect, test } from "vitest";
import { readPickle } from "../../src/checkpoint/pickle.ts";
import { PickleGlobal, type PickleRules } from "../../src/checkpoint/pickle-machine.ts";
import { TORCH_RULES } from "../../src/checkpoint/torch-objects.ts";
import { concat, utf8 } from "./archive-writers.ts";
import { call, dict, global, int, list, pickle, raw, text, tuple } from "./pickle-writer.ts";

const RULES: PickleRules = {
  globals: new Map([
    ["a.pair", new PickleGlobal("a.pair", (args) => new Map([["pair", [...args]]]))],
    ["a.type", new PickleGlobal("a.type")],
    ["_codecs.encode", TORCH_RULES.globals.get("_codecs.encode")!],
  ]),
  persistent: (id) => ["persistent", id],
};

const read = (bytes: Uint8Array) => readPickle(bytes, 0, RULES, "p")?.value;
const hex = (digits: string) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

describe("readPickle", () => {
  // pickle.dumps({'a': [1, -2, 300, 70000, 2**40, -2**70, 1.5, None, True, False, float('-inf')],
  //   'b': ('x', (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), 'ü': {}, 'n': b'\x00\xff'}, protocol).hex(), CPython 3.11
  test.each([
    "7d71002858010000006171015d7102284b014afeffffff4d2c014a701101004c313039393531313632373737364c0a4c2d313138303539313632303731373431313330333432344c0a473ff80000000000004e4930310a4930300a47fff000000000000065580100000062710328580100000078710429284b01747105284b014b02747106284b014b024b03747107284b014b024b034b047471087471095802000000c3bc710a7d710b58010000006e710c635f636f646563730a656e636f64650a710d28580300000000c3bf710e58060000006c6174696e31710f747110527111752e",
    "80027d71002858010000006171015d7102284b014afeffffff4d2c014a701101008a060000000000018a090000000000000000c0473ff80000000000004e888947fff0000000000000655801000000627103285801000000787104294b018571054b014b028671064b014b024b03877107284b014b024b034b047471087471095802000000c3bc710a7d710b58010000006e710c635f636f646563730a656e636f64650a710d580300000000c3bf710e58060000006c6174696e31710f867110527111752e",
    "80037d71002858010000006171015d7102284b014afeffffff4d2c014a701101008a060000000000018a090000000000000000c0473ff80000000000004e888947fff0000000000000655801000000627103285801000000787104294b018571054b014b028671064b014b024b03877107284b014b024b034b047471087471095802000000c3bc710a7d710b58010000006e710c430200ff710d752e",
    "8005957d000000000000007d94288c0161945d94284b014afeffffff4d2c014a701101008a060000000000018a090000000000000000c0473ff80000000000004e888947fff0000000000000658c016294288c017894294b0185944b014b0286944b014b024b038794284b014b024b034b04749474948c02c3bc947d948c016e94430200ff94752e",
  ])("reads what CPython writes (%#)", (digits) => {
    const numbers = [1, -2, 300, 70000, 2 ** 40, -(2n ** 70n), 1.5, null, true, false, Number.NEGATIVE_INFINITY];
    expect(read(hex(digits))).toEqual(
      new Map<unknown, unknown>([
        ["a", numbers],
        ["b", ["x", [], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]],
        ["ü", new Map()],
        ["n", Uint8Array.of(0, 255)],
      ]),
    );
  });

  test("reads text forms of numbers, older containers and jumps in the memo", () => {
    const operations = concat(
      raw("(I-7\nL12L\nF1.5e3\nFinf\nFnan\nI00\nI01\n", 0x8b, 2, 0, 0, 0, 1, 1, 0x8a, 0), // INT LONG FLOAT… LONG4 LONG1
      raw("(T", 1, 0, 0, 0, "sU", 1, "tB", 1, 0, 0, 0, "bd"), // BINSTRING SHORT_BINSTRING BINBYTES in a DICT that lacks a value
    );
    expect(() => read(pickle(operations))).toThrow("expected pairs of keys and values");
    const whole = pickle(
      raw("(I-7\nL12L\nF1.5e3\nFinf\nFnan\nI00\nI01\n", 0x8b, 2, 0, 0, 0, 1, 1, 0x8a, 0),
      raw("(T", 1, 0, 0, 0, "sU", 1, "td", "p5\n0g5\nr", 0, 1, 0, 0, "j", 0, 1, 0, 0, "(lK", 3, "a2(10l"),
    );
    const same = new Map([["s", "t"]]);
    expect(read(whole)).toEqual([
      -7,
      12,
      1500,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      false,
      true,
      257,
      0,
      same,
      same,
      [3],
    ]);
    const long = pickle(raw(0x8d, 2, 0, 0, 0, 0, 0, 0, 0, "hi0", 0x8e, 1, 0, 0, 0, 0, 0, 0, 0, "x"));
    expect(read(long)).toEqual(utf8("x"));
  });

  test("calls the functions of the allow-list only", () => {
    const pair = new Map([["pair", [1, "x"]]]);
    expect(read(pickle(call(global("a", "pair"), int(1), text("x"))))).toEqual(pair);
    expect(read(pickle(text("a"), text("pair"), raw(0x93), tuple(int(1), text("x")), raw(0x81)))).toEqual(pair);
    expect(read(pickle(global("a", "pair"), tuple(int(1), text("x")), raw("}", 0x92)))).toEqual(pair);
    expect(read(pickle(call(global("a", "pair")), dict(), raw("b")))).toEqual(new Map([["pair", []]]));
    expect(read(pickle(int(9), raw("Q")))).toEqual(["persistent", 9]);
  });

  const message = "is not on the unpickling allow-list. Re-save the checkpoint as a state dict of plain tensors.";
  const refused: [string, Uint8Array, string, string][] = [
    [
      "a class that is not listed",
      pickle(raw("]0"), call(global("builtins", "eval"), text("1"))),
      "FORMAT_UNSUPPORTED",
      `p: pickle byte 4: class \`builtins.eval\` ${message}`,
    ],
    [
      "one named by the stack",
      pickle(text("os"), text("system"), raw(0x93)),
      "FORMAT_UNSUPPORTED",
      `p: pickle byte 20: class \`os.system\` ${message}`,
    ],
    [
      "names of JavaScript's prototypes",
      pickle(global("__proto__", "constructor")),
      "FORMAT_UNSUPPORTED",
      `p: pickle byte 2: class \`__proto__.constructor\` ${message}`,
    ],
    [
      "names that hide in an error message",
      pickle(global("a\u001b[31m", "`b`")),
      "FORMAT_UNSUPPORTED",
      `p: pickle byte 2: class \`a\\x1b[31m.\\x60b\\x60\` ${message}`,
    ],
    [
      "old-style instances",
      pickle(raw("(ios\nsystem\n")),
      "FORMAT_INVALID",
      "p: pickle byte 3: opcode 0x69 is not one that torch.save writes. The file is corrupt.",
    ],
    [
      "the extension registry",
      pickle(raw(0x82, 1)),
      "FORMAT_INVALID",
      "p: pickle byte 2: opcode 0x82 is not one that torch.save writes. The file is corrupt.",
    ],
    [
      "calls of plain data",
      pickle(call(text("eval"), text("1"))),
      "FORMAT_INVALID",
      "p: pickle byte 19: expected a function of the allow-list to call, got `eval`.",
    ],
    [
      "calls of a type",
      pickle(call(global("a", "type"))),
      "FORMAT_INVALID",
      "p: pickle byte 12: expected a function of the allow-list to call, got the class `a.type`.",
    ],
    [
      "arguments by name",
      pickle(global("a", "pair"), tuple(), dict([text("k"), int(1)]), raw(0x92)),
      "FORMAT_UNSUPPORTED",
      "p: pickle byte 26: arguments by name are not read.",
    ],
    [
      "many arguments",
      pickle(call(global("a", "pair"), ...new Array(17).fill(raw("N")))),
      "FORMAT_INVALID",
      "p: pickle byte 29: expected few arguments, got 17. The file is corrupt.",
    ],
    [
      "a state for anything but a dictionary",
      pickle(list(), raw("Nb")),
      "FORMAT_UNSUPPORTED",
      "p: pickle byte 6: expected a dictionary to give a state to, got a list of 0.",
    ],
    [
      "an empty stack",
      pickle(raw("0")),
      "FORMAT_INVALID",
      "p: pickle byte 2: the stack is empty. The file is corrupt.",
    ],
    [
      "nothing to duplicate",
      pickle(raw("2")),
      "FORMAT_INVALID",
      "p: pickle byte 2: the stack is empty. The file is corrupt.",
    ],
    ["an absent mark", pickle(raw("t")), "FORMAT_INVALID", "p: pickle byte 2: there is no mark. The file is corrupt."],
    ["an empty memo", pickle(raw("h", 7)), "FORMAT_INVALID", "p: pickle byte 2: memo 7 is empty. The file is corrupt."],
    [
      "a memo index that is none",
      pickle(raw("Np-1\n")),
      "FORMAT_INVALID",
      "p: pickle byte 3: expected a memo index. The file is corrupt.",
    ],
    [
      "wrong UTF-8",
      pickle(raw(0x8c, 1, 0xff)),
      "FORMAT_INVALID",
      "p: pickle byte 2: expected UTF-8 text. The file is corrupt.",
    ],
    [
      "text that is no integer",
      pickle(raw("I1x\n")),
      "FORMAT_INVALID",
      "p: pickle byte 2: expected a decimal integer. The file is corrupt.",
    ],
    [
      "text that is no float",
      pickle(raw("F0x10\n")),
      "FORMAT_INVALID",
      "p: pickle byte 2: expected a float. The file is corrupt.",
    ],
    [
      "an endless line",
      pickle(raw(`I${"1".repeat(1001)}\n`)),
      "LIMIT_EXCEEDED",
      "p: pickle byte 2: expected a line of at most 1000 bytes. The file is corrupt.",
    ],
    [
      "an endless integer",
      pickle(raw(0x8b, 0xff, 0xff, 0, 0)),
      "LIMIT_EXCEEDED",
      "p: pickle byte 2: expected an integer of at most 256 bytes, got 65535. The file is corrupt.",
    ],
    [
      "a list as a key",
      pickle(dict([list(), int(1)])),
      "FORMAT_UNSUPPORTED",
      "p: pickle byte 12: expected text, a number or None as a key, got a list of 0.",
    ],
    [
      "items of a list",
      pickle(list(), int(1), int(1), raw("s")),
      "FORMAT_INVALID",
      "p: pickle byte 15: expected a dictionary to set items of, got a list of 0.",
    ],
    [
      "appending to a dictionary",
      pickle(dict(), int(1), raw("a")),
      "FORMAT_INVALID",
      "p: pickle byte 10: expected a list to append to, got a dictionary of 0.",
    ],
    [
      "arguments that are no tuple",
      pickle(global("a", "pair"), raw("NR")),
      "FORMAT_INVALID",
      "p: pickle byte 11: expected a tuple or list, got None.",
    ],
    [
      "classes named by numbers",
      pickle(int(1), int(2), raw(0x93)),
      "FORMAT_INVALID",
      "p: pickle byte 12: expected the names of a module and a class. The file is corrupt.",
    ],
    [
      "deep marks",
      pickle(raw("(".repeat(1001))),
      "LIMIT_EXCEEDED",
      "p: pickle byte 1002: expected at most 1000 nested marks. This is no model's state dict.",
    ],
    [
      "too many operations",
      pickle(new Uint8Array(2_000_000).fill(0x4e)),
      "LIMIT_EXCEEDED",
      "p: pickle byte 2000001: expected at most 2000000 operations. This is no model's state dict.",
    ],
  ];
  test.each(refused)("refuses %s", (_, bytes, code, text) => {
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code, message: text }));
  });

  test("takes data that contains itself, a million times over, at the price of its bytes", () => {
    const doubling = concat(raw("]q", 0), ...Array.from({ length: 100 }, () => raw("0](h", 0, "h", 0, "eq", 0)));
    const bomb = read(pickle(doubling));
    let depth = 0;
    for (let value = bomb; Array.isArray(value); value = value[0]) depth++;
    expect(depth).toBe(101);
    const self = read(pickle(raw("]q", 0, "h", 0, "a"))) as unknown[];
    expect(self[0]).toBe(self);
  });

  test("counts what a function walks through, so that one list given to many calls ends", () => {
    const calls = concat(...Array.from({ length: 100 }, () => raw("h", 1, "(h", 0, "tR0")));
    const bytes = pickle(
      raw("]("),
      new Uint8Array(30_000).fill(0x4e),
      raw("eq", 0),
      global("a", "pair"),
      raw("q", 1),
      calls,
    );
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code: "LIMIT_EXCEEDED" }));
  });

  test("tells that a pickle goes on behind its bytes, and where it ends", () => {
    const bytes = concat(pickle(tuple(int(1), text("x"), raw("G", 0, 0, 0, 0, 0, 0, 0, 0))), [1, 2, 3]);
    expect(readPickle(bytes, 0, RULES, "p")).toEqual({ value: [1, "x", 0], end: bytes.length - 3 });
    for (let length = 0; length < bytes.length - 3; length++) {
      expect(readPickle(bytes.slice(0, length), 0, RULES, "p")).toBeUndefined();
    }
  });
});
