// Text to tree, or to places where the text is no SPL.
import type { IToken } from "chevrotain";
import type { FileNode } from "./ast.ts";
import type { Problem } from "./problems.ts";
import { ProgramParser } from "./program-parser.ts";
import { lexer } from "./tokens.ts";

let parser: ProgramParser | undefined;

/** Parses a file. Without a tree where it is no SPL; then there are problems. */
export function parseSpl(file: string, text: string): { tree: FileNode | undefined; problems: Problem[] } {
  const lexed = lexer.tokenize(text);
  const problems: Problem[] = lexed.errors.map((error) => ({
    file,
    line: error.line ?? 1,
    column: error.column ?? 1,
    code: "syntax",
    message: `expected SPL, got ${JSON.stringify(text.slice(error.offset, error.offset + error.length))}.`,
  }));
  parser ??= new ProgramParser();
  parser.input = lexed.tokens;
  parser.docOf = documentation(lexed.groups.comments ?? [], lexed.tokens);
  const tree = parser.file();
  for (const error of parser.errors) {
    const at = Number.isNaN(error.token.startLine ?? Number.NaN) ? lexed.tokens.at(-1) : error.token;
    const expected = error.message
      .replace(/\s+/g, " ")
      .replace(/ but found.*$/, "")
      .slice(0, 200);
    const got = error.token.image === "" ? "the end of the file" : `\`${error.token.image}\``;
    const message = `expected SPL (${expected}), got ${got}.`;
    problems.push({ file, line: at?.startLine ?? 1, column: at?.startColumn ?? 1, code: "syntax", message });
  }
  if (problems.length > 0) return { tree: undefined, problems };
  return { tree, problems };
}

/** Finds the text of the documentation comment that ends right before a token. */
function documentation(comments: IToken[], tokens: IToken[]): (token: IToken) => string | undefined {
  const previousEnd = new Map<number, number>();
  let end = -1;
  for (const token of tokens) {
    previousEnd.set(token.startOffset, end);
    end = token.startOffset + token.image.length;
  }
  return (token) => {
    const after = previousEnd.get(token.startOffset) ?? -1;
    const between = comments.filter((c) => c.startOffset >= after && c.startOffset < token.startOffset);
    const last = between.at(-1);
    return last?.image.startsWith("/**") ? last.image : undefined;
  };
}
