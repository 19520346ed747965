// Types of expressions.
import type { Expression } from "../ast.ts";
import { ENUM_VALUES } from "../library/functions.ts";
import { ANY, BOOLEAN, fits, isInteger, isNumber, isText, primitive, type Type, typeText } from "../types.ts";
import { reportAliases } from "./aliases.ts";
import type { Scope } from "./scope.ts";
import { chooseSignature } from "./signatures.ts";

const INT32 = primitive("int32");
const isLiteralContainer = (e: Expression) =>
  (e.kind === "list" && e.items.length === 0) || (e.kind === "map" && e.entries.length === 0);

/** The type of an expression. `wanted` helps where a literal leaves it open. */
export function typeOf(e: Expression, scope: Scope, wanted: Type = ANY): Type {
  if (scope.changed) return partType(e, scope, wanted);
  scope.changed = [];
  const type = partType(e, scope, wanted);
  reportAliases(e, scope.changed, scope);
  scope.changed = undefined;
  return type;
}

function partType(e: Expression, scope: Scope, wanted: Type): Type {
  switch (e.kind) {
    case "literal":
      return primitive(e.type);
    case "name":
      return nameType(e, scope);
    case "member":
      return memberType(e, scope);
    case "call":
      return callType(e, scope);
    case "index":
    case "slice":
      return elementType(e, scope);
    case "unary":
      return unaryType(e, scope);
    case "step":
      requireMutable(e.operand, scope);
      return typeOf(e.operand, scope);
    case "binary":
      return binaryType(e, scope);
    case "assign":
      return assignType(e, scope);
    case "conditional":
      return conditionalType(e, scope, wanted);
    case "cast": {
      const target = scope.program.resolve(e.type, scope);
      typeOf(e.operand, scope, target);
      return target;
    }
    default:
      return literalType(e, scope, wanted);
  }
}

/** Reports where an expression has not the type that is asked for. */
export function requireType(e: Expression, wanted: Type, scope: Scope, what: string): void {
  const type = typeOf(e, scope, wanted);
  if (!fits(type, wanted)) {
    scope.report(
      e,
      "type-mismatch",
      `${what}: expected ${typeText(wanted)}, got ${typeText(type)}. Cast it, or change the type.`,
    );
  }
}

/** Reports a condition that is no boolean. */
export function requireCondition(e: Expression, scope: Scope): void {
  const type = typeOf(e, scope);
  if (!fits(type, BOOLEAN)) scope.report(e, "condition-type", `condition: expected boolean, got ${typeText(type)}.`);
}

function nameType(e: Expression & { kind: "name" }, scope: Scope): Type {
  const symbol = scope.find(e.name);
  if (symbol) return symbol.type;
  if (scope.attributes === "any") return ANY;
  const attribute = scope.attributes.find((a) => a.name === e.name);
  if (attribute) return attribute.type;
  const enums = scope.program.enumsWith(scope.file, e.name);
  if (enums.length > 0) return enums[0];
  const kind = e.name.startsWith("$")
    ? "a parameter of the composite"
    : "a variable, attribute or value that is known here";
  scope.report(e, "unknown-name", `expected ${kind}, got \`${e.name}\`.`);
  return ANY;
}

function memberType(e: Expression & { kind: "member" }, scope: Scope): Type {
  const { object, name } = e;
  if (object.kind === "name" && ENUM_VALUES[object.name] && !scope.find(object.name)) {
    const values = ENUM_VALUES[object.name].find((list) => list.includes(name.text));
    if (values) return { kind: "enum", values };
    scope.report(name, "unknown-name", `expected a value of \`${object.name}\`, got \`${name.text}\`.`);
    return ANY;
  }
  const type = typeOf(object, scope);
  if (type.kind === "any") return ANY;
  const attribute = type.kind === "tuple" ? type.attributes.find((a) => a.name === name.text) : undefined;
  if (attribute) return attribute.type;
  scope.report(name, "unknown-attribute", `expected an attribute of ${typeText(type)}, got \`${name.text}\`.`);
  return ANY;
}

function callType(e: Expression & { kind: "call" }, scope: Scope): Type {
  const name = e.name.text;
  const own = scope.functions.filter((f) => f.name === name);
  const candidates = [...own, ...scope.program.functions(scope.file, name)];
  const loose = candidates.length === 1 ? candidates[0].parameters : [];
  const args = e.args.map((arg, i) =>
    typeOf(arg, scope, loose[i] && loose[i].type.kind !== "enum" ? loose[i].type : ANY),
  );
  if (candidates.length === 0) {
    scope.report(e.name, "unknown-function", `expected a function that is known here, got \`${name}\`.`);
    return ANY;
  }
  const chosen = chooseSignature(candidates, args);
  if (!chosen) {
    scope.report(
      e.name,
      "argument-types",
      `expected arguments that a \`${name}\` takes, got (${args.map(typeText).join(", ")}).`,
    );
    return ANY;
  }
  chosen.signature.parameters.forEach((parameter, i) => {
    if (parameter.isMutable) {
      requireMutable(e.args[i], scope);
      scope.changed?.push(e.args[i]);
    }
    if (parameter.isStream) requireOutput(e.args[i], args[0], scope);
  });
  if (chosen.signature.isStateful && scope.statelessReason) {
    scope.report(
      e.name,
      "stateful-call",
      `${scope.statelessReason}: expected no call of a stateful function, got \`${name}\`. Make it stateful.`,
    );
  }
  return chosen.result;
}

/** The last argument of `submit`: an output port whose tuples the first argument is. */
function requireOutput(e: Expression, submitted: Type, scope: Scope): void {
  const symbol = e.kind === "name" ? scope.find(e.name) : undefined;
  if (symbol?.role !== "output") {
    scope.report(e, "unknown-port", "submit: expected an output port of this operator.");
  } else if (submitted.kind === "tuple" && symbol.type.kind === "tuple") {
    const isSame =
      submitted.attributes.length === symbol.type.attributes.length &&
      symbol.type.attributes.every((a) => submitted.attributes.some((b) => b.name === a.name && fits(b.type, a.type)));
    if (!isSame)
      scope.report(e, "type-mismatch", `submit: expected ${typeText(symbol.type)}, got ${typeText(submitted)}.`);
  }
}

function elementType(e: Extract<Expression, { kind: "index" | "slice" }>, scope: Scope): Type {
  const type = typeOf(e.object, scope);
  if (e.kind === "slice") {
    for (const bound of [e.from, e.to])
      if (bound && !isInteger(typeOf(bound, scope)))
        scope.report(bound, "operand-types", "slice: expected a whole number.");
    return type;
  }
  const index = typeOf(e.index, scope, type.kind === "map" ? type.key : ANY);
  if (type.kind === "map") {
    if (!fits(index, type.key))
      scope.report(e.index, "type-mismatch", `key: expected ${typeText(type.key)}, got ${typeText(index)}.`);
    return type.value;
  }
  if (!isInteger(index))
    scope.report(e.index, "operand-types", `index: expected a whole number, got ${typeText(index)}.`);
  if (type.kind === "list") return type.element;
  if (type.kind === "any") return ANY;
  if (typeText(type) === "blob") return primitive("uint8");
  if (isText(type)) return type;
  scope.report(e, "operand-types", `index: expected a list, map, blob or text, got ${typeText(type)}.`);
  return ANY;
}

function unaryType(e: Expression & { kind: "unary" }, scope: Scope): Type {
  const type = typeOf(e.operand, scope);
  const isFine = e.operator === "!" ? fits(type, BOOLEAN) : e.operator === "~" ? isInteger(type) : isNumber(type);
  if (!isFine)
    scope.report(
      e,
      "operand-types",
      `\`${e.operator}\`: expected ${e.operator === "!" ? "boolean" : "a number"}, got ${typeText(type)}.`,
    );
  return type;
}

function binaryType(e: Expression & { kind: "binary" }, scope: Scope): Type {
  const first = typeOf(e.left, scope);
  const right = typeOf(e.right, scope, e.operator === "in" ? { kind: "list", element: first } : first);
  const left = isLiteralContainer(e.left) ? typeOf(e.left, scope, right) : first;
  const result = operatorResult(e.operator, left, right);
  if (result) return result;
  scope.report(
    e,
    "operand-types",
    `\`${e.operator}\`: expected operands of one fitting type, got ${typeText(left)} and ${typeText(right)}. SPL converts nothing: cast one.`,
  );
  return ["==", "!=", "<", ">", "<=", ">=", "in", "&&", "||"].includes(e.operator) ? BOOLEAN : left;
}

function operatorResult(operator: string, left: Type, right: Type): Type | undefined {
  if (operator === "in") {
    const container =
      right.kind === "list" || right.kind === "set" ? right.element : right.kind === "map" ? right.key : right;
    return right.kind !== "primitive" && fits(left, container) ? BOOLEAN : undefined;
  }
  if (operator === "<<" || operator === ">>") return isInteger(left) && isInteger(right) ? left : undefined;
  if (!fits(left, right)) return undefined;
  if (operator === "==" || operator === "!=") return BOOLEAN;
  if (operator === "&&" || operator === "||") return fits(left, BOOLEAN) ? BOOLEAN : undefined;
  const ordered = isNumber(left) || isText(left) || left.kind === "enum" || typeText(left) === "timestamp";
  if (["<", ">", "<=", ">="].includes(operator)) return ordered ? BOOLEAN : undefined;
  if (operator === "+") return isNumber(left) || isText(left) || left.kind === "list" ? left : undefined;
  if (["&", "|", "^"].includes(operator)) return isInteger(left) || fits(left, BOOLEAN) ? left : undefined;
  return isNumber(left) ? left : undefined;
}

function assignType(e: Expression & { kind: "assign" }, scope: Scope): Type {
  const target = typeOf(e.left, scope);
  requireMutable(e.left, scope);
  const value = typeOf(e.right, scope, target);
  const isFine =
    e.operator === "=" ? fits(value, target) : operatorResult(e.operator.slice(0, -1), target, value) !== undefined;
  if (!isFine)
    scope.report(e, "type-mismatch", `\`${e.operator}\`: expected ${typeText(target)}, got ${typeText(value)}.`);
  return target;
}

/** Reports what cannot be changed. */
function requireMutable(e: Expression, scope: Scope): void {
  let root = e;
  while (root.kind === "member" || root.kind === "index" || root.kind === "slice") root = root.object;
  if (root.kind !== "name") {
    scope.report(e, "not-assignable", "expected something with a name that can be changed.");
    return;
  }
  const symbol = scope.find(root.name);
  if (symbol && !symbol.isMutable && symbol.role !== "input") {
    scope.report(root, "not-mutable", `expected something mutable, got \`${root.name}\`. Declare it with \`mutable\`.`);
  } else if (symbol?.role === "input") {
    scope.report(root, "not-mutable", `expected something mutable, got the input \`${root.name}\`.`);
  }
}

function conditionalType(e: Expression & { kind: "conditional" }, scope: Scope, wanted: Type): Type {
  requireCondition(e.test, scope);
  const yes = typeOf(e.yes, scope, wanted);
  const no = typeOf(e.no, scope, wanted.kind === "any" ? yes : wanted);
  if (!fits(yes, no))
    scope.report(
      e,
      "operand-types",
      `\`?:\`: expected two values of one type, got ${typeText(yes)} and ${typeText(no)}.`,
    );
  return yes.kind === "any" ? no : yes;
}

function literalType(e: Expression, scope: Scope, wanted: Type): Type {
  if (e.kind === "list" || e.kind === "set") {
    const hint = wanted.kind === "list" || wanted.kind === "set" ? wanted.element : ANY;
    const [first = hint, ...rest] = e.items.map((item) => typeOf(item, scope, hint));
    if (rest.some((type) => !fits(type, first)))
      scope.report(
        e,
        "operand-types",
        `expected elements of one type, got ${[first, ...rest].map(typeText).join(", ")}.`,
      );
    return { kind: e.kind, element: first };
  }
  if (e.kind === "map") {
    if (e.entries.length === 0) return wanted.kind === "map" || wanted.kind === "set" ? wanted : ANY;
    const hint = wanted.kind === "map" ? wanted : { key: ANY, value: ANY };
    const keys = e.entries.map(([key]) => typeOf(key, scope, hint.key));
    const values = e.entries.map(([, value]) => typeOf(value, scope, hint.value));
    return { kind: "map", key: keys[0], value: values[0] };
  }
  if (e.kind !== "tuple") return INT32;
  const hints = wanted.kind === "tuple" ? wanted.attributes : [];
  const attributes = e.attributes.map(({ name, value }) => ({
    name: name.text,
    type: typeOf(value, scope, hints.find((hint) => hint.name === name.text)?.type),
  }));
  e.attributes.forEach(({ name }, i) => {
    if (e.attributes.findIndex((a) => a.name.text === name.text) !== i)
      scope.report(name, "duplicate-attribute", `expected \`${name.text}\` once.`);
  });
  // Attributes may be given in any order; the type that is asked for keeps its own.
  const sorted =
    hints.length === attributes.length ? hints.map((hint) => attributes.find((a) => a.name === hint.name)) : [];
  return {
    kind: "tuple",
    attributes: sorted.length > 0 && sorted.every((a) => a !== undefined) ? (sorted as typeof attributes) : attributes,
  };
}
