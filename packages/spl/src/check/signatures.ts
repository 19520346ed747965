// Signatures of functions, and which of them a call means.

import type { TypeNode } from "../ast.ts";
import { parseSpl } from "../parse.ts";
import { ANY, fits, isInteger, isNumber, isText, primitive, type Type, typeText, VOID } from "../types.ts";

/** A function as calls see it. Names of open types are in `open`. */
export interface Signature {
  readonly name: string;
  readonly isStateful: boolean;
  readonly result: Type;
  readonly parameters: readonly { readonly type: Type; readonly isMutable: boolean; readonly isStream: boolean }[];
}

const OPEN = /^[A-Z]+$/;

/** Parses the compact form of the library's tables. */
export function parseSignatures(table: string): Signature[] {
  return table
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      const [, stateful, result, name, list] = /^(!?)(.+) (\w+)\((.*)\)$/.exec(line) ?? [];
      if (name === undefined) throw new Error(`library: expected a signature, got ${line}.`);
      return {
        name,
        isStateful: stateful === "!",
        result: result === "void" ? VOID : libraryType(result),
        parameters: splitTypes(list).map((text) => ({
          type: text === "stream" ? ANY : libraryType(text.replace(/^&/, "")),
          isMutable: text.startsWith("&"),
          isStream: text === "stream",
        })),
      };
    });
}

function splitTypes(list: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  for (const piece of list.split(/(?=[,<>{}])/)) {
    if (/^[<{]/.test(piece)) depth++;
    if (/^[>}]/.test(piece)) depth--;
    if (depth === 0 && piece.startsWith(",")) parts.push(piece.slice(1));
    else parts.push((parts.pop() ?? "") + piece);
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** Open types stand as tuples with one attribute of that name: they never meet real ones. */
const open = (name: string): Type => ({ kind: "enum", values: [`?${name}`] });
const openName = (type: Type): string | undefined =>
  type.kind === "enum" && type.values[0]?.startsWith("?") ? type.values[0].slice(1) : undefined;

function libraryType(text: string): Type {
  const { tree } = parseSpl("library", `type X = ${text};`);
  const definition = tree?.definitions[0];
  if (definition?.kind !== "type") throw new Error(`library: expected a type, got ${text}.`);
  return convert(definition.type);
}

function convert(node: TypeNode): Type {
  switch (node.kind) {
    case "named":
      return OPEN.test(node.name) ? open(node.name) : primitive(node.name);
    case "list":
    case "set":
    case "optional":
      return { kind: node.kind, element: convert(node.element) };
    case "map":
      return { kind: "map", key: convert(node.key), value: convert(node.value) };
    case "enum":
      return { kind: "enum", values: node.values.map((value) => value.text) };
    default:
      return {
        kind: "tuple",
        attributes: node.parts.map((p) => ({ name: p.name?.text ?? "", type: convert(p.type) })),
      };
  }
}

function allows(name: string, type: Type): boolean {
  if (name.startsWith("NUM")) return isNumber(type);
  if (name.startsWith("INT")) return isInteger(type);
  if (name.startsWith("FLT")) return type.kind === "any" || /^float/.test(typeText(type));
  if (name.startsWith("STR")) return isText(type);
  if (name.startsWith("TUP")) return type.kind === "tuple" || type.kind === "any";
  return true;
}

/** Matches a parameter's type, noting what open types stand for. */
function matches(asked: Type, given: Type, bound: Map<string, Type>): boolean {
  const name = openName(asked);
  if (name !== undefined) {
    const known = bound.get(name);
    if (known && known.kind !== "any") return fits(given, known);
    bound.set(name, given);
    return allows(name, given);
  }
  if (given.kind === "any") return true;
  if ((asked.kind === "list" || asked.kind === "set" || asked.kind === "optional") && given.kind === asked.kind) {
    return matches(asked.element, given.element, bound);
  }
  if (asked.kind === "map" && given.kind === "map")
    return matches(asked.key, given.key, bound) && matches(asked.value, given.value, bound);
  return fits(given, asked);
}

function resolved(type: Type, bound: Map<string, Type>): Type {
  const name = openName(type);
  if (name !== undefined) return bound.get(name) ?? ANY;
  if (type.kind === "list" || type.kind === "set" || type.kind === "optional")
    return { kind: type.kind, element: resolved(type.element, bound) };
  if (type.kind === "map") return { kind: "map", key: resolved(type.key, bound), value: resolved(type.value, bound) };
  return type;
}

/** The signature that takes these arguments, and the type that it gives. */
export function chooseSignature(
  candidates: readonly Signature[],
  args: readonly Type[],
): { signature: Signature; result: Type } | undefined {
  for (const signature of candidates) {
    if (signature.parameters.length !== args.length) continue;
    const bound = new Map<string, Type>();
    if (signature.parameters.every((p, i) => matches(p.type, args[i], bound)))
      return { signature, result: resolved(signature.result, bound) };
  }
  return undefined;
}
