// The syntax tree of SPL, as far as our toolkit uses the language.

/** A place in a file; lines and columns count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A name where it stands. */
export interface Name extends Place {
  readonly text: string;
}

/** A type as written. */
export type TypeNode = Place &
  (
    | { readonly kind: "named"; readonly name: string }
    | { readonly kind: "list" | "set" | "optional"; readonly element: TypeNode }
    | { readonly kind: "map"; readonly key: TypeNode; readonly value: TypeNode }
    | { readonly kind: "tuple"; readonly parts: readonly TuplePart[] }
    | { readonly kind: "enum"; readonly values: readonly Name[] }
  );

/** An attribute of a tuple type, or another tuple type whose attributes it takes over. */
export interface TuplePart {
  readonly type: TypeNode;
  readonly name?: Name;
}

/** An expression. */
export type Expression = Place &
  (
    | { readonly kind: "literal"; readonly type: string }
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "member"; readonly object: Expression; readonly name: Name }
    | { readonly kind: "call"; readonly name: Name; readonly args: readonly Expression[] }
    | { readonly kind: "index"; readonly object: Expression; readonly index: Expression }
    | { readonly kind: "slice"; readonly object: Expression; readonly from?: Expression; readonly to?: Expression }
    | { readonly kind: "unary"; readonly operator: string; readonly operand: Expression }
    | { readonly kind: "step"; readonly operator: string; readonly operand: Expression }
    | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
    | { readonly kind: "assign"; readonly operator: string; readonly left: Expression; readonly right: Expression }
    | { readonly kind: "conditional"; readonly test: Expression; readonly yes: Expression; readonly no: Expression }
    | { readonly kind: "cast"; readonly type: TypeNode; readonly operand: Expression }
    | { readonly kind: "list"; readonly items: readonly Expression[] }
    | { readonly kind: "set"; readonly items: readonly Expression[] }
    | { readonly kind: "map"; readonly entries: readonly (readonly [Expression, Expression])[] }
    | { readonly kind: "tuple"; readonly attributes: readonly Assignment[] }
  );

/** `name = value`, in a tuple literal or an output clause. */
export interface Assignment {
  readonly name: Name;
  readonly value: Expression;
}

/** A local variable. */
export interface Declaration extends Place {
  readonly kind: "declare";
  readonly isMutable: boolean;
  readonly type: TypeNode;
  readonly name: Name;
  readonly value?: Expression;
}

/** A statement. */
export type Statement =
  | Declaration
  | (Place &
      (
        | { readonly kind: "expression"; readonly value: Expression }
        | { readonly kind: "block"; readonly body: readonly Statement[] }
        | { readonly kind: "if"; readonly test: Expression; readonly yes: Statement; readonly no?: Statement }
        | { readonly kind: "while"; readonly test: Expression; readonly body: Statement }
        | {
            readonly kind: "for";
            readonly type: TypeNode;
            readonly name: Name;
            readonly over: Expression;
            readonly body: Statement;
          }
        | { readonly kind: "return"; readonly value?: Expression }
        | { readonly kind: "break" | "continue" }
      ));

/** A function. */
export interface FunctionNode extends Place {
  readonly kind: "function";
  readonly doc: string | undefined;
  readonly isStateful: boolean;
  readonly isPublic: boolean;
  /** Without one for `void`. */
  readonly result?: TypeNode;
  readonly name: Name;
  readonly parameters: readonly { readonly isMutable: boolean; readonly type: TypeNode; readonly name: Name }[];
  readonly body: readonly Statement[];
}

/** A type with a name. */
export interface TypeDefinition extends Place {
  readonly kind: "type";
  readonly doc: string | undefined;
  readonly name: Name;
  readonly type: TypeNode;
}

/** A port of a composite; inputs may leave their type open. */
export interface CompositePort {
  readonly type?: TypeNode;
  readonly name: Name;
}

/** A parameter of a composite. */
export interface CompositeParameter extends Place {
  readonly mode: string;
  readonly type?: TypeNode;
  /** With its `$`. */
  readonly name: Name;
  readonly default?: Expression;
}

/** A composite operator. */
export interface CompositeNode extends Place {
  readonly kind: "composite";
  readonly doc: string | undefined;
  readonly isPublic: boolean;
  readonly name: Name;
  readonly inputs: readonly CompositePort[];
  readonly outputs: readonly CompositePort[];
  readonly parameters: readonly CompositeParameter[];
  readonly types: readonly TypeDefinition[];
  readonly graph: readonly Invocation[];
}

/** An operator at work. */
export interface Invocation extends Place {
  readonly annotations: readonly { readonly name: Name; readonly values: readonly Assignment[] }[];
  readonly outputs: readonly { readonly type: TypeNode; readonly name: Name; readonly alias?: Name }[];
  readonly alias?: Name;
  readonly operator: Name;
  readonly inputs: readonly { readonly streams: readonly Name[]; readonly alias?: Name }[];
  readonly logic: readonly LogicNode[];
  readonly parameters: readonly { readonly name: Name; readonly values: readonly Expression[] }[];
  readonly assignments: readonly { readonly port: Name; readonly values: readonly Assignment[] }[];
  readonly config: readonly { readonly name: Name; readonly values: readonly Expression[] }[];
}

/** A part of a logic clause. */
export type LogicNode =
  | { readonly kind: "state"; readonly declarations: readonly Declaration[] }
  | { readonly kind: "onTuple" | "onPunct"; readonly port: Name; readonly body: Statement }
  | { readonly kind: "onProcess"; readonly body: Statement };

/** A file. */
export interface FileNode {
  readonly namespace: string;
  readonly doc: string | undefined;
  readonly uses: readonly { readonly namespace: string; readonly name: Name }[];
  readonly definitions: readonly (CompositeNode | FunctionNode | TypeDefinition)[];
}
