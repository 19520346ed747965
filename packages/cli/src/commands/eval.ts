import type { NormalizerName } from "@nemo-stt/core";
import { type Command, Option } from "commander";
import type { Console } from "../console.ts";
import {
  contextOption,
  type DecodingFlags,
  headOption,
  MODEL_FORMS,
  type Quantize,
  quantizeOption,
  wholeNumber,
} from "../options.ts";

/** The options of `nemo-stt eval`. */
export interface EvalFlags extends DecodingFlags {
  readonly model?: string;
  readonly normalizer: NormalizerName;
  readonly quantize?: Quantize;
  readonly worst: number;
  readonly limit?: number;
  readonly json?: boolean;
  readonly calibrate?: string;
}

const NORMALIZER_NAMES = Object.keys({ none: true, manifest: true } satisfies Record<NormalizerName, true>);

/** `nemo-stt eval MANIFEST`. */
export function registerEval(program: Command, console: Console): void {
  program
    .command("eval")
    .description("Word and character error rate on a NeMo manifest, per source, with the worst recordings aligned.")
    .argument("<manifest>", "a JSON object a line: audio_filepath (relative to the manifest), text, source")
    .option("-m, --model <model>", `${MODEL_FORMS} (default: the bundled English model)`)
    .addOption(headOption())
    .addOption(contextOption())
    .addOption(
      new Option("--normalizer <name>", "how texts are made comparable: lower case without punctuation, or not at all")
        .choices(NORMALIZER_NAMES)
        .default("manifest"),
    )
    .addOption(quantizeOption("run a .nemo with smaller weights"))
    .option("--worst <n>", "recordings to show aligned", wholeNumber(0), 3)
    .option("--limit <n>", "only the first recordings", wholeNumber(1))
    .option("--calibrate <file>", "write what makes probabilities of confidences, from half of the recordings")
    .option("--json", "totals and every recording's texts as JSON")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt eval dev.jsonl
  nemo-stt eval dev.jsonl -m model.nemo --head ctc --worst 10
  nemo-stt eval dev.jsonl -m model.nemo --calibrate model.calibration.json`,
    )
    .action(async (manifest: string, flags: EvalFlags) => {
      const { evaluate } = await import("../actions/eval.ts");
      await evaluate(manifest, flags, console);
    });
}
