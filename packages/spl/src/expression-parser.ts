// Expressions. Binary operators are read as a row and then folded by precedence.
import type { IToken, ParserMethod } from "chevrotain";
import type { Assignment, Expression, Name } from "./ast.ts";
import { Identifier, NumberLiteral, Parameter, Primitive, StringLiteral, sign, keywords as word } from "./tokens.ts";
import { nameOf, placeOf, TypeParser } from "./type-parser.ts";

const PRECEDENCE = [
  ["||"],
  ["&&"],
  ["|"],
  ["^"],
  ["&"],
  ["==", "!="],
  ["<", ">", "<=", ">=", "in"],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
];
const ASSIGNMENTS = ["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="];

/** The type of a number by its form. */
export function numberType(image: string): string {
  if (/^0x/.test(image) === false && /[.eE]/.test(image)) return image.endsWith("w") ? "float32" : "float64";
  const suffix = /(u?)([bhwl]?)$/.exec(image.replace(/^0x/, ""));
  const bits = { b: 8, h: 16, w: 32, l: 64 }[suffix?.[2] ?? ""] ?? 32;
  return `${suffix?.[1] ? "uint" : "int"}${bits}`;
}

/** A row of operands and the operators between them as a tree. */
function folded(operands: Expression[], operators: Name[], level = 0): Expression {
  if (operators.length === 0) return operands[0];
  if (level >= PRECEDENCE.length) throw new Error(`SPL parser: operator ${operators[0].text} has no precedence`);
  for (let i = operators.length - 1; i >= 0; i--) {
    if (!PRECEDENCE[level].includes(operators[i].text)) continue;
    const left = folded(operands.slice(0, i + 1), operators.slice(0, i), level);
    const right = folded(operands.slice(i + 1), operators.slice(i + 1), level + 1);
    return {
      kind: "binary",
      operator: operators[i].text,
      left,
      right,
      line: operators[i].line,
      column: operators[i].column,
    };
  }
  return folded(operands, operators, level + 1);
}

/** The grammar of expressions. */
export class ExpressionParser extends TypeParser {
  /** An expression, assignments included. */
  readonly expression: ParserMethod<[], Expression> = this.RULE("expression", (): Expression => {
    const left = this.SUBRULE(this.conditional);
    return (
      this.OPTION(() => {
        const operator = this.pick(ASSIGNMENTS.map((text, i) => ({ ALT: () => this.consume(i + 1, sign[text]) })));
        const right = this.SUBRULE(this.expression);
        return { kind: "assign", operator: operator.image, left, right, ...placeOf(operator) } as const;
      }) ?? left
    );
  });

  protected readonly conditional: ParserMethod<[], Expression> = this.RULE("conditional", (): Expression => {
    const test = this.SUBRULE(this.row);
    return (
      this.OPTION(() => {
        const token = this.CONSUME(sign["?"]);
        const yes = this.SUBRULE(this.conditional);
        this.CONSUME(sign[":"]);
        const no = this.SUBRULE2(this.conditional);
        return { kind: "conditional", test, yes, no, ...placeOf(token) } as const;
      }) ?? test
    );
  });

  protected readonly row: ParserMethod<[], Expression> = this.RULE("row", (): Expression => {
    const operands = [this.SUBRULE(this.unary)];
    const operators: Name[] = [];
    this.MANY(() => {
      operators.push(this.SUBRULE(this.binaryOperator));
      operands.push(this.SUBRULE2(this.unary));
    });
    return this.ACTION(() => folded(operands, operators));
  });

  protected readonly binaryOperator: ParserMethod<[], Name> = this.RULE("binaryOperator", (): Name => {
    const texts = PRECEDENCE.flat().filter((text) => text !== ">>" && text !== ">" && text !== "in");
    return this.pick([
      ...texts.map((text, i) => ({ ALT: () => nameOf(this.consume(i + 1, sign[text])) })),
      { ALT: () => nameOf(this.CONSUME(word.in)) },
      {
        ALT: () => {
          const token = this.CONSUME(sign[">"]);
          const isShift = this.OPTION({
            GATE: () => this.LA(1).startOffset === this.LA(0).startOffset + 1,
            DEF: () => this.CONSUME2(sign[">"]),
          });
          return { ...nameOf(token), text: isShift ? ">>" : ">" };
        },
      },
    ]);
  });

  protected readonly unary: ParserMethod<[], Expression> = this.RULE(
    "unary",
    (): Expression =>
      this.pick([
        { ALT: () => this.SUBRULE(this.prefix) },
        { GATE: () => this.isCast(), ALT: () => this.SUBRULE(this.cast) },
        { ALT: () => this.SUBRULE(this.postfix) },
      ]),
  );

  protected readonly prefix: ParserMethod<[], Expression> = this.RULE("prefix", (): Expression => {
    const token = this.pick(
      ["-", "!", "~", "++", "--"].map((text, i) => ({ ALT: () => this.consume(i + 1, sign[text]) })),
    );
    const operand = this.SUBRULE(this.unary);
    const kind = token.image.length === 2 ? "step" : "unary";
    return { kind, operator: token.image, operand, ...placeOf(token) };
  });

  /** A parenthesis that begins with a word of a type. */
  private isCast(): boolean {
    const next = this.LA(2).tokenType;
    return (
      this.LA(1).tokenType === sign["("] &&
      [Primitive, word.list, word.set, word.map, word.tuple, word.enum].includes(next)
    );
  }

  protected readonly cast: ParserMethod<[], Expression> = this.RULE("cast", (): Expression => {
    const token = this.CONSUME(sign["("]);
    const type = this.SUBRULE(this.typeNode);
    this.CONSUME(sign[")"]);
    const operand = this.SUBRULE(this.unary);
    return { kind: "cast", type, operand, ...placeOf(token) };
  });

  protected readonly postfix: ParserMethod<[], Expression> = this.RULE("postfix", (): Expression => {
    let value = this.SUBRULE(this.primary);
    this.MANY(() => {
      value = this.pick([
        {
          ALT: () => {
            this.CONSUME(sign["."]);
            const name = nameOf(this.CONSUME(Identifier));
            return { kind: "member", object: value, name, line: name.line, column: name.column };
          },
        },
        { ALT: () => this.SUBRULE(this.subscript, { ARGS: [value] }) },
        {
          ALT: () => {
            const token = this.pick(
              [{ ALT: () => this.CONSUME(sign["++"]) }, { ALT: () => this.CONSUME(sign["--"]) }],
              1,
            );
            return { kind: "step", operator: token.image, operand: value, ...placeOf(token) };
          },
        },
      ]);
    });
    return value;
  });

  protected readonly subscript: ParserMethod<[Expression], Expression> = this.RULE(
    "subscript",
    (object: Expression): Expression => {
      const token = this.CONSUME(sign["["]);
      const from = this.OPTION(() => this.SUBRULE(this.conditional));
      const isSlice = this.OPTION2(() => this.CONSUME(sign[":"]));
      const to = this.OPTION3(() => this.SUBRULE2(this.conditional));
      this.CONSUME(sign["]"]);
      if (isSlice || from === undefined) return { kind: "slice", object, from, to, ...placeOf(token) };
      return { kind: "index", object, index: from, ...placeOf(token) };
    },
  );

  protected readonly primary: ParserMethod<[], Expression> = this.RULE(
    "primary",
    (): Expression =>
      this.pick([
        { ALT: () => this.literal(this.CONSUME(NumberLiteral), "number") },
        { ALT: () => this.literal(this.CONSUME(StringLiteral), "string") },
        { ALT: () => this.literal(this.CONSUME(word.true), "boolean") },
        { ALT: () => this.literal(this.CONSUME(word.false), "boolean") },
        {
          ALT: () => {
            const token = this.CONSUME(Parameter);
            return { kind: "name", name: token.image, ...placeOf(token) };
          },
        },
        { ALT: () => this.SUBRULE(this.nameOrCall) },
        {
          ALT: () => {
            this.CONSUME(sign["("]);
            const value = this.SUBRULE(this.expression);
            this.CONSUME(sign[")"]);
            return value;
          },
        },
        {
          ALT: () => {
            const token = this.CONSUME(sign["["]);
            const items = this.SUBRULE(this.expressions);
            this.CONSUME(sign["]"]);
            return { kind: "list", items, ...placeOf(token) };
          },
        },
        { ALT: () => this.SUBRULE(this.curly) },
      ]),
  );

  private literal(token: IToken, kind: string): Expression {
    const type =
      kind === "number"
        ? numberType(token.image)
        : kind === "string"
          ? token.image.endsWith("u")
            ? "ustring"
            : "rstring"
          : kind;
    return { kind: "literal", type, ...placeOf(token) };
  }

  protected readonly nameOrCall: ParserMethod<[], Expression> = this.RULE("nameOrCall", (): Expression => {
    const name = this.SUBRULE(this.qualified);
    const args = this.OPTION(() => {
      this.CONSUME(sign["("]);
      const list = this.SUBRULE(this.expressions);
      this.CONSUME(sign[")"]);
      return list;
    });
    const place = { line: name.line, column: name.column };
    return args ? { kind: "call", name, args, ...place } : { kind: "name", name: name.text, ...place };
  });

  protected readonly expressions: ParserMethod<[], Expression[]> = this.RULE("expressions", (): Expression[] => {
    const list: Expression[] = [];
    this.MANY_SEP({ SEP: sign[","], DEF: () => list.push(this.SUBRULE(this.conditional)) });
    return list;
  });

  /** `name = value, …` */
  protected readonly assignments: ParserMethod<[], Assignment[]> = this.RULE("assignments", (): Assignment[] => {
    const list: Assignment[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: sign[","],
      DEF: () => {
        const name = nameOf(this.CONSUME(Identifier));
        this.CONSUME(sign["="]);
        list.push({ name, value: this.SUBRULE(this.conditional) });
      },
    });
    return list;
  });

  /** A tuple, map or set in curly brackets. */
  protected readonly curly: ParserMethod<[], Expression> = this.RULE("curly", (): Expression => {
    const token = this.CONSUME(sign["{"]);
    const isTuple = this.LA(2).tokenType === sign["="];
    const value = this.pick<Expression>([
      {
        GATE: () => isTuple,
        ALT: () => ({ kind: "tuple", attributes: this.SUBRULE(this.assignments), ...placeOf(token) }),
      },
      { GATE: () => !isTuple, ALT: () => this.SUBRULE(this.mapOrSet, { ARGS: [token] }) },
    ]);
    this.CONSUME(sign["}"]);
    return value;
  });

  protected readonly mapOrSet: ParserMethod<[IToken], Expression> = this.RULE(
    "mapOrSet",
    (token: IToken): Expression => {
      const keys: Expression[] = [];
      const entries: [Expression, Expression][] = [];
      this.MANY_SEP({
        SEP: sign[","],
        DEF: () => {
          const key = this.SUBRULE(this.conditional);
          const value = this.OPTION(() => {
            this.CONSUME(sign[":"]);
            return this.SUBRULE2(this.conditional);
          });
          if (value) entries.push([key, value]);
          else keys.push(key);
        },
      });
      return this.ACTION(() =>
        keys.length > 0 ? { kind: "set", items: keys, ...placeOf(token) } : { kind: "map", entries, ...placeOf(token) },
      );
    },
  );
}
