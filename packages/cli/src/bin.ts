#!/usr/bin/env node
import { processConsole } from "./console.ts";
import { runCli } from "./main.ts";

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`) closes the pipe: that is no error.
    if (error.code === "EPIPE") process.exit(0);
    if (stream === process.stdout) process.stderr.write(`nemo-stt: standard output: ${error.message}\n`);
    process.exit(73);
  });
}
process.exitCode = await runCli(process.argv.slice(2), processConsole());
