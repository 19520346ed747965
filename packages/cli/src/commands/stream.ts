import { type Command, InvalidArgumentError, Option } from "commander";
import type { Console } from "../console.ts";
import {
  contextOption,
  type DecodingFlags,
  headOption,
  MODEL_FORMS,
  parseChannels,
  parseContext,
  type Quantize,
  quantizeOption,
  type RawFlags,
  rawOptions,
  wholeNumber,
} from "../options.ts";
import { type LiveFlags, liveOptions } from "../stream-options.ts";

/** The options of `nemo-stt stream`. */
export interface StreamFlags extends DecodingFlags, RawFlags, LiveFlags {
  readonly model?: string;
  /** In seconds. */
  readonly latency?: number;
  readonly fastAttContext?: number[];
  readonly realtime?: boolean;
  readonly channels: "mix" | "split" | number;
  readonly threads: number;
  readonly quantize?: Quantize;
  readonly json?: boolean;
}

const HELP = `
Latency: a streaming model hears sound in chunks and writes when one is complete. --latency takes the
chunk in sound (80ms, 1.12s) and chooses the model's mode that is nearest, of two as near the shorter;
which one it is is said. --att-context names the mode itself: L,R encoder steps back and ahead, a chunk
is R + 1 steps. Long chunks make fewer mistakes. With --fast-att-context a second, faster mode writes
what is tentative, and --latency or --att-context what is final.

Models without caches (full attention, other tools' graphs) are heard in overlapping windows; with --left,
--chunk or --right any model is. A word then waits for up to chunk + right.

The microphone is heard by arecord, parec, sox or ffmpeg, whichever is found first.

On a terminal: what will not change is plain, what may change is dim, an utterance that has ended is a
line. Otherwise: a line an utterance, or with --json a line of JSON an event. Ctrl-C ends the sound: what
was heard is written to its end, and the exit status is 0; a second Ctrl-C ends at once.

Examples:
  nemo-stt stream mic
  nemo-stt stream talk.wav --realtime --latency 480ms
  nemo-stt stream call.wav --channels split --json
  sox talk.flac -t wav - | nemo-stt stream - --latency 1120ms --fast-att-context 70,0
  parec --raw --rate=8000 --format=s16le --channels=1 | nemo-stt stream - --raw-rate 8000`;

/** `nemo-stt stream [FILE|-|mic]`. */
export function registerStream(program: Command, console: Console): void {
  const command = program
    .command("stream")
    .description("Write down what is being said: live, from a recording, a pipe or the microphone.")
    .argument("[sound]", "a recording, - for standard input, or mic (default: mic, or - where something is piped in)")
    .option("-m, --model <model>", `${MODEL_FORMS} (default: the bundled English model)`)
    .addOption(
      new Option("--latency <time>", "sound of a chunk, as 80ms or 1.12s: the nearest mode")
        .argParser(parseDuration)
        .conflicts("attContext"),
    )
    .addOption(contextOption("the mode itself, in encoder steps; inspect lists them"))
    .addOption(
      new Option(
        "--fast-att-context <L,R>",
        "a faster mode for what is tentative, beside the one for finals",
      ).argParser(parseContext),
    )
    .option("--realtime", "play a recording at its own speed")
    .addOption(headOption())
    .option(
      "--channels <channels>",
      "mix to mono, split (a stream for each), or the number of one from 1 up",
      parseChannels,
      "mix",
    )
    .option("--threads <n>", "threads inside one operator", wholeNumber(1), 1)
    .addOption(quantizeOption("run a .nemo with smaller weights"))
    .option("--json", "a JSON object a line and event: start, interim, final, end")
    .addHelpText("after", HELP)
    .action(async (sound: string | undefined, flags: StreamFlags) => {
      const { stream } = await import("../actions/stream.ts");
      await stream(sound, flags, console);
    });
  for (const option of [...liveOptions(), ...rawOptions()]) command.addOption(option);
}

/** Parses `80ms`, `1.12s`, or milliseconds alone, to seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s)?$/.exec(text);
  const value = match ? Number(match[1]) / (match[2] === "s" ? 1 : 1000) : 0;
  if (value > 0) return value;
  throw new InvalidArgumentError(`Expected a time such as 80ms or 1.12s, got ${text}.`);
}
