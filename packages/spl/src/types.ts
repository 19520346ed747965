// Types as values: equality by structure, as SPL has it.

/** A type. `any` is what is not known; it fits everything. */
export type Type =
  | { readonly kind: "primitive"; readonly name: string }
  | { readonly kind: "list" | "set" | "optional"; readonly element: Type }
  | { readonly kind: "map"; readonly key: Type; readonly value: Type }
  | { readonly kind: "tuple"; readonly attributes: readonly Attribute[] }
  | { readonly kind: "enum"; readonly values: readonly string[] }
  | { readonly kind: "any" | "void" };

/** An attribute of a tuple. */
export interface Attribute {
  readonly name: string;
  readonly type: Type;
}

/** What is not known. */
export const ANY: Type = { kind: "any" };
/** No value. */
export const VOID: Type = { kind: "void" };
/** A simple type by its name. */
export const primitive = (name: string): Type => ({ kind: "primitive", name });
/** `boolean`. */
export const BOOLEAN = primitive("boolean");

/** A type as SPL writes it. */
export function typeText(type: Type): string {
  switch (type.kind) {
    case "primitive":
      return type.name;
    case "list":
    case "set":
    case "optional":
      return `${type.kind}<${typeText(type.element)}>`;
    case "map":
      return `map<${typeText(type.key)},${typeText(type.value)}>`;
    case "tuple":
      return `tuple<${type.attributes.map((a) => `${typeText(a.type)} ${a.name}`).join(", ")}>`;
    case "enum":
      return `enum{${type.values.join(",")}}`;
    default:
      return type.kind;
  }
}

/** Whether a value of one type can stand where the other is asked for: SPL converts nothing on its own. */
export function fits(from: Type, to: Type): boolean {
  if (from.kind === "any" || to.kind === "any") return true;
  switch (to.kind) {
    case "primitive":
      return from.kind === "primitive" && from.name === to.name;
    case "list":
    case "set":
    case "optional":
      return from.kind === to.kind && fits(from.element, to.element);
    case "map":
      return from.kind === "map" && fits(from.key, to.key) && fits(from.value, to.value);
    case "enum":
      return from.kind === "enum" && from.values.join() === to.values.join();
    case "tuple":
      return (
        from.kind === "tuple" &&
        from.attributes.length === to.attributes.length &&
        to.attributes.every((a, i) => from.attributes[i].name === a.name && fits(from.attributes[i].type, a.type))
      );
    default:
      return from.kind === to.kind;
  }
}

/** Whether a type is a number. */
export const isNumber = (type: Type): boolean =>
  type.kind === "any" || (type.kind === "primitive" && /^u?int|^float/.test(type.name));
/** Whether a type is a whole number. */
export const isInteger = (type: Type): boolean =>
  type.kind === "any" || (type.kind === "primitive" && /^u?int/.test(type.name));
/** Whether a type is a text. */
export const isText = (type: Type): boolean =>
  type.kind === "any" || (type.kind === "primitive" && /string$/.test(type.name));
