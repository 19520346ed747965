import type { Command } from "commander";
import type { Console } from "../console.ts";
import { UsageError } from "../failures.ts";
import { contextOption, numberBetween } from "../options.ts";

/** The options of `nemo-stt dump`. */
export interface DumpFlags {
  readonly attContext?: number[];
  readonly stream?: boolean;
  readonly packetMs?: number;
  readonly json?: boolean;
}

/** `nemo-stt dump X.nemo AUDIO OUT.safetensors`. */
export function registerDump(program: Command, console: Console): void {
  program
    .command("dump")
    .description("Write what every stage computes for one recording: features, encoder, log-probs, tokens.")
    .argument("<model>", "a .nemo file or an exported folder")
    .argument("<audio>", "a recording, mono or mixed to mono")
    .argument("<out>", "the .safetensors file to write")
    .addOption(contextOption())
    .option(
      "--stream",
      "compute it by the streaming path of a model with caches: every step, the flushed tail included",
    )
    .option("--packet-ms <n>", "with --stream: sound that is fed at a time (default: 100)", numberBetween(0.001, 1e6))
    .option("--json", "names, types and shapes as JSON")
    .addHelpText(
      "after",
      `
With --stream, encoder and log_probs end with the last valid step. Without it they go on, as NeMo's do, with the
steps that padding makes: those behind encoder_len, which mean nothing. What lies before it is the same.

Examples:
  nemo-stt dump model.nemo talk.wav stages.safetensors
  nemo-stt dump model.nemo talk.wav streamed.safetensors --stream --att-context 70,1 --packet-ms 37`,
    )
    .action(async (model: string, audio: string, out: string, flags: DumpFlags) => {
      if (flags.packetMs !== undefined && !flags.stream) {
        throw new UsageError("--packet-ms: expected it with --stream, got it alone. Add --stream.");
      }
      const { dump } = await import("../actions/dump.ts");
      await dump(model, audio, out, flags, console);
    });
}
