/** What can be wrong with a program. */
export type ProblemCode =
  | "syntax"
  | "duplicate-name"
  | "unknown-namespace"
  | "unknown-operator"
  | "unknown-parameter"
  | "missing-parameter"
  | "duplicate-parameter"
  | "parameter-type"
  | "parameter-count"
  | "parameter-mode"
  | "port-count"
  | "unknown-stream"
  | "stream-type"
  | "unknown-port"
  | "unknown-clause"
  | "unknown-attribute"
  | "duplicate-attribute"
  | "missing-assignment"
  | "unknown-type"
  | "unknown-name"
  | "unknown-function"
  | "argument-types"
  | "type-mismatch"
  | "operand-types"
  | "condition-type"
  | "not-mutable"
  | "not-assignable"
  | "aliased-change"
  | "return-type"
  | "unknown-annotation"
  | "unused-output"
  | "stateful-call"
  | "missing-documentation";

/** Something wrong, and where. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly code: ProblemCode;
  readonly message: string;
}

/** A problem as one line: `file:line:column: code: message`. */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.code}: ${problem.message}`;
}
