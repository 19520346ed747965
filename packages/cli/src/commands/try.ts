import type { Command } from "commander";
import type { Console } from "../console.ts";

/** The options of `nemo-stt try`. */
export interface TryFlags {
  readonly nemoModel: string;
  readonly audioFile: string;
  readonly verbose?: boolean;
}

/** `nemo-stt try --nemo-model M --audio-file A`: the standalone test. */
export function registerTry(program: Command, console: Console): void {
  program
    .command("try")
    .description("The standalone test: one model, one recording, one text; --verbose shows every stage.")
    .requiredOption(
      "-m, --nemo-model <model>",
      ".nemo file, exported folder, .onnx with its tokens beside it, or pulled name",
    )
    .requiredOption("-a, --audio-file <audio>", "WAV, FLAC, …, or samples without a header (.raw: s16le, 16 kHz, mono)")
    .option("--verbose", "tensor names and shapes, time of every stage, real-time factor")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt try --nemo-model model.nemo --audio-file talk.wav
  ./run_nemo_test.sh --nemo-model exported/conformer_ctc.onnx --audio-file talk.raw --verbose`,
    )
    .action(async (flags: TryFlags) => {
      const { tryModel } = await import("../actions/try.ts");
      await tryModel(flags, console);
    });
}
