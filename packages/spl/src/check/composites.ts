// Composites: parameters, ports, and the graph. A composite with open input types is looked at anew for every use.
import type { CompositeNode, Invocation, Name } from "../ast.ts";
import { ANY, fits, type Type, typeText } from "../types.ts";
import { typeOf } from "./expressions.ts";
import { checkInvocation } from "./invocations.ts";
import type { Program, SourceFile } from "./program.ts";
import { Scope } from "./scope.ts";

/** The types of a composite's outputs. */
export type Outputs = readonly Type[];

const seen = new WeakMap<Program, Map<string, Outputs>>();

/** Checks a composite for input types, and tells its output types. */
export function checkComposite(
  program: Program,
  file: SourceFile,
  node: CompositeNode,
  inputs: readonly Type[],
): Outputs {
  const memo = seen.get(program) ?? new Map<string, Outputs>();
  seen.set(program, memo);
  const key = `${file.path}:${node.line}:${inputs.map(typeText).join(";")}`;
  const known = memo.get(key);
  if (known) return known;
  memo.set(
    key,
    node.outputs.map(() => ANY),
  ); // a composite that uses itself ends here
  const names = new Map<string, Type>();
  const scope = new Scope(program, file, names);
  for (const definition of node.types) {
    if (names.has(definition.name.text))
      scope.report(definition.name, "duplicate-name", `expected a new type, got \`${definition.name.text}\` again.`);
    names.set(definition.name.text, program.resolve(definition.type, scope));
  }
  declareParameters(node, scope);
  const streams = declareStreams(node, inputs, names, scope);
  for (const invocation of node.graph) checkInvocation(invocation, scope, streams);
  const outputs = node.outputs.map((port) => outputType(port, streams, scope));
  memo.set(key, outputs);
  return outputs;
}

function declareParameters(node: CompositeNode, scope: Scope): void {
  for (const parameter of node.parameters) {
    const type = parameter.type ? scope.program.resolve(parameter.type, scope) : ANY;
    if (parameter.default) {
      const given = typeOf(parameter.default, scope, type);
      if (!fits(given, type))
        scope.report(
          parameter.default,
          "parameter-type",
          `${parameter.name.text}: expected ${typeText(type)}, got ${typeText(given)}.`,
        );
    }
    scope.declare(parameter.name, { type, isMutable: false, role: "parameter" });
  }
}

/** Streams of a graph may be used before they are made, so all of them are declared first. */
function declareStreams(
  node: CompositeNode,
  inputs: readonly Type[],
  names: Map<string, Type>,
  scope: Scope,
): Map<string, Type> {
  const streams = new Map<string, Type>();
  const add = (name: Name, type: Type) => {
    if (streams.has(name.text))
      scope.report(name, "duplicate-name", `expected a new stream, got \`${name.text}\` again.`);
    streams.set(name.text, type);
    if (!names.has(name.text)) names.set(name.text, type);
  };
  node.inputs.forEach((port, i) => {
    const declared = port.type ? scope.program.resolve(port.type, scope) : ANY;
    const given = inputs[i] ?? ANY;
    if (!fits(given, declared))
      scope.report(
        port.name,
        "stream-type",
        `input \`${port.name.text}\`: expected ${typeText(declared)}, got ${typeText(given)}.`,
      );
    add(port.name, given.kind === "any" ? declared : given);
  });
  const aliases = new Set<string>();
  for (const invocation of node.graph) declareOutputs(invocation, add, aliases, scope);
  return streams;
}

function declareOutputs(
  invocation: Invocation,
  add: (name: Name, type: Type) => void,
  aliases: Set<string>,
  scope: Scope,
): void {
  for (const output of invocation.outputs) add(output.name, scope.program.resolve(output.type, scope));
  const { alias } = invocation;
  if (alias) {
    if (aliases.has(alias.text))
      scope.report(alias, "duplicate-name", `expected a new operator, got \`${alias.text}\` again.`);
    aliases.add(alias.text);
  }
}

function outputType(port: CompositeNode["outputs"][number], streams: ReadonlyMap<string, Type>, scope: Scope): Type {
  const type = streams.get(port.name.text);
  if (!type) {
    scope.report(port.name, "unknown-stream", `output: expected a stream of the graph, got \`${port.name.text}\`.`);
    return ANY;
  }
  const declared = port.type ? scope.program.resolve(port.type, scope) : type;
  if (!fits(type, declared))
    scope.report(
      port.name,
      "stream-type",
      `output \`${port.name.text}\`: expected ${typeText(declared)}, got ${typeText(type)}.`,
    );
  return type;
}
