// All files together: what is defined where, and what a file sees.
import type { CompositeNode, FileNode, FunctionNode, Name, Place, TypeDefinition, TypeNode } from "../ast.ts";
import { FILE_FUNCTIONS, FUNCTIONS } from "../library/functions.ts";
import type { Problem, ProblemCode } from "../problems.ts";
import { PRIMITIVES } from "../tokens.ts";
import { ANY, primitive, type Type, VOID } from "../types.ts";
import { parseSignatures, type Signature } from "./signatures.ts";

/** A parsed file. */
export interface SourceFile {
  readonly path: string;
  readonly tree: FileNode;
}

/** Something with a name at the top of a file. */
export type Definition = { readonly file: SourceFile } & (
  | { readonly kind: "composite"; readonly node: CompositeNode }
  | { readonly kind: "function"; readonly node: FunctionNode; readonly signature: Signature }
  | { readonly kind: "type"; readonly node: TypeDefinition }
);

const BUILT_IN = parseSignatures(FUNCTIONS);
const FILES = parseSignatures(FILE_FUNCTIONS);

/** The program. */
export class Program {
  readonly problems: Problem[] = [];
  /** By `namespace::name`; functions may share one. */
  private readonly definitions = new Map<string, Definition[]>();
  private readonly namespaces = new Set(["spl", "spl.file"]);
  readonly files: readonly SourceFile[];

  constructor(files: readonly SourceFile[]) {
    this.files = files;
    for (const file of files) this.namespaces.add(file.tree.namespace);
    for (const file of files) for (const node of file.tree.definitions) this.define(file, node);
    for (const file of files) this.checkUses(file);
  }

  /** Notes a problem. */
  report(file: SourceFile, place: Place, code: ProblemCode, message: string): void {
    this.problems.push({ file: file.path, line: place.line, column: place.column, code, message });
  }

  private define(file: SourceFile, node: CompositeNode | FunctionNode | TypeDefinition): void {
    const key = `${file.tree.namespace}::${node.name.text}`;
    const others = this.definitions.get(key) ?? [];
    if (others.some((other) => other.kind !== "function" || node.kind !== "function")) {
      this.report(file, node.name, "duplicate-name", `expected one definition of \`${node.name.text}\`, got another.`);
    }
    const empty: Signature = { name: node.name.text, isStateful: false, result: ANY, parameters: [] };
    const definition =
      node.kind === "function" ? { kind: node.kind, node, file, signature: empty } : { kind: node.kind, node, file };
    this.definitions.set(key, [...others, definition as Definition]);
  }

  private checkUses(file: SourceFile): void {
    for (const { namespace, name } of file.tree.uses) {
      if (!this.namespaces.has(namespace)) {
        this.report(file, name, "unknown-namespace", `expected a namespace of these sources, got \`${namespace}\`.`);
      } else if (name.text !== "*" && !this.definitions.has(`${namespace}::${name.text}`)) {
        this.report(file, name, "unknown-name", `\`${namespace}\` has no \`${name.text}\`.`);
      }
    }
  }

  /** What a name means in a file. */
  find(file: SourceFile, name: string): readonly Definition[] {
    if (name.includes("::")) return this.definitions.get(name) ?? [];
    const own = this.definitions.get(`${file.tree.namespace}::${name}`);
    if (own) return own;
    for (const use of file.tree.uses) {
      if (use.name.text !== "*" && use.name.text !== name) continue;
      const found = this.definitions.get(`${use.namespace}::${name}`);
      if (found) return found;
    }
    return [];
  }

  /** Signatures under a name. */
  functions(file: SourceFile, name: string): readonly Signature[] {
    const own = this.find(file, name).flatMap((d) => (d.kind === "function" ? [this.signatureOf(d)] : []));
    const usesFiles = file.tree.uses.some((use) => use.namespace === "spl.file");
    return [...own, ...[...BUILT_IN, ...(usesFiles ? FILES : [])].filter((signature) => signature.name === name)];
  }

  private signatureOf(definition: Definition & { kind: "function" }): Signature {
    const { node, file } = definition;
    const scope = { file, local: new Map<string, Type>() };
    return {
      name: node.name.text,
      isStateful: node.isStateful,
      result: node.result ? this.resolve(node.result, scope, true) : VOID,
      parameters: node.parameters.map((p) => ({
        type: this.resolve(p.type, scope, true),
        isMutable: p.isMutable,
        isStream: false,
      })),
    };
  }

  /** The type that a written one means. `local` holds types and streams of a composite. */
  resolve(node: TypeNode, scope: { file: SourceFile; local: ReadonlyMap<string, Type> }, isQuiet = false): Type {
    switch (node.kind) {
      case "list":
      case "set":
      case "optional":
        return { kind: node.kind, element: this.resolve(node.element, scope, isQuiet) };
      case "map":
        return {
          kind: "map",
          key: this.resolve(node.key, scope, isQuiet),
          value: this.resolve(node.value, scope, isQuiet),
        };
      case "enum":
        return { kind: "enum", values: node.values.map((value) => value.text) };
      case "tuple":
        return this.resolveTuple(node, scope, isQuiet);
      default:
        return this.resolveName(node.name, node, scope, isQuiet);
    }
  }

  private resolveTuple(
    node: TypeNode & { kind: "tuple" },
    scope: { file: SourceFile; local: ReadonlyMap<string, Type> },
    isQuiet: boolean,
  ): Type {
    const attributes: { name: string; type: Type }[] = [];
    for (const part of node.parts) {
      const type = this.resolve(part.type, scope, isQuiet);
      if (part.name) {
        if (attributes.some((a) => a.name === part.name?.text) && !isQuiet) {
          this.report(
            scope.file,
            part.name,
            "duplicate-attribute",
            `expected one attribute \`${part.name.text}\`, got another.`,
          );
        }
        attributes.push({ name: part.name.text, type });
      } else if (type.kind === "tuple") attributes.push(...type.attributes);
      else if (type.kind === "any") return ANY;
      else if (!isQuiet)
        this.report(scope.file, part.type, "unknown-type", "expected a tuple type or an attribute with a name.");
    }
    return { kind: "tuple", attributes };
  }

  private resolveName(
    name: string,
    place: Place,
    scope: { file: SourceFile; local: ReadonlyMap<string, Type> },
    isQuiet: boolean,
  ): Type {
    if (PRIMITIVES.includes(name)) return primitive(name);
    const local = scope.local.get(name);
    if (local) return local;
    const [found] = this.find(scope.file, name);
    if (found?.kind === "type") return this.resolve(found.node.type, { file: found.file, local: new Map() }, true);
    if (!isQuiet) this.report(scope.file, place, "unknown-type", `expected a type, got \`${name}\`.`);
    return ANY;
  }

  /** The enums of types that a file sees, for values that stand alone. */
  enumsWith(file: SourceFile, value: string): Type[] {
    const result: Type[] = [];
    for (const [key, list] of this.definitions) {
      const [namespace, name] = key.split("::");
      if (
        namespace !== file.tree.namespace &&
        !file.tree.uses.some((u) => u.namespace === namespace && ["*", name].includes(u.name.text))
      )
        continue;
      for (const d of list) {
        if (
          d.kind === "type" &&
          d.node.type.kind === "enum" &&
          d.node.type.values.some((v: Name) => v.text === value)
        ) {
          result.push(this.resolve(d.node.type, { file: d.file, local: new Map() }, true));
        }
      }
    }
    return result;
  }
}
