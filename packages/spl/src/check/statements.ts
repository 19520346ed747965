// Statements and functions.
import type { Declaration, FunctionNode, Statement } from "../ast.ts";
import { ANY, primitive, type Type, typeText, VOID } from "../types.ts";
import { requireCondition, requireType, typeOf } from "./expressions.ts";
import type { Program, SourceFile } from "./program.ts";
import { Scope } from "./scope.ts";

/** A local variable. */
export function checkDeclaration(node: Declaration, scope: Scope): void {
  const type = scope.program.resolve(node.type, scope);
  if (node.value) requireType(node.value, type, scope, `\`${node.name.text}\``);
  scope.declare(node.name, { type, isMutable: node.isMutable, role: "variable" });
}

/** A statement; `result` is what `return` gives, nothing outside functions. */
export function checkStatement(node: Statement, scope: Scope, result?: Type): void {
  switch (node.kind) {
    case "declare":
      checkDeclaration(node, scope);
      return;
    case "expression":
      typeOf(node.value, scope);
      return;
    case "block":
      checkBody(node.body, scope.inner(), result);
      return;
    case "if":
      requireCondition(node.test, scope);
      checkStatement(node.yes, scope.inner(), result);
      if (node.no) checkStatement(node.no, scope.inner(), result);
      return;
    case "while":
      requireCondition(node.test, scope);
      checkStatement(node.body, scope.inner(), result);
      return;
    case "for":
      checkFor(node, scope, result);
      return;
    case "return":
      checkReturn(node, scope, result);
      return;
  }
}

/** Statements in a row. */
export function checkBody(body: readonly Statement[], scope: Scope, result?: Type): void {
  for (const statement of body) checkStatement(statement, scope, result);
}

function checkFor(node: Statement & { kind: "for" }, scope: Scope, result?: Type): void {
  const over = typeOf(node.over, scope);
  const inner = scope.inner();
  const type = scope.program.resolve(node.type, scope);
  const element = elementOf(over);
  if (!element)
    scope.report(node.over, "operand-types", `for: expected a list, set, map, blob or text, got ${typeText(over)}.`);
  else if (element.kind !== "any" && typeText(element) !== typeText(type)) {
    scope.report(
      node.type,
      "type-mismatch",
      `for: expected ${typeText(element)} \`${node.name.text}\`, got ${typeText(type)}.`,
    );
  }
  inner.declare(node.name, { type, isMutable: false, role: "variable" });
  checkStatement(node.body, inner, result);
}

function elementOf(type: Type): Type | undefined {
  if (type.kind === "any") return ANY;
  if (type.kind === "list" || type.kind === "set") return type.element;
  if (type.kind === "map") return type.key;
  if (typeText(type) === "blob") return primitive("uint8");
  return /string$/.test(typeText(type)) ? type : undefined;
}

function checkReturn(node: Statement & { kind: "return" }, scope: Scope, result?: Type): void {
  if (result === undefined) return;
  const got = node.value ? typeOf(node.value, scope, result) : VOID;
  const expected = typeText(result);
  if (node.value === undefined ? result.kind !== "void" : result.kind === "void") {
    scope.report(node, "return-type", `return: expected ${expected}, got ${typeText(got)}.`);
  } else if (node.value && got.kind !== "any") {
    const before = scope.program.problems.length;
    requireType(node.value, result, scope, "return");
    const added = scope.program.problems.splice(before);
    if (added.some((p) => p.code === "type-mismatch" && p.message.startsWith("return:"))) {
      scope.report(node.value, "return-type", `return: expected ${expected}, got ${typeText(got)}.`);
    }
  }
}

function alwaysReturns(node: Statement | undefined): boolean {
  if (!node) return false;
  if (node.kind === "return") return true;
  if (node.kind === "block") return node.body.some(alwaysReturns);
  return node.kind === "if" && alwaysReturns(node.yes) && alwaysReturns(node.no);
}

/** A function. */
export function checkFunction(program: Program, file: SourceFile, node: FunctionNode): void {
  const scope = new Scope(program, file, new Map());
  if (!node.isStateful) scope.statelessReason = `\`${node.name.text}\``;
  for (const parameter of node.parameters) {
    const type = program.resolve(parameter.type, scope);
    scope.declare(parameter.name, { type, isMutable: parameter.isMutable, role: "variable" });
  }
  const result = node.result ? program.resolve(node.result, scope) : VOID;
  checkBody(node.body, scope.inner(), result);
  const doesEnd = node.body.some((s) => alwaysReturns(s) || (s.kind === "while" && s.test.kind === "literal"));
  if (result.kind !== "void" && !doesEnd) {
    scope.report(
      node.name,
      "return-type",
      `\`${node.name.text}\`: expected a value on every way out, got none on one.`,
    );
  }
}
