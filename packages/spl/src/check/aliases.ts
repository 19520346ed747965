// What one expression changes and reads: the compiler refuses an expression that changes a variable and has it again.
import type { Expression } from "../ast.ts";
import type { Scope } from "./scope.ts";

/** Reports variables that an expression has again beside the calls that change them. */
export function reportAliases(e: Expression, changed: readonly Expression[], scope: Scope): void {
  if (changed.length === 0) return;
  const all = placesOf(e.kind === "assign" ? e.right : e);
  for (const change of changed) {
    const path = pathOf(change);
    const again = path && all.find((place) => place !== change && overlaps(path, pathOf(place) ?? []));
    if (again)
      scope.report(
        again,
        "aliased-change",
        `expected \`${path.join(".")}\` once in an expression that changes it, got it again. Take the expression apart.`,
      );
  }
}

/** Variable and attributes that an expression names; nothing where it names none. */
function pathOf(e: Expression): readonly string[] | undefined {
  if (e.kind === "name") return [e.name];
  if (e.kind === "index" || e.kind === "slice") return pathOf(e.object);
  if (e.kind !== "member") return undefined;
  const path = pathOf(e.object);
  return path && [...path, e.name.text];
}

const overlaps = (a: readonly string[], b: readonly string[]): boolean =>
  b.length > 0 && a.slice(0, b.length).every((name, i) => name === b[i]);

/** The places in an expression that name variables, each whole. */
function placesOf(e: Expression): Expression[] {
  switch (e.kind) {
    case "name":
    case "member":
      return [e];
    case "index":
      return [e, ...placesOf(e.index)];
    case "slice":
      return [e, ...[e.from, e.to].flatMap((bound) => (bound ? placesOf(bound) : []))];
    case "call":
      return e.args.flatMap(placesOf);
    case "unary":
    case "step":
    case "cast":
      return placesOf(e.operand);
    case "binary":
    case "assign":
      return [...placesOf(e.left), ...placesOf(e.right)];
    case "conditional":
      return [e.test, e.yes, e.no].flatMap(placesOf);
    case "list":
    case "set":
      return e.items.flatMap(placesOf);
    case "map":
      return e.entries.flat().flatMap(placesOf);
    case "tuple":
      return e.attributes.flatMap(({ value }) => placesOf(value));
    default:
      return [];
  }
}
