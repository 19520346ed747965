import type { Command } from "commander";
import type { Console } from "../console.ts";
import { numberBetween } from "../options.ts";

/** The options of `nemo-stt vad`. */
export interface VadFlags {
  readonly model?: string;
  readonly json?: boolean;
  readonly probabilities?: boolean;
  readonly onset: number;
  readonly offset: number;
  readonly minSpeech: number;
  readonly minSilence: number;
}

/** `nemo-stt vad FILES…`. */
export function registerVad(program: Command, console: Console): void {
  const share = numberBetween(0, 1);
  const seconds = numberBetween(0, 3600);
  program
    .command("vad")
    .description("Find speech in recordings, or classify them (speech commands) with a NeMo classifier.")
    .argument("<audio...>", "recordings, folders of recordings, or - for standard input")
    .option("-m, --model <model>", "a window or frame classifier (default: the bundled one)")
    .option("--onset <p>", "probability at which speech begins", share, 0.5)
    .option("--offset <p>", "probability below which it ends", share, 0.35)
    .option("--min-speech <sec>", "shorter speech is dropped", seconds, 0.06)
    .option("--min-silence <sec>", "shorter gaps are closed", seconds, 0.3)
    .option("--probabilities", "with --json: the probability at every position too")
    .option("--json", "a JSON object a line and recording")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt vad talk.wav
  nemo-stt vad calls/ --json --onset 0.7`,
    )
    .action(async (paths: string[], flags: VadFlags) => {
      const { detect } = await import("../actions/vad.ts");
      await detect(paths, flags, console);
    });
}
