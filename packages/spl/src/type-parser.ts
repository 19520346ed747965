// Names and types.
import { EmbeddedActionsParser, type IToken, type ParserMethod } from "chevrotain";
import type { Name, Place, TuplePart, TypeNode } from "./ast.ts";
import { allTokens, Identifier, NumberLiteral, Primitive, sign, keywords as word } from "./tokens.ts";

/** Where a token stands. */
export const placeOf = (token: IToken): Place => ({ line: token.startLine ?? 1, column: token.startColumn ?? 1 });
/** A token as a name. */
export const nameOf = (token: IToken): Name => ({ text: token.image, ...placeOf(token) });

/** The grammar of types. */
export class TypeParser extends EmbeddedActionsParser {
  constructor() {
    super(allTokens, { maxLookahead: 3, recoveryEnabled: false });
  }

  /**
   * `OR` whose alternatives share a type, and of which the first that fits is taken; `index` tells those of one rule apart. While chevrotain records the grammar nothing
   * has a value, so then an empty token stands for it.
   */
  protected pick<T>(alternatives: readonly { ALT: () => T; GATE?: () => boolean }[], index = 0): T {
    const value = this.or(index, { DEF: alternatives, IGNORE_AMBIGUITIES: true } as never);
    return (this.RECORDING_PHASE ? { image: "", text: "" } : value) as T;
  }

  protected readonly qualified: ParserMethod<[], Name> = this.RULE("qualified", (): Name => {
    const first = this.CONSUME(Identifier);
    let text = first.image;
    this.OPTION({
      GATE: () => this.isQualified(),
      DEF: () => {
        this.MANY(() => {
          this.CONSUME(sign["."]);
          text += `.${this.CONSUME2(Identifier).image}`;
        });
        this.CONSUME(sign["::"]);
        text += `::${this.CONSUME3(Identifier).image}`;
      },
    });
    return { ...nameOf(first), text };
  });

  /** Whether a chain `a.b.c` that follows ends in `::`. */
  private isQualified(): boolean {
    let i = 1;
    while (this.LA(i).tokenType === sign["."] && this.LA(i + 1).tokenType === Identifier) i += 2;
    return this.LA(i).tokenType === sign["::"];
  }

  protected readonly typeNode: ParserMethod<[], TypeNode> = this.RULE(
    "typeNode",
    (): TypeNode =>
      this.pick([
        {
          ALT: () => {
            const token = this.CONSUME(Primitive);
            this.OPTION(() => this.bound());
            return { kind: "named", name: token.image, ...placeOf(token) };
          },
        },
        { ALT: () => this.SUBRULE(this.collectionType) },
        {
          ALT: () => {
            const token = this.CONSUME(word.map);
            this.CONSUME(sign["<"]);
            const key = this.SUBRULE(this.typeNode);
            this.CONSUME(sign[","]);
            const value = this.SUBRULE2(this.typeNode);
            this.CONSUME(sign[">"]);
            return { kind: "map", key, value, ...placeOf(token) };
          },
        },
        {
          ALT: () => {
            const token = this.CONSUME(word.tuple);
            return { kind: "tuple", parts: this.SUBRULE(this.tupleParts), ...placeOf(token) };
          },
        },
        { ALT: () => this.SUBRULE(this.enumType) },
        {
          ALT: () => {
            const name = this.SUBRULE(this.qualified);
            return { kind: "named", name: name.text, line: name.line, column: name.column };
          },
        },
      ]),
  );

  private bound(): void {
    this.CONSUME(sign["["]);
    this.CONSUME(NumberLiteral);
    this.CONSUME(sign["]"]);
  }

  protected readonly collectionType: ParserMethod<[], TypeNode> = this.RULE("collectionType", (): TypeNode => {
    const token = this.pick([
      { ALT: () => this.CONSUME(word.list) },
      { ALT: () => this.CONSUME(word.set) },
      { ALT: () => this.CONSUME(word.optional) },
    ]);
    this.CONSUME(sign["<"]);
    const element = this.SUBRULE(this.typeNode);
    this.CONSUME(sign[">"]);
    return { kind: token.image as "list" | "set" | "optional", element, ...placeOf(token) };
  });

  protected readonly enumType: ParserMethod<[], TypeNode> = this.RULE("enumType", (): TypeNode => {
    const token = this.CONSUME(word.enum);
    const values: Name[] = [];
    this.CONSUME(sign["{"]);
    this.AT_LEAST_ONE_SEP({ SEP: sign[","], DEF: () => values.push(nameOf(this.CONSUME(Identifier))) });
    this.CONSUME(sign["}"]);
    return { kind: "enum", values, ...placeOf(token) };
  });

  /** `<` attributes or tuple types `>`, of `tuple` and `stream`. */
  protected readonly tupleParts: ParserMethod<[], TuplePart[]> = this.RULE("tupleParts", (): TuplePart[] => {
    const parts: TuplePart[] = [];
    this.CONSUME(sign["<"]);
    this.MANY_SEP({
      SEP: sign[","],
      DEF: () => {
        const type = this.SUBRULE(this.typeNode);
        const name = this.OPTION(() => nameOf(this.CONSUME(Identifier)));
        parts.push({ type, name });
      },
    });
    this.CONSUME(sign[">"]);
    return parts;
  });
}
