import { type Command, Option } from "commander";
import type { Console } from "../console.ts";
import {
  contextOption,
  type DecodingFlags,
  headOption,
  MODEL_FORMS,
  numberBetween,
  type Quantize,
  quantizeOption,
  wholeNumber,
} from "../options.ts";

/** The options of `nemo-stt capacity`. */
export interface CapacityFlags extends DecodingFlags {
  readonly model?: string;
  readonly audio?: string;
  readonly streams: number;
  readonly cores?: number;
  readonly seconds: number;
  readonly limit: number;
  readonly quantize?: Quantize;
  readonly json?: boolean;
}

/** `nemo-stt capacity`. */
export function registerCapacity(program: Command, console: Console): void {
  program
    .command("capacity")
    .description("Measure how many live streams this machine carries in each latency mode of a model.")
    .option("-m, --model <model>", `${MODEL_FORMS} (default: the bundled English model)`)
    .addOption(contextOption("one mode alone; all of them unless told"))
    .addOption(headOption())
    .option("--audio <file>", "what the streams hear, again and again (default: synthetic babble)")
    .option("--streams <n>", "how many streams to reckon for", wholeNumber(1), 100)
    .addOption(
      new Option("--cores <n>", "cores that work at once (default: all of this machine)").argParser(wholeNumber(1)),
    )
    .option("--seconds <sec>", "sound of one trial: longer is steadier", numberBetween(0.05, 3600), 2)
    .option("--limit <n>", "look no further than this many streams a core", wholeNumber(1), 1000)
    .addOption(quantizeOption("run a .nemo with smaller weights"))
    .option("--json", "all of it as one JSON object")
    .addHelpText(
      "after",
      `
Streams arrive at their own times on a clock that goes on by what the work really took, so that a trial of N
streams takes no longer than its work. A number of streams is carried while 99 of 100 results come before
the next chunk of their stream is complete, and work does not pile up. First one core alone, then all at once,
which share caches and memory, from what one carries alone downwards. It takes one to three minutes; a mode's search
ends after 20 s (longer with more --seconds) with what was carried by then. The last column says by how much
trials contradicted each other: fewer streams were not carried another time, or on another core.

Examples:
  nemo-stt capacity --streams 20
  nemo-stt capacity -m nvidia/stt_en_fastconformer_hybrid_large_streaming_multi --streams 40 --json
  nemo-stt capacity --att-context 70,0 --audio talk.wav --cores 1`,
    )
    .action(async (flags: CapacityFlags) => {
      const { capacity } = await import("../actions/capacity.ts");
      await capacity(flags, console);
    });
}
