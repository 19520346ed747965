// A whole program.
import { parseSpl } from "../parse.ts";
import type { Problem } from "../problems.ts";
import { ANY } from "../types.ts";
import { checkComposite } from "./composites.ts";
import { checkDocumentation } from "./documentation.ts";
import { Program, type SourceFile } from "./program.ts";
import { checkFunction } from "./statements.ts";

/** Checks SPL sources that belong together; what is wrong comes in order of place. */
export function checkSpl(sources: readonly { readonly path: string; readonly text: string }[]): Problem[] {
  const files: SourceFile[] = [];
  const problems: Problem[] = [];
  for (const { path, text } of sources) {
    const parsed = parseSpl(path, text);
    problems.push(...parsed.problems);
    if (parsed.tree) files.push({ path, tree: parsed.tree });
  }
  if (problems.length > 0) return problems;
  const program = new Program(files);
  checkDocumentation(program);
  for (const file of files) {
    for (const node of file.tree.definitions) {
      if (node.kind === "type") program.resolve(node.type, { file, local: new Map() });
      else if (node.kind === "function") checkFunction(program, file, node);
      else
        checkComposite(
          program,
          file,
          node,
          node.inputs.map(() => ANY),
        );
    }
  }
  return sorted(program.problems);
}

/** In order of place, and each once: composites are looked at for every use. */
function sorted(problems: readonly Problem[]): Problem[] {
  const unique = new Map(problems.map((p) => [`${p.file}:${p.line}:${p.column}:${p.code}:${p.message}`, p]));
  return [...unique.values()].sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column);
}
