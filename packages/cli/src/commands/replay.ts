import type { Command } from "commander";
import type { Console } from "../console.ts";
import { MAX_PORT, wholeNumber } from "../options.ts";

/** The options of `nemo-stt replay`. */
export interface ReplayFlags {
  readonly host: string;
  readonly audioPort: number;
  readonly textPort: number;
  readonly fullSpeed?: boolean;
  readonly copies: number;
  readonly blockMs: number;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly json?: boolean;
}

/** `nemo-stt replay FOLDER`. */
export function registerReplay(program: Command, console: Console): void {
  program
    .command("replay")
    .description("Play recorded calls to a gateway as an application would send them, and print what comes back.")
    .argument("<folder>", "calls that `gateway --record` kept, or recordings: each channel is a party")
    .option("--host <address>", "of the gateway", "127.0.0.1")
    .option("--audio-port <port>", "of the gateway", wholeNumber(1, MAX_PORT), 5601)
    .option("--text-port <port>", "of the gateway", wholeNumber(1, MAX_PORT), 5602)
    .option("--full-speed", "as fast as the gateway takes them, and not as fast as they were spoken")
    .option("--copies <n>", "play each call so often, side by side", wholeNumber(1), 1)
    .option("--block-ms <ms>", "sound in one tuple", wholeNumber(1), 100)
    .option("--tls-ca <file>", "the gateway speaks TLS with a certificate for its --host, signed by this one, PEM")
    .option("--tls-cert <file>", "our own certificate, where the gateway asks for one, PEM")
    .option("--tls-key <file>", "its key, PEM")
    .option("--json", "a JSON object a line and final")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt replay calls/
  nemo-stt replay calls/ --full-speed --copies 20`,
    )
    .action(async (folder: string, flags: ReplayFlags) => {
      const { replay } = await import("../actions/replay.ts");
      await replay(folder, flags, console);
    });
}
