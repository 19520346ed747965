// Logic clauses: state, and what happens on tuples and marks.
import type { Invocation, Name } from "../ast.ts";
import type { Type } from "../types.ts";
import type { Scope } from "./scope.ts";
import { checkDeclaration, checkStatement } from "./statements.ts";

/** Checks the logic clause of an operator. `scope` has its input ports. */
export function checkLogic(
  node: Invocation,
  outputs: readonly { name: Name; alias?: Name; resolved: Type }[],
  scope: Scope,
): void {
  const state = scope.inner();
  for (const output of outputs) {
    const name = output.alias ?? output.name;
    // An output may have the name of an input only where the latter has another one here.
    if (scope.find(name.text)?.role === "input") continue;
    state.declare(name, { type: output.resolved, isMutable: false, role: "output" });
  }
  const ports = node.inputs.map((input) => (input.alias ?? input.streams[0]).text);
  const inside = state.inner();
  for (const part of node.logic)
    if (part.kind === "state") for (const declaration of part.declarations) checkDeclaration(declaration, inside);
  const seen = new Set<string>();
  for (const part of node.logic) {
    if (part.kind === "state") continue;
    if (part.kind === "onProcess") {
      checkStatement(part.body, inside.inner());
      continue;
    }
    const clause = `${part.kind} ${part.port.text}`;
    if (!ports.includes(part.port.text)) {
      scope.report(
        part.port,
        "unknown-port",
        `${part.kind}: expected one of ${ports.join(", ") || "no ports"}, got \`${part.port.text}\`.`,
      );
    } else if (seen.has(clause)) scope.report(part.port, "duplicate-name", `expected one \`${clause}\`, got another.`);
    seen.add(clause);
    const body = inside.inner();
    const type = scope.find(part.port.text)?.type;
    if (part.kind === "onTuple")
      body.attributes =
        type === undefined || type.kind === "any" ? "any" : type.kind === "tuple" ? type.attributes : [];
    checkStatement(part.body, body);
  }
}
