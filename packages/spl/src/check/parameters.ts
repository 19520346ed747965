// Parameters of standard operators.
import type { Expression, Invocation } from "../ast.ts";
import type { OperatorModel, OperatorParameter } from "../library/operators.ts";
import { ANY, fits, isInteger, primitive, type Type, typeText } from "../types.ts";
import { typeOf } from "./expressions.ts";
import type { Scope } from "./scope.ts";

/** Checks the `param` clause of a standard operator. `seeing` is a scope with the input's attributes. */
export function checkModelParameters(
  node: Invocation,
  model: OperatorModel,
  scope: Scope,
  seeing: Scope,
  inputs: readonly Type[],
): void {
  const operator = node.operator.text;
  for (const { name, values } of node.parameters) {
    const parameter = model.parameters[name.text];
    if (!parameter) {
      scope.report(
        name,
        "unknown-parameter",
        `\`${operator}\`: expected one of ${Object.keys(model.parameters).join(", ") || "no parameters"}, got \`${name.text}\`.`,
      );
      continue;
    }
    if (values.length !== 1 && !parameter.isAttribute) {
      scope.report(name, "parameter-count", `\`${name.text}\`: expected one value, got ${values.length}.`);
    }
    for (const value of values) checkValue(name.text, parameter, value, parameter.sees ? seeing : scope, inputs);
  }
  for (const [name, parameter] of Object.entries(model.parameters)) {
    if (parameter.isRequired && !node.parameters.some((p) => p.name.text === name)) {
      scope.report(node.operator, "missing-parameter", `\`${operator}\`: expected parameter \`${name}\`, got none.`);
    }
  }
}

function checkValue(
  name: string,
  parameter: OperatorParameter,
  value: Expression,
  scope: Scope,
  inputs: readonly Type[],
): void {
  if (parameter.words) {
    if (value.kind !== "name" || !parameter.words.includes(value.name)) {
      const got = value.kind === "name" ? `\`${value.name}\`` : "an expression";
      scope.report(value, "parameter-mode", `\`${name}\`: expected one of ${parameter.words.join(", ")}, got ${got}.`);
    }
    return;
  }
  if (parameter.isAttribute) {
    const attributes = inputs.flatMap((input) => (input.kind === "tuple" ? input.attributes.map((a) => a.name) : []));
    if (value.kind !== "name" || (!attributes.includes(value.name) && !inputs.some((input) => input.kind === "any"))) {
      scope.report(value, "unknown-attribute", `\`${name}\`: expected an attribute of the input.`);
    }
    return;
  }
  if (parameter.isConstant && value.kind !== "literal") {
    scope.report(value, "parameter-mode", `\`${name}\`: expected a constant, got an expression.`);
  }
  const isWhole = parameter.type === "integer";
  const wanted = parameter.type && !isWhole ? primitive(parameter.type) : ANY;
  const given = typeOf(value, scope, wanted);
  if (isWhole ? !isInteger(given) : !fits(given, wanted)) {
    scope.report(
      value,
      "parameter-type",
      `\`${name}\`: expected ${isWhole ? "a whole number" : typeText(wanted)}, got ${typeText(given)}.`,
    );
  }
}
