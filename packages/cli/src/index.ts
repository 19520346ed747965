export { type Console, type Progress, processConsole } from "./console.ts";
export { createProgram, runCli } from "./main.ts";
