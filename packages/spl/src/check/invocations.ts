// Operators at work: of the standard toolkit by their models, composites by their definitions.
import type { CompositeNode, Invocation, Name } from "../ast.ts";
import { ANNOTATIONS, OPERATORS, type OperatorModel } from "../library/operators.ts";
import { ANY, fits, type Type, typeText } from "../types.ts";
import { checkComposite } from "./composites.ts";
import { typeOf } from "./expressions.ts";
import { checkLogic } from "./logic.ts";
import { checkModelParameters } from "./parameters.ts";
import type { SourceFile } from "./program.ts";
import type { Scope } from "./scope.ts";
import { parseSignatures } from "./signatures.ts";

/** Checks an operator in a graph. */
export function checkInvocation(node: Invocation, scope: Scope, streams: ReadonlyMap<string, Type>): void {
  for (const { name, values } of node.annotations) {
    if (!ANNOTATIONS.includes(name.text))
      scope.report(name, "unknown-annotation", `expected one of ${ANNOTATIONS.join(", ")}, got @${name.text}.`);
    for (const { value } of values) typeOf(value, scope);
  }
  const inputs = node.inputs.map(({ streams: names }) => inputType(names, scope, streams));
  const definition = scope.program.find(scope.file, node.operator.text).find((d) => d.kind === "composite");
  const model = OPERATORS[node.operator.text.replace(/^spl\.(?:adapter|relational|utility)::/, "")];
  checkDuplicates(node, scope);
  if (definition?.kind === "composite") checkCompositeUse(node, definition.node, definition.file, inputs, scope);
  else if (model) checkModelUse(node, model, inputs, scope);
  else
    scope.report(
      node.operator,
      "unknown-operator",
      `expected an operator that is known here, got \`${node.operator.text}\`.`,
    );
}

function inputType(names: readonly Name[], scope: Scope, streams: ReadonlyMap<string, Type>): Type {
  const types = names.map((name) => {
    const type = streams.get(name.text);
    if (!type) scope.report(name, "unknown-stream", `expected a stream of this graph, got \`${name.text}\`.`);
    return type ?? ANY;
  });
  types.forEach((type, i) => {
    if (!fits(type, types[0]))
      scope.report(
        names[i],
        "stream-type",
        `expected streams of one type on a port, got ${typeText(types[0])} and ${typeText(type)}.`,
      );
  });
  return types[0] ?? ANY;
}

function checkDuplicates(node: Invocation, scope: Scope): void {
  node.parameters.forEach(({ name }, i) => {
    if (node.parameters.findIndex((p) => p.name.text === name.text) !== i)
      scope.report(name, "duplicate-parameter", `expected \`${name.text}\` once.`);
  });
}

function checkCount(
  node: Invocation,
  what: "input" | "output",
  got: number,
  [least, most]: readonly [number, number],
  scope: Scope,
): boolean {
  if (got >= least && got <= most) return true;
  const expected =
    least === most ? `${least}` : `${least} to ${most === Number.POSITIVE_INFINITY ? "any number of" : most}`;
  scope.report(
    node.operator,
    "port-count",
    `\`${node.operator.text}\`: expected ${expected} ${what} ports, got ${got}.`,
  );
  return false;
}

function checkCompositeUse(
  node: Invocation,
  composite: CompositeNode,
  file: SourceFile,
  inputs: readonly Type[],
  scope: Scope,
): void {
  const name = node.operator.text;
  checkCount(node, "input", inputs.length, [composite.inputs.length, composite.inputs.length], scope);
  const hasOutputs = checkCount(
    node,
    "output",
    node.outputs.length,
    [composite.outputs.length, composite.outputs.length],
    scope,
  );
  if (node.logic.length > 0 || node.assignments.length > 0)
    scope.report(node.operator, "unknown-clause", `\`${name}\`: a composite takes no logic and no output clause.`);
  for (const { name: parameter, values } of node.parameters) {
    const declared = composite.parameters.find((p) => p.name.text === `$${parameter.text}`);
    if (!declared) {
      scope.report(
        parameter,
        "unknown-parameter",
        `\`${name}\`: expected one of ${composite.parameters.map((p) => p.name.text.slice(1)).join(", ")}, got \`${parameter.text}\`.`,
      );
      continue;
    }
    if (values.length !== 1)
      scope.report(parameter, "parameter-count", `\`${parameter.text}\`: expected one value, got ${values.length}.`);
    const wanted = declared.type ? scope.program.resolve(declared.type, { file, local: new Map() }, true) : ANY;
    for (const value of values) {
      const given = typeOf(value, scope, wanted);
      if (!fits(given, wanted))
        scope.report(
          value,
          "parameter-type",
          `\`${parameter.text}\`: expected ${typeText(wanted)}, got ${typeText(given)}.`,
        );
    }
  }
  for (const parameter of composite.parameters) {
    const text = parameter.name.text.slice(1);
    if (!parameter.default && !node.parameters.some((p) => p.name.text === text)) {
      scope.report(node.operator, "missing-parameter", `\`${name}\`: expected parameter \`${text}\`, got none.`);
    }
  }
  const outputs = checkComposite(scope.program, file, composite, inputs);
  if (!hasOutputs) return;
  node.outputs.forEach((output, i) => {
    const declared = scope.program.resolve(output.type, scope, true);
    if (!fits(outputs[i], declared))
      scope.report(
        output.name,
        "stream-type",
        `\`${name}\` gives ${typeText(outputs[i])}, declared is ${typeText(declared)}.`,
      );
  });
}

function checkModelUse(node: Invocation, model: OperatorModel, inputs: readonly Type[], scope: Scope): void {
  checkCount(node, "input", inputs.length, model.inputs, scope);
  checkCount(node, "output", node.outputs.length, model.outputs, scope);
  const outputs = node.outputs.map((output) => ({
    ...output,
    resolved: scope.program.resolve(output.type, scope, true),
  }));
  const inner = scope.inner();
  node.inputs.forEach((port, i) => {
    const name = port.alias ?? port.streams[0];
    inner.declare(name, { type: inputs[i], isMutable: false, role: "input" });
  });
  const seeing = inner.inner();
  seeing.attributes = inputs.some((type) => type.kind === "any")
    ? "any"
    : inputs.flatMap((type) => (type.kind === "tuple" ? type.attributes : []));
  checkModelParameters(node, model, inner, seeing, inputs);
  checkAssignments(node, model, outputs, inputs, seeing);
  if (model.attributes === "same") {
    for (const { name, resolved } of outputs) {
      if (inputs.some((input) => !fits(input, resolved))) {
        scope.report(
          name,
          "stream-type",
          `\`${node.operator.text}\`: expected ${inputs.map(typeText).join(" and ")}, declared is ${typeText(resolved)}.`,
        );
      }
    }
  }
  checkLogic(node, outputs, inner);
}

function checkAssignments(
  node: Invocation,
  model: OperatorModel,
  outputs: readonly { name: Name; alias?: Name; resolved: Type }[],
  inputs: readonly Type[],
  scope: Scope,
): void {
  const inner = scope.inner();
  if (model.functions) inner.functions = parseSignatures(model.functions);
  if (node.assignments.length > 0 && !model.hasOutputClause) {
    scope.report(node.operator, "unknown-clause", `\`${node.operator.text}\` takes no output clause.`);
  }
  for (const { port, values } of node.assignments) {
    const output = outputs.find((o) => (o.alias ?? o.name).text === port.text);
    if (!output)
      scope.report(port, "unknown-port", `output: expected a stream of this operator, got \`${port.text}\`.`);
    for (const { name, value } of values) {
      const attribute =
        output?.resolved.kind === "tuple" ? output.resolved.attributes.find((a) => a.name === name.text) : undefined;
      if (output && output.resolved.kind === "tuple" && !attribute) {
        scope.report(
          name,
          "unknown-attribute",
          `expected an attribute of ${typeText(output.resolved)}, got \`${name.text}\`.`,
        );
      }
      const given = typeOf(value, inner, attribute?.type);
      if (attribute && !fits(given, attribute.type)) {
        scope.report(
          value,
          "type-mismatch",
          `\`${name.text}\`: expected ${typeText(attribute.type)}, got ${typeText(given)}.`,
        );
      }
    }
  }
  if (model.attributes === "forward" || model.attributes === "assign")
    checkComplete(node, model, outputs, inputs, scope);
}

/** Every attribute is assigned, or comes from an input attribute of its name and type. */
function checkComplete(
  node: Invocation,
  model: OperatorModel,
  outputs: readonly { name: Name; alias?: Name; resolved: Type }[],
  inputs: readonly Type[],
  scope: Scope,
): void {
  for (const output of outputs) {
    if (output.resolved.kind !== "tuple") continue;
    const assigned = node.assignments
      .filter((a) => a.port.text === (output.alias ?? output.name).text)
      .flatMap((a) => a.values.map((v) => v.name.text));
    for (const attribute of output.resolved.attributes) {
      const isForwarded =
        model.attributes === "forward" &&
        inputs.some(
          (i) =>
            i.kind === "any" ||
            (i.kind === "tuple" && i.attributes.some((a) => a.name === attribute.name && fits(a.type, attribute.type))),
        );
      if (!assigned.includes(attribute.name) && !isForwarded) {
        scope.report(
          output.name,
          "missing-assignment",
          `\`${node.operator.text}\`: expected a value for \`${attribute.name}\` of \`${output.name.text}\`, got none.`,
        );
      }
    }
  }
}
