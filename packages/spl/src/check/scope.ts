// What a piece of code sees.
import type { Expression, Place } from "../ast.ts";
import type { ProblemCode } from "../problems.ts";
import type { Type } from "../types.ts";
import type { Program, SourceFile } from "./program.ts";
import type { Signature } from "./signatures.ts";

/** A variable, a port, or a parameter. */
export interface Symbol {
  readonly type: Type;
  readonly isMutable: boolean;
  /** An output port or an input that code may name. */
  readonly role: "variable" | "input" | "output" | "parameter";
}

/** Names by nesting. */
export class Scope {
  readonly program: Program;
  readonly file: SourceFile;
  /** Types and streams by name. */
  readonly local: ReadonlyMap<string, Type>;
  readonly parent: Scope | undefined;
  private readonly symbols = new Map<string, Symbol>();
  /** Attributes that may be named without their stream. */
  attributes: readonly { readonly name: string; readonly type: Type }[] | "any" = [];
  /** Functions of an output clause. */
  functions: readonly Signature[] = [];
  /** What calls in the expression that is being looked at change; nothing between expressions. */
  changed: Expression[] | undefined;
  /** Why stateful functions must not be called; empty where they may. */
  statelessReason = "";

  constructor(program: Program, file: SourceFile, local: ReadonlyMap<string, Type>, parent?: Scope) {
    this.program = program;
    this.file = file;
    this.local = local;
    this.parent = parent;
    if (parent) {
      this.attributes = parent.attributes;
      this.functions = parent.functions;
      this.statelessReason = parent.statelessReason;
    }
  }

  /** A scope inside this one. */
  inner(): Scope {
    return new Scope(this.program, this.file, this.local, this);
  }

  /** Adds a name; reports one that is there already. */
  declare(name: { readonly text: string } & Place, symbol: Symbol): void {
    if (this.symbols.has(name.text))
      this.report(name, "duplicate-name", `expected a new name, got \`${name.text}\` again.`);
    this.symbols.set(name.text, symbol);
  }

  /** Finds a name. */
  find(name: string): Symbol | undefined {
    return this.symbols.get(name) ?? this.parent?.find(name);
  }

  /** Notes a problem in this file. */
  report(place: Place, code: ProblemCode, message: string): void {
    this.program.report(this.file, place, code, message);
  }
}
