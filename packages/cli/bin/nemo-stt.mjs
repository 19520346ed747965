#!/usr/bin/env node
// npm links commands when it installs, and only to files that are there: this one is, before the program is built.
import { existsSync } from "node:fs";

const program = new URL("../dist/bin.js", import.meta.url);
if (existsSync(program)) await import(program.href);
else {
  process.stderr.write("nemo-stt: expected the program to be built, got no dist folder. Run: npm run build\n");
  process.exitCode = 69;
}
