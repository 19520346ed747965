import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseSpl } from "@nemo-stt/spl";
import type { Expression, FunctionNode, Statement } from "../src/ast.ts";

// Runs functions of the toolkit that only reckon, where no compiler is: what their tests need of the language, no more.

const folder = resolve(import.meta.dirname, "../../../streams/toolkit/com.teracloud.streamsx.stt");

/** A value of SPL: numbers of all types, text, truth, lists. */
export type Value = number | string | boolean | readonly Value[];

interface Source {
  readonly lines: readonly string[];
  readonly node: FunctionNode;
}

const sources = new Map<string, Source>();
for (const file of readdirSync(folder).filter((name) => name.endsWith("Functions.spl") || name === "SttOptions.spl")) {
  const text = readFileSync(join(folder, file), "utf8");
  for (const node of parseSpl(file, text).tree?.definitions ?? [])
    if (node.kind === "function") sources.set(node.name.text, { lines: text.split("\n"), node });
}

const BUILTINS: Readonly<Record<string, (...args: never[]) => Value>> = {
  size: (values: readonly Value[]) => values.length,
  length: (text: string) => text.length,
  abs: (value: number) => Math.abs(value),
  tokenize: (text: string, at: string, keepsEmpty: boolean) =>
    text.split(at).filter((part) => keepsEmpty || part !== ""),
  regexReplace: (text: string, from: string, to: string, all: boolean) =>
    text.replace(new RegExp(from, all ? "g" : ""), to),
};

/** Calls a function of the toolkit. @throws Error for what this evaluator does not know */
export function callSpl(name: string, ...args: readonly Value[]): Value {
  const builtin = BUILTINS[name];
  if (builtin) return builtin(...(args as never[]));
  const source = sources.get(name);
  if (!source) throw new Error(`callSpl: expected a function of the toolkit, got ${name}. Name another.`);
  const { lines, node } = source;
  const names = new Map(node.parameters.map((parameter, i) => [parameter.name.text, args[i]]));
  return new Frame(lines, names).run(node.body) as Value;
}

class Frame {
  readonly #lines: readonly string[];
  readonly #names: Map<string, Value>;

  constructor(lines: readonly string[], names: Map<string, Value>) {
    this.#lines = lines;
    this.#names = names;
  }

  /** What the statements return, if they do. */
  run(body: readonly Statement[]): Value | undefined {
    for (const statement of body) {
      const result = this.#step(statement);
      if (result !== undefined) return result;
    }
    return undefined;
  }

  #step(statement: Statement): Value | undefined {
    switch (statement.kind) {
      case "return":
        return this.#value(statement.value as Expression);
      case "block":
        return this.run(statement.body);
      case "declare":
        this.#names.set(statement.name.text, this.#value(statement.value as Expression));
        return undefined;
      case "if":
        if (this.#value(statement.test)) return this.#step(statement.yes);
        return statement.no && this.#step(statement.no);
      case "for":
        for (const item of this.#value(statement.over) as readonly Value[]) {
          this.#names.set(statement.name.text, item);
          const result = this.#step(statement.body);
          if (result !== undefined) return result;
        }
        return undefined;
      default:
        throw new Error(`evaluate: expected a statement that only reckons, got ${statement.kind}. Teach it here.`);
    }
  }

  #value(node: Expression): Value {
    switch (node.kind) {
      case "literal":
        return this.#literal(node.line, node.column);
      case "name":
        return this.#names.get(node.name) as Value;
      case "list":
        return node.items.map((item) => this.#value(item));
      case "call":
        return callSpl(node.name.text, ...node.args.map((arg) => this.#value(arg)));
      case "index":
        return (this.#value(node.object) as readonly Value[])[this.#value(node.index) as number];
      case "conditional":
        return this.#value(node.test) ? this.#value(node.yes) : this.#value(node.no);
      case "cast": {
        const value = this.#value(node.operand);
        return node.type.kind === "named" && node.type.name === "rstring" ? String(value) : value;
      }
      case "unary":
        return node.operator === "!" ? !this.#value(node.operand) : -(this.#value(node.operand) as number);
      case "binary":
        return this.#binary(node.operator, node.left, node.right);
      default:
        throw new Error(`evaluate: expected an expression that only reckons, got ${node.kind}. Teach it here.`);
    }
  }

  #binary(operator: string, leftNode: Expression, rightNode: Expression): Value {
    const left = this.#value(leftNode) as never;
    if (operator === "&&") return left && this.#value(rightNode);
    if (operator === "||") return left || this.#value(rightNode);
    const right = this.#value(rightNode) as never;
    const known = OPERATORS[operator];
    if (!known) throw new Error(`evaluate: expected an operator that only reckons, got ${operator}. Teach it here.`);
    return known(left, right);
  }

  /** A literal as it is written: the tree has only its type and place. */
  #literal(line: number, column: number): Value {
    const written = this.#lines[line - 1].slice(column - 1);
    const text = /^"((?:[^"\\]|\\.)*)"/.exec(written);
    if (text) return text[1];
    const word = /^(true|false)\b/.exec(written);
    return word ? word[1] === "true" : Number.parseFloat(written);
  }
}

const OPERATORS: Readonly<Record<string, (left: never, right: never) => Value>> = {
  "+": (left: number, right: number) => left + right,
  "-": (left: number, right: number) => left - right,
  "<": (left: number, right: number) => left < right,
  "<=": (left: number, right: number) => left <= right,
  ">": (left: number, right: number) => left > right,
  ">=": (left: number, right: number) => left >= right,
  "==": (left: Value, right: Value) => left === right,
  "!=": (left: Value, right: Value) => left !== right,
  in: (left: Value, right: readonly Value[]) => right.includes(left),
};
