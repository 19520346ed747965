// Statements, functions, types with names.
import type { IToken, ParserMethod } from "chevrotain";
import type { Declaration, FunctionNode, Name, Statement, TypeDefinition, TypeNode } from "./ast.ts";
import { ExpressionParser } from "./expression-parser.ts";
import { Identifier, Primitive, sign, keywords as word } from "./tokens.ts";
import { nameOf, placeOf } from "./type-parser.ts";

/** The grammar of code. `docOf` finds the documentation comment before a token. */
export class StatementParser extends ExpressionParser {
  /** Set before a file is parsed. */
  docOf: (token: IToken) => string | undefined = () => undefined;

  protected readonly typeDefinition: ParserMethod<[], TypeDefinition> = this.RULE(
    "typeDefinition",
    (): TypeDefinition => {
      const token = this.CONSUME(word.type);
      const name = nameOf(this.CONSUME(Identifier));
      this.CONSUME(sign["="]);
      const type = this.SUBRULE(this.typeRow);
      this.CONSUME(sign[";"]);
      return { kind: "type", doc: this.ACTION(() => this.docOf(token)), name, type, ...placeOf(token) };
    },
  );

  /** A type, or attributes without `tuple<…>` around them. */
  protected readonly typeRow: ParserMethod<[], TypeNode> = this.RULE("typeRow", (): TypeNode => {
    const parts: { type: TypeNode; name?: Name }[] = [];
    this.AT_LEAST_ONE_SEP({
      SEP: sign[","],
      DEF: () => {
        const type = this.SUBRULE(this.typeNode);
        parts.push({ type, name: this.OPTION(() => nameOf(this.CONSUME(Identifier))) });
      },
    });
    return this.ACTION(() => {
      const [first] = parts;
      if (parts.length === 1 && first.name === undefined) return first.type;
      return { kind: "tuple", parts, line: first.type.line, column: first.type.column };
    });
  });

  protected readonly functionDefinition: ParserMethod<[], FunctionNode> = this.RULE(
    "functionDefinition",
    (): FunctionNode => {
      const first = this.LA(1);
      let isPublic = false;
      let isStateful = false;
      this.OPTION(() => {
        this.CONSUME(word.public);
        isPublic = true;
      });
      this.OPTION2(() => {
        this.CONSUME(word.stateful);
        isStateful = true;
      });
      const result = this.pick<TypeNode | undefined>([
        { ALT: () => void this.CONSUME(word.void) },
        { ALT: () => this.SUBRULE(this.typeNode) },
      ]);
      const name = nameOf(this.CONSUME(Identifier));
      const parameters: { isMutable: boolean; type: TypeNode; name: Name }[] = [];
      this.CONSUME(sign["("]);
      this.MANY_SEP({
        SEP: sign[","],
        DEF: () => {
          const isMutable = this.OPTION3(() => this.CONSUME(word.mutable)) !== undefined;
          const type = this.SUBRULE2(this.typeNode);
          parameters.push({ isMutable, type, name: nameOf(this.CONSUME2(Identifier)) });
        },
      });
      this.CONSUME(sign[")"]);
      const body = this.SUBRULE(this.block);
      const doc = this.ACTION(() => this.docOf(first));
      return { kind: "function", doc, isPublic, isStateful, result, name, parameters, body, ...placeOf(first) };
    },
  );

  protected readonly block: ParserMethod<[], Statement[]> = this.RULE("block", (): Statement[] => {
    const body: Statement[] = [];
    this.CONSUME(sign["{"]);
    this.MANY(() => body.push(this.SUBRULE(this.statement)));
    this.CONSUME(sign["}"]);
    return body;
  });

  /** Whether a declaration follows: a word of a type, or two names in a row. */
  private startsDeclaration(): boolean {
    const next = this.LA(1).tokenType;
    if ([word.mutable, Primitive, word.list, word.set, word.map, word.tuple, word.enum].includes(next)) return true;
    if (next !== Identifier) return false;
    let i = 2;
    while (this.LA(i).tokenType === sign["."] || this.LA(i).tokenType === sign["::"]) i += 2;
    return this.LA(i).tokenType === Identifier;
  }

  protected readonly statement: ParserMethod<[], Statement> = this.RULE("statement", (): Statement => {
    const first = this.LA(1);
    const place = placeOf(first);
    return this.pick<Statement>([
      { GATE: () => this.startsDeclaration(), ALT: () => this.SUBRULE(this.declaration) },
      { ALT: () => ({ kind: "block", body: this.SUBRULE(this.block), ...place }) },
      { ALT: () => this.SUBRULE(this.ifStatement) },
      {
        ALT: () => {
          this.CONSUME(word.while);
          this.CONSUME(sign["("]);
          const test = this.SUBRULE(this.expression);
          this.CONSUME(sign[")"]);
          return { kind: "while", test, body: this.SUBRULE(this.statement), ...place };
        },
      },
      { ALT: () => this.SUBRULE(this.forStatement) },
      {
        ALT: () => {
          this.CONSUME(word.return);
          const value = this.OPTION(() => this.SUBRULE2(this.expression));
          this.CONSUME(sign[";"]);
          return { kind: "return", value, ...place };
        },
      },
      {
        ALT: () => {
          const token = this.pick(
            [{ ALT: () => this.CONSUME(word.break) }, { ALT: () => this.CONSUME(word.continue) }],
            1,
          );
          this.CONSUME2(sign[";"]);
          return { kind: token.image as "break" | "continue", ...place };
        },
      },
      {
        ALT: () => {
          const value = this.SUBRULE3(this.expression);
          this.CONSUME3(sign[";"]);
          return { kind: "expression", value, ...place };
        },
      },
    ]);
  });

  protected readonly declaration: ParserMethod<[], Declaration> = this.RULE("declaration", (): Declaration => {
    const first = this.LA(1);
    const isMutable = this.OPTION(() => this.CONSUME(word.mutable)) !== undefined;
    const type = this.SUBRULE(this.typeNode);
    const name = nameOf(this.CONSUME(Identifier));
    const value = this.OPTION2(() => {
      this.CONSUME(sign["="]);
      return this.SUBRULE(this.expression);
    });
    this.CONSUME(sign[";"]);
    return { kind: "declare", isMutable, type, name, value, ...placeOf(first) };
  });

  protected readonly ifStatement: ParserMethod<[], Statement> = this.RULE("ifStatement", (): Statement => {
    const token = this.CONSUME(word.if);
    this.CONSUME(sign["("]);
    const test = this.SUBRULE(this.expression);
    this.CONSUME(sign[")"]);
    const yes = this.SUBRULE(this.statement);
    const no = this.OPTION({
      GATE: () => this.LA(1).tokenType === word.else,
      DEF: () => {
        this.CONSUME(word.else);
        return this.SUBRULE2(this.statement);
      },
    });
    return { kind: "if", test, yes, no, ...placeOf(token) };
  });

  protected readonly forStatement: ParserMethod<[], Statement> = this.RULE("forStatement", (): Statement => {
    const token = this.CONSUME(word.for);
    this.CONSUME(sign["("]);
    const type = this.SUBRULE(this.typeNode);
    const name = nameOf(this.CONSUME(Identifier));
    this.CONSUME(word.in);
    const over = this.SUBRULE(this.expression);
    this.CONSUME(sign[")"]);
    const body = this.SUBRULE(this.statement);
    return { kind: "for", type, name, over, body, ...placeOf(token) };
  });
}
