// biome-ignore-all lint/suspicious/noTemplateCurlyInString: OmegaConf writes its interpolations so.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseModelConfig, parseYaml } from "../../src/checkpoint/yaml.ts";
import { concat, utf8 } from "./archive-writers.ts";

const parse = (text: string) => parseYaml(text, "c.yaml");
const config = (text: string) => parseModelConfig(utf8(text), "c.yaml");
const facts = JSON.parse(readFileSync(new URL("./fixtures/expected.json", import.meta.url), "utf8")) as {
  scalars: [string, { value?: unknown; float?: string }][];
};

describe("parseYaml", () => {
  test.each(facts.scalars)("reads the unquoted scalar %s as OmegaConf does", (text, { value, float }) => {
    const number = { inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN }[float ?? ""];
    expect(parse(`a: ${text}\n`)).toEqual({ a: number ?? value });
  });

  test("reads quoted scalars, blocks and empty values", () => {
    expect(
      parse(`a: 'no'\nb: "1\\u2581"\nc:\nd: |\n  x\n  y\ne: ! 12\nf: !!str 12\ng: !!int "12"\nh: [1, {i: ~}, []]\n`),
    ).toEqual({
      a: "no",
      b: "1▁",
      c: null,
      d: "x\ny\n",
      e: "12",
      f: "12",
      g: 12,
      h: [1, { i: null }, []],
    });
    expect(parse("")).toBeNull();
    expect(parse("%YAML 1.1\n---\n- 1\n...\n")).toEqual([1]);
    expect(parse("\ufeffa: 1\r\nb: 2\r\n")).toEqual({ a: 1, b: 2 });
  });

  test("keeps keys as they are written, whatever they would mean as values", () => {
    const map = parse("no: 1\n1_000: 2\n'x': 3\n~: 4\n__proto__: {polluted: 5}\nconstructor: 6\n") as Record<
      string,
      unknown
    >;
    expect(Object.entries(map)).toEqual([
      ["no", 1],
      ["1_000", 2],
      ["x", 3],
      ["~", 4],
      ["__proto__", { polluted: 5 }],
      ["constructor", 6],
    ]);
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("copies aliases and merges mappings, own keys first", () => {
    const value = parse(
      "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\nc: {m: 4, <<: [{m: 5, n: 6}, *x]}\nd: *x\ne: &x 7\nf: *x\n",
    ) as Record<string, unknown>;
    expect(value).toEqual({
      a: { k: 1, l: 2 },
      b: { k: 3, l: 2 },
      c: { m: 4, n: 6, k: 1, l: 2 },
      d: { k: 1, l: 2 },
      e: 7,
      f: 7,
    });
    expect(value.d).not.toBe(value.a);
  });

  test("reads the tags that OmegaConf and PyYAML write", () => {
    expect(parse("a: !!python/tuple [1, 2]\nb: !!python/object/apply:pathlib.PosixPath [/, data, x.json]\n")).toEqual({
      a: [1, 2],
      b: "/data/x.json",
    });
  });

  const refused: [string, string, string, string][] = [
    ["a key that stands twice", "a: 1\nb: 2\na: 3\n", "FORMAT_INVALID", "c.yaml: line 3: key `a` stands twice."],
    ["a broken line", "a: [1\nb: 2\n", "FORMAT_INVALID", "c.yaml: line 2: expected YAML, got a syntax error: "],
    ["an unknown anchor", "a: 1\nb: *x\n", "FORMAT_INVALID", "c.yaml: line 2: alias `x` has no anchor before it."],
    ["an anchor inside itself", "a: &x [*x]\n", "FORMAT_INVALID", "c.yaml: line 1: alias `x` has no anchor before it."],
    [
      "several documents",
      "a: 1\n---\nb: 2\n",
      "FORMAT_UNSUPPORTED",
      "c.yaml: line 2: expected one document, got several.",
    ],
    [
      "a foreign tag",
      "a: !!python/object:os.system x\n",
      "FORMAT_UNSUPPORTED",
      "c.yaml: line 1: tag `python/object:os.system` is not read.",
    ],
    [
      "a collection as a key",
      "? [1]\n: 2\n",
      "FORMAT_UNSUPPORTED",
      "c.yaml: line 1: expected text as a key, got a collection or an alias.",
    ],
    [
      "a merge of something else",
      "a: {<<: 1}\n",
      "FORMAT_INVALID",
      "c.yaml: line 1: expected mappings to merge with `<<`.",
    ],
    [
      "deep nesting",
      "[".repeat(100),
      "LIMIT_EXCEEDED",
      "c.yaml: expected at most 64 levels of nesting. No model configuration is so deep.",
    ],
    ["very deep nesting", "- ".repeat(100_000), "LIMIT_EXCEEDED", "c.yaml: expected at most 64 levels of nesting."],
  ];
  test.each(refused)("refuses %s", (_, text, code, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test("stops aliases of aliases", () => {
    const lines = Array.from({ length: 20 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(10)}]`);
    const bomb = `a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n${lines.join("\n")}\n`;
    expect(() => parse(bomb)).toThrow(
      expect.objectContaining({
        code: "LIMIT_EXCEEDED",
        message:
          "c.yaml: line 6: expected at most 500000 values, aliases expanded. No model configuration has so many.",
      }),
    );
  });
});

describe("parseModelConfig", () => {
  test("takes the sub-tree `model`, with the whole file to refer to, and leaves missing values out", () => {
    const text =
      "name: test\nsr: &sr 16000\nmodel:\n  sample_rate: *sr\n  a: ???\n  list: [1, ???]\n  title: ${name}\n  same: ${model.title}\n";
    expect(config(text)).toEqual({ sample_rate: 16000, list: [1, null], title: "test", same: "test" });
    expect(config("model: x\nb: 1\n")).toEqual({ model: "x", b: 1 });
  });

  test("resolves interpolations as OmegaConf does", () => {
    const text = [
      "rate: 16000",
      "labels: [a, b]",
      "model_defaults: {hidden: 640, nested: {deep: ${rate}}}",
      "encoder:",
      "  sizes: [1, 2, {x: '${..0}', y: '${encoder.sizes[1]}', z: '${.y}'}]",
      "  d_model: ${model_defaults.hidden}",
      "  copy: ${.d_model}",
      "  up: ${..rate}",
      "  all: ${labels}",
      "  alias: ${model_defaults}",
      "  through: ${encoder.alias.nested.deep}",
      "  text: 'r=${rate}/${.copy} ${model_defaults.nested.flag}'",
      "  escaped: '\\${rate} and \\\\${rate}'",
      "  none: '${nothing}|x'",
      "nothing: null",
      "old: ${model.rate}",
    ].join("\n");
    expect(config(text.replace("deep: ${rate}", "deep: '${rate}', flag: true"))).toEqual({
      rate: 16000,
      labels: ["a", "b"],
      model_defaults: { hidden: 640, nested: { deep: 16000, flag: true } },
      encoder: {
        sizes: [1, 2, { x: 1, y: 2, z: 2 }],
        d_model: 640,
        copy: 640,
        up: 16000,
        all: ["a", "b"],
        alias: { hidden: 640, nested: { deep: 16000, flag: true } },
        through: 16000,
        text: "r=16000/640 True",
        escaped: "${rate} and \\16000",
        none: "None|x",
      },
      nothing: null,
      old: 16000,
    });
  });

  test("leaves training's references alone where they lead nowhere, and resolves them where they do not", () => {
    const text = "r: 1\ntrain_ds: {path: '${oc.env:HOME}/x', rate: '${r}', gone: '${a.b}', self: '${train_ds.self}'}\n";
    expect(config(text)).toEqual({
      r: 1,
      train_ds: { path: "${oc.env:HOME}/x", rate: 1, gone: "${a.b}", self: "${train_ds.self}" },
    });
  });

  const refused: [string, string, string, string][] = [
    [
      "a reference to nothing",
      "a: {b: '${c.d}'}",
      "MODEL_INVALID",
      "c.yaml: `a.b`: interpolation `${c.d}` leads to nothing. Write the value itself.",
    ],
    [
      "a reference to itself",
      "a: ${b}\nb: ${c}\nc: x${a}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${b}` leads to itself. Write the value itself.",
    ],
    [
      "a reference to what contains it",
      "a: {b: '${a}'}",
      "MODEL_INVALID",
      "c.yaml: `a.b`: interpolation `${a}` leads to itself. Write the value itself.",
    ],
    [
      "a reference above the root",
      "a: ${..b}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${..b}` leads above the root. Write the value itself.",
    ],
    [
      "a custom resolver",
      "a: ${multiply:2,3}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${multiply:2,3}` is not a plain path of keys. Write the value itself.",
    ],
    [
      "a nested reference",
      "k: x\na: ${b.${k}}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${b.$}` is not closed, or nested. Write the value itself.",
    ],
    [
      "a missing value",
      "k: ???\na: ${k}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${k}` leads to a missing value (???). Write the value itself.",
    ],
    [
      "a collection inside text",
      "k: [1]\na: x${k}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${k}` leads to a collection, inside text. Write the value itself.",
    ],
    [
      "a prototype's property",
      "a: ${constructor.name}",
      "MODEL_INVALID",
      "c.yaml: `a`: interpolation `${constructor.name}` leads to nothing. Write the value itself.",
    ],
    [
      "a list",
      "- 1",
      "FORMAT_INVALID",
      "c.yaml: expected a mapping of keys to values, got a list. The file is no model configuration.",
    ],
    [
      "an empty file",
      "",
      "FORMAT_INVALID",
      "c.yaml: expected a mapping of keys to values, got nothing. The file is no model configuration.",
    ],
    [
      "forty references in a row",
      Array.from({ length: 40 }, (_, i) => `a${i}: \${a${i + 1}}`).join("\n"),
      "LIMIT_EXCEEDED",
      "c.yaml: `a32`: expected at most 32 references in a row. The configuration is broken.",
    ],
  ];
  test.each(refused)("refuses %s", (_, text, code, message) => {
    expect(() => config(text)).toThrow(expect.objectContaining({ code, message }));
  });

  test("stops references that double, as values and as text", () => {
    const message =
      "c.yaml: expected at most 8000000 characters or 500000 values, interpolations resolved. The configuration is broken.";
    const values = Array.from({ length: 25 }, (_, i) => `a${i}: ['\${a${i + 1}}', '\${a${i + 1}}']`);
    expect(() => config(`${values.join("\n")}\na25: 1`)).toThrow(
      expect.objectContaining({ code: "LIMIT_EXCEEDED", message }),
    );
    const texts = Array.from({ length: 25 }, (_, i) => `a${i}: '\${a${i + 1}}\${a${i + 1}}'`);
    expect(() => config(`${texts.join("\n")}\na25: 0123456789`)).toThrow(
      expect.objectContaining({ code: "LIMIT_EXCEEDED", message }),
    );
  });

  test("stops at a million pieces of syntax, and does not read a thousand documents", () => {
    expect(() => config("- \n".repeat(500_000))).toThrow(
      expect.objectContaining({
        code: "LIMIT_EXCEEDED",
        message: "c.yaml: expected at most 1000000 pieces of syntax. No model configuration has so many.",
      }),
    );
    expect(() => config("--- {}\n".repeat(100_000))).toThrow("c.yaml: line 2: expected one document, got several.");
  });

  test("refuses what is not UTF-8, and what is too large", () => {
    expect(() => parseModelConfig(concat(utf8("a: "), [0xff]), "c.yaml")).toThrow(
      "c.yaml: expected UTF-8 text. The file is corrupt.",
    );
    expect(() => parseModelConfig(new Uint8Array((4 << 20) + 1), "c.yaml")).toThrow(
      expect.objectContaining({
        code: "LIMIT_EXCEEDED",
        message: "c.yaml: expected at most 4194304 bytes, got 4194305. No model configuration is so large.",
      }),
    );
  });
});
