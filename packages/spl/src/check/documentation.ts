// SPLDOC: everything public says what it is, and its ports and parameters each have their line.
import type { Program } from "./program.ts";

/** Reports what has no documentation. */
export function checkDocumentation(program: Program): void {
  for (const file of program.files) {
    for (const node of file.tree.definitions) {
      if (node.kind !== "type" && !node.isPublic) continue;
      if (!node.doc) {
        program.report(
          file,
          node,
          "missing-documentation",
          `expected a comment \`/** … */\` before \`${node.name.text}\`, got none.`,
        );
      } else if (node.kind === "composite") {
        const expected = [
          ...node.inputs.map((port) => `@input ${port.name.text}`),
          ...node.outputs.map((port) => `@output ${port.name.text}`),
          ...node.parameters.map((parameter) => `@param ${parameter.name.text.slice(1)}`),
        ];
        for (const line of expected) {
          if (!new RegExp(`${line}\\s+\\S`).test(node.doc)) {
            program.report(
              file,
              node,
              "missing-documentation",
              `\`${node.name.text}\`: expected a line \`${line} …\` in its comment, got none.`,
            );
          }
        }
      }
    }
  }
}
