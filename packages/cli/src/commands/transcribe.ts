import type { TranscriptFormat } from "@nemo-stt/core";
import { type Command, Option } from "commander";
import type { Console } from "../console.ts";
import {
  contextOption,
  type DecodingFlags,
  headOption,
  MODEL_FORMS,
  parseChannels,
  type Quantize,
  quantizeOption,
  type RawFlags,
  rawOptions,
  wholeNumber,
} from "../options.ts";

/** The options of `nemo-stt transcribe`. */
export interface TranscribeFlags extends DecodingFlags, RawFlags {
  readonly model?: string;
  readonly timestamps: "steps" | "nemo";
  readonly format: TranscriptFormat;
  readonly json?: boolean;
  readonly channels: "mix" | "split" | number;
  readonly out?: string;
  readonly workers: number;
  readonly threads: number;
  readonly quantize?: Quantize;
  readonly calibration?: string;
  readonly verbose?: boolean;
}

/** The formats of transcripts and the extension that a file of each has. */
export const EXTENSIONS: Readonly<Record<TranscriptFormat, string>> = {
  text: "txt",
  json: "json",
  srt: "srt",
  vtt: "vtt",
  ctm: "ctm",
  tsv: "tsv",
};

/** `nemo-stt transcribe FILES…`. */
export function registerTranscribe(program: Command, console: Console): void {
  const [rawEncoding, rawRate, rawChannels] = rawOptions();
  program
    .command("transcribe")
    .description("Write down what is said in recordings: text, times and confidence.")
    .argument("<audio...>", "recordings, folders of recordings, or - for standard input")
    .option("-m, --model <model>", `${MODEL_FORMS} (default: the bundled English model)`)
    .addOption(new Option("-f, --format <format>", "what to write").choices(Object.keys(EXTENSIONS)).default("text"))
    .addOption(new Option("--json", "a JSON object a line and recording (--format json)").conflicts("format"))
    .option("-o, --out <folder>", "write a file per recording there; recordings that have theirs are skipped")
    .addOption(headOption())
    .addOption(contextOption())
    .addOption(
      new Option("--timestamps <convention>", "real starts and ends, or NeMo's own")
        .choices(["steps", "nemo"])
        .default("steps"),
    )
    .option(
      "--channels <channels>",
      "mix to mono, split (a text for each), or the number of one from 1 up",
      parseChannels,
      "mix",
    )
    .option("--workers <n>", "threads that recognise side by side, each with the model in memory", wholeNumber(1), 1)
    .option("--threads <n>", "threads inside one operator", wholeNumber(1), 1)
    .addOption(quantizeOption("run a .nemo with smaller weights"))
    .option("--calibration <file>", "make probabilities of confidences by a file that `eval --calibrate` wrote")
    .addOption(rawEncoding)
    .addOption(rawRate)
    .addOption(rawChannels)
    .option("--verbose", "say what is loaded, and the time it took")
    .addHelpText(
      "after",
      `
Examples:
  nemo-stt transcribe talk.wav
  nemo-stt transcribe -m model.nemo calls/ --channels split --format srt --out subtitles/
  sox talk.wav -t raw -r 8000 - | nemo-stt transcribe --raw-encoding s16le --raw-rate 8000 -`,
    )
    .action(async (paths: string[], flags: TranscribeFlags) => {
      const { transcribe } = await import("../actions/transcribe.ts");
      await transcribe(paths, flags.json ? { ...flags, format: "json" } : flags, console);
    });
}
