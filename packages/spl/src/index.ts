// A checker for SPL: names, types, ports and parameters, against a model of the standard operators that we use.
export { checkSpl } from "./check/check.ts";
export { parseSpl } from "./parse.ts";
export { formatProblem, type Problem, type ProblemCode } from "./problems.ts";
