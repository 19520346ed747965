// Every export that a user of a package can import has a docstring.
import { join, relative, resolve } from "node:path";
import ts from "typescript";

const root = resolve(import.meta.dirname, "..");
const entries = ["core", "node", "web", "streams", "spl", "cli"].map((name) =>
  join(root, "packages", name, "src", "index.ts"),
);
const config = ts.readConfigFile(join(root, "tsconfig.base.json"), ts.sys.readFile).config;
const { options } = ts.parseJsonConfigFileContent({ ...config, files: entries }, ts.sys, root);
const program = ts.createProgram(entries, { ...options, noEmit: true, composite: false });
const checker = program.getTypeChecker();
const missing = [];
let total = 0;
for (const entry of entries) {
  const symbol = checker.getSymbolAtLocation(program.getSourceFile(entry));
  for (const exported of symbol ? checker.getExportsOfModule(symbol) : []) {
    const target = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = target.declarations?.[0];
    if (!declaration || declaration.getSourceFile().fileName.includes("node_modules")) continue;
    total++;
    if (target.getDocumentationComment(checker).length > 0) continue;
    const file = declaration.getSourceFile();
    const { line } = file.getLineAndCharacterOfPosition(declaration.getStart());
    missing.push(`${relative(root, file.fileName)}:${line + 1}: \`${exported.name}\` is exported without a docstring.`);
  }
}
for (const problem of missing) console.error(problem);
console.log(`docs of exports: ${total - missing.length} of ${total}`);
process.exit(missing.length === 0 && total > 0 ? 0 : 1);
