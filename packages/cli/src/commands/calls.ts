import type { Command } from "commander";
import type { Console } from "../console.ts";
import { type HttpTokenFlags, httpTokenFileOption, httpTokenOption, MAX_PORT, wholeNumber } from "../options.ts";

/** The options of `nemo-stt calls`. */
export interface CallsFlags extends HttpTokenFlags {
  readonly host: string;
  readonly httpPort: number;
  readonly open?: boolean;
  readonly json?: boolean;
}

/** `nemo-stt calls`. */
export function registerCalls(program: Command, console: Console): void {
  program
    .command("calls")
    .description("Show the live calls of a running gateway, and where its page of them is.")
    .option("--host <address>", "of the gateway", "127.0.0.1")
    .option("--http-port <port>", "of the gateway", wholeNumber(1, MAX_PORT), 5603)
    .addOption(httpTokenOption("what the gateway asks viewers for"))
    .addOption(httpTokenFileOption())
    .option("--open", "open the page in the browser")
    .option("--json", "the calls as one JSON array")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt calls --open
  nemo-stt calls --host 10.0.0.7 --json`,
    )
    .action(async (flags: CallsFlags) => {
      const { showCalls } = await import("../actions/calls.ts");
      await showCalls(flags, console);
    });
}
