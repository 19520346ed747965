// Operators at work: ports, clauses, logic.
import type { ParserMethod } from "chevrotain";
import type { Assignment, Declaration, Expression, Invocation, LogicNode, Name, TypeNode } from "./ast.ts";
import { StatementParser } from "./statement-parser.ts";
import { Identifier, sign, keywords as word } from "./tokens.ts";
import { nameOf, placeOf } from "./type-parser.ts";

type Output = Invocation["outputs"][number];
type Annotation = Invocation["annotations"][number];
type Clauses = {
  logic: LogicNode[];
  parameters: { name: Name; values: Expression[] }[];
  assignments: { port: Name; values: Assignment[] }[];
  config: { name: Name; values: Expression[] }[];
};

/** The grammar of a graph. */
export class InvocationParser extends StatementParser {
  protected readonly annotation: ParserMethod<[], Annotation> = this.RULE("annotation", (): Annotation => {
    this.CONSUME(sign["@"]);
    const name = nameOf(this.CONSUME(Identifier));
    const values = this.OPTION(() => {
      this.CONSUME(sign["("]);
      const list = this.SUBRULE(this.assignments);
      this.CONSUME(sign[")"]);
      return list;
    });
    return { name, values: values ?? [] };
  });

  protected readonly output: ParserMethod<[], Output> = this.RULE("output", (): Output => {
    const type = this.SUBRULE(this.streamType);
    const name = nameOf(this.CONSUME(Identifier));
    const alias = this.OPTION(() => this.SUBRULE(this.alias));
    return { type, name, alias };
  });

  protected readonly alias: ParserMethod<[], Name> = this.RULE("alias", (): Name => {
    this.CONSUME(word.as);
    return nameOf(this.CONSUME(Identifier));
  });

  protected readonly invocation: ParserMethod<[], Invocation> = this.RULE("invocation", (): Invocation => {
    const first = this.LA(1);
    const annotations: Annotation[] = [];
    this.MANY(() => annotations.push(this.SUBRULE(this.annotation)));
    const outputs: Output[] = [];
    let alias: Name | undefined;
    this.pick([
      { ALT: () => outputs.push(this.SUBRULE(this.output)) },
      {
        ALT: () => {
          this.CONSUME(sign["("]);
          this.MANY_SEP({ SEP: sign[";"], DEF: () => outputs.push(this.SUBRULE2(this.output)) });
          this.CONSUME(sign[")"]);
          alias = this.OPTION(() => this.SUBRULE(this.alias));
        },
      },
    ]);
    this.CONSUME(sign["="]);
    const operator = this.SUBRULE(this.qualified);
    const inputs: Invocation["inputs"][number][] = [];
    this.CONSUME2(sign["("]);
    this.MANY_SEP2({ SEP: sign[";"], DEF: () => inputs.push(this.SUBRULE(this.inputPort)) });
    this.CONSUME2(sign[")"]);
    const clauses: Clauses = { logic: [], parameters: [], assignments: [], config: [] };
    this.OR2([
      { ALT: () => this.CONSUME(sign[";"]) },
      {
        ALT: () => {
          this.CONSUME(sign["{"]);
          this.MANY2(() => this.SUBRULE(this.clause, { ARGS: [clauses] }));
          this.CONSUME(sign["}"]);
        },
      },
    ]);
    return { annotations, outputs, alias, operator, inputs, ...clauses, ...placeOf(first) };
  });

  protected readonly inputPort: ParserMethod<[], Invocation["inputs"][number]> = this.RULE(
    "inputPort",
    (): Invocation["inputs"][number] => {
      this.OPTION(() => this.SUBRULE(this.streamType));
      const streams: Name[] = [];
      this.AT_LEAST_ONE_SEP({ SEP: sign[","], DEF: () => streams.push(nameOf(this.CONSUME(Identifier))) });
      const alias = this.OPTION2(() => this.SUBRULE(this.alias));
      return { streams, alias };
    },
  );

  protected readonly clause: ParserMethod<[Clauses], void> = this.RULE("clause", (clauses: Clauses): void => {
    this.pick([
      {
        ALT: () => {
          this.CONSUME(word.logic);
          this.AT_LEAST_ONE(() => {
            const part = this.SUBRULE(this.logicPart);
            this.ACTION(() => clauses.logic.push(part));
          });
        },
      },
      {
        ALT: () => {
          this.CONSUME(word.param);
          this.MANY2(() => {
            const parameter = this.SUBRULE(this.valueClause);
            this.ACTION(() => clauses.parameters.push(parameter));
          });
        },
      },
      {
        ALT: () => {
          this.CONSUME(word.output);
          this.AT_LEAST_ONE2(() => {
            const port = nameOf(this.CONSUME(Identifier));
            this.CONSUME(sign[":"]);
            const values = this.SUBRULE(this.assignments);
            this.CONSUME(sign[";"]);
            this.ACTION(() => clauses.assignments.push({ port, values }));
          });
        },
      },
      {
        ALT: () => {
          this.CONSUME(word.config);
          this.MANY4(() => {
            const value = this.SUBRULE2(this.valueClause);
            this.ACTION(() => clauses.config.push(value));
          });
        },
      },
    ]);
  });

  /** `name : value, value;` */
  protected readonly valueClause: ParserMethod<[], { name: Name; values: Expression[] }> = this.RULE(
    "valueClause",
    (): { name: Name; values: Expression[] } => {
      const name = nameOf(this.CONSUME(Identifier));
      this.CONSUME(sign[":"]);
      const values = this.SUBRULE(this.expressions);
      this.CONSUME(sign[";"]);
      return { name, values };
    },
  );

  protected readonly logicPart: ParserMethod<[], LogicNode> = this.RULE(
    "logicPart",
    (): LogicNode =>
      this.pick<LogicNode>([
        {
          ALT: () => {
            this.CONSUME(word.state);
            this.CONSUME(sign[":"]);
            const declarations: Declaration[] = [];
            this.OR2([
              {
                ALT: () => {
                  this.CONSUME(sign["{"]);
                  this.MANY(() => declarations.push(this.SUBRULE(this.declaration)));
                  this.CONSUME(sign["}"]);
                },
              },
              { ALT: () => declarations.push(this.SUBRULE2(this.declaration)) },
            ]);
            return { kind: "state", declarations };
          },
        },
        {
          ALT: () => {
            const token = this.pick(
              [{ ALT: () => this.CONSUME(word.onTuple) }, { ALT: () => this.CONSUME(word.onPunct) }],
              3,
            );
            const port = nameOf(this.CONSUME(Identifier));
            this.CONSUME2(sign[":"]);
            return { kind: token.image as "onTuple" | "onPunct", port, body: this.SUBRULE(this.statement) };
          },
        },
        {
          ALT: () => {
            this.CONSUME(word.onProcess);
            this.CONSUME3(sign[":"]);
            return { kind: "onProcess", body: this.SUBRULE2(this.statement) };
          },
        },
      ]),
  );

  protected readonly streamType: ParserMethod<[], TypeNode> = this.RULE("streamType", (): TypeNode => {
    const token = this.CONSUME(word.stream);
    return { kind: "tuple", parts: this.SUBRULE(this.tupleParts), ...placeOf(token) };
  });
}
