// Files and composites.
import type { ParserMethod } from "chevrotain";
import type {
  CompositeNode,
  CompositeParameter,
  CompositePort,
  FileNode,
  FunctionNode,
  Invocation,
  Name,
  TypeDefinition,
} from "./ast.ts";
import { InvocationParser } from "./invocation-parser.ts";
import { Identifier, Parameter, sign, keywords as word } from "./tokens.ts";
import { nameOf, placeOf } from "./type-parser.ts";

/** The whole grammar. */
export class ProgramParser extends InvocationParser {
  constructor() {
    super();
    this.performSelfAnalysis();
  }

  /** A file. */
  readonly file: ParserMethod<[], FileNode> = this.RULE("file", (): FileNode => {
    let namespace = "";
    let doc: string | undefined;
    const uses: { namespace: string; name: Name }[] = [];
    const definitions: (CompositeNode | FunctionNode | TypeDefinition)[] = [];
    this.OPTION(() => {
      const token = this.CONSUME(word.namespace);
      namespace = this.SUBRULE(this.dotted);
      this.CONSUME(sign[";"]);
      doc = this.ACTION(() => this.docOf(token));
    });
    this.MANY(() => uses.push(this.SUBRULE(this.use)));
    this.MANY2(() => {
      definitions.push(
        this.pick<CompositeNode | FunctionNode | TypeDefinition>([
          { GATE: () => this.startsComposite(), ALT: () => this.SUBRULE(this.composite) },
          { ALT: () => this.SUBRULE(this.typeDefinition) },
          { ALT: () => this.SUBRULE(this.functionDefinition) },
        ]),
      );
    });
    return { namespace, doc, uses, definitions };
  });

  protected readonly dotted: ParserMethod<[], string> = this.RULE("dotted", (): string => {
    let text = this.CONSUME(Identifier).image;
    this.MANY(() => {
      this.CONSUME(sign["."]);
      text += `.${this.CONSUME2(Identifier).image}`;
    });
    return text;
  });

  protected readonly use: ParserMethod<[], { namespace: string; name: Name }> = this.RULE(
    "use",
    (): { namespace: string; name: Name } => {
      this.CONSUME(word.use);
      const namespace = this.SUBRULE(this.dotted);
      this.CONSUME(sign["::"]);
      const token = this.pick([{ ALT: () => this.CONSUME(sign["*"]) }, { ALT: () => this.CONSUME(Identifier) }]);
      this.CONSUME(sign[";"]);
      return { namespace, name: nameOf(token) };
    },
  );

  private startsComposite(): boolean {
    const next = this.LA(1).tokenType;
    return (
      next === sign["@"] || next === word.composite || (next === word.public && this.LA(2).tokenType === word.composite)
    );
  }

  protected readonly composite: ParserMethod<[], CompositeNode> = this.RULE("composite", (): CompositeNode => {
    const first = this.LA(1);
    this.MANY(() => this.SUBRULE(this.annotation));
    const isPublic = this.OPTION(() => this.CONSUME(word.public)) !== undefined;
    this.CONSUME(word.composite);
    const name = nameOf(this.CONSUME(Identifier));
    const inputs: CompositePort[] = [];
    const outputs: CompositePort[] = [];
    this.OPTION2(() => {
      this.CONSUME(sign["("]);
      this.MANY_SEP({
        SEP: sign[";"],
        DEF: () =>
          this.pick([
            {
              ALT: () => {
                this.CONSUME(word.input);
                const ports = this.SUBRULE(this.compositePorts);
                this.ACTION(() => inputs.push(...ports));
              },
            },
            {
              ALT: () => {
                this.CONSUME(word.output);
                const ports = this.SUBRULE2(this.compositePorts);
                this.ACTION(() => outputs.push(...ports));
              },
            },
          ]),
      });
      this.CONSUME(sign[")"]);
    });
    const parameters: CompositeParameter[] = [];
    const types: TypeDefinition[] = [];
    const graph: Invocation[] = [];
    this.CONSUME(sign["{"]);
    this.MANY2(() => this.SUBRULE(this.section, { ARGS: [parameters, types, graph] }));
    this.CONSUME(sign["}"]);
    const doc = this.ACTION(() => this.docOf(first));
    return { kind: "composite", doc, isPublic, name, inputs, outputs, parameters, types, graph, ...placeOf(first) };
  });

  protected readonly section: ParserMethod<[CompositeParameter[], TypeDefinition[], Invocation[]], void> = this.RULE(
    "section",
    (parameters: CompositeParameter[], types: TypeDefinition[], graph: Invocation[]): void => {
      this.pick([
        {
          ALT: () => {
            this.CONSUME(word.param);
            this.MANY({
              // `type` also begins the next section.
              GATE: () => this.LA(1).tokenType !== word.type || this.LA(2).tokenType === Parameter,
              DEF: () => {
                const parameter = this.SUBRULE(this.compositeParameter);
                this.ACTION(() => parameters.push(parameter));
              },
            });
          },
        },
        {
          ALT: () => {
            this.CONSUME(word.type);
            this.MANY2(() => {
              const type = this.SUBRULE(this.localType);
              this.ACTION(() => types.push(type));
            });
          },
        },
        {
          ALT: () => {
            this.CONSUME(word.graph);
            this.MANY3(() => {
              const invocation = this.SUBRULE(this.invocation);
              this.ACTION(() => graph.push(invocation));
            });
          },
        },
        {
          ALT: () => {
            this.CONSUME(word.config);
            this.MANY4(() => this.SUBRULE(this.valueClause));
          },
        },
      ]);
    },
  );

  protected readonly compositePorts: ParserMethod<[], CompositePort[]> = this.RULE(
    "compositePorts",
    (): CompositePort[] => {
      const ports: CompositePort[] = [];
      this.AT_LEAST_ONE_SEP({
        SEP: sign[","],
        DEF: () => {
          const type = this.OPTION(() => this.SUBRULE(this.streamType));
          ports.push({ type, name: nameOf(this.CONSUME(Identifier)) });
        },
      });
      return ports;
    },
  );

  protected readonly compositeParameter: ParserMethod<[], CompositeParameter> = this.RULE(
    "compositeParameter",
    (): CompositeParameter => {
      const token = this.pick([
        { ALT: () => this.CONSUME(word.expression) },
        { ALT: () => this.CONSUME(word.attribute) },
        { ALT: () => this.CONSUME(word.operator) },
        { ALT: () => this.CONSUME(word.function) },
        { ALT: () => this.CONSUME(word.type) },
      ]);
      const type = this.OPTION(() => {
        this.CONSUME(sign["<"]);
        const written = this.SUBRULE(this.typeNode);
        this.CONSUME(sign[">"]);
        return written;
      });
      const name = nameOf(this.CONSUME(Parameter));
      const value = this.OPTION2(() => {
        this.CONSUME(sign[":"]);
        return this.SUBRULE(this.expression);
      });
      this.CONSUME(sign[";"]);
      return { mode: token.image, type, name, default: value, ...placeOf(token) };
    },
  );

  protected readonly localType: ParserMethod<[], TypeDefinition> = this.RULE("localType", (): TypeDefinition => {
    this.OPTION(() => this.CONSUME(word.static));
    const token = this.CONSUME(Identifier);
    this.CONSUME(sign["="]);
    const type = this.SUBRULE(this.typeRow);
    this.CONSUME(sign[";"]);
    return { kind: "type", doc: this.ACTION(() => this.docOf(token)), name: nameOf(token), type, ...placeOf(token) };
  });
}
