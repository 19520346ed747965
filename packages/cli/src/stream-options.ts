import { type BufferedOptions, DEFAULT_SPEECH, type EndpointRules } from "@nemo-stt/core";
import { type OpenEngineOptions, readCalibration } from "@nemo-stt/node";
import { Option } from "commander";
import { UsageError } from "./failures.ts";
import { numberBetween } from "./options.ts";

/** What an utterance's end is heard by. */
export type EndpointFlag = NonNullable<EndpointRules["silence"]>;

/** What `stream` and `gateway` say about their streams. Times are in seconds. */
export interface LiveFlags {
  readonly endpoint: EndpointFlag;
  readonly minSilence?: number;
  readonly maxUtterance?: number;
  readonly minSpeech?: number;
  /** Probabilities of speech. */
  readonly onset?: number;
  readonly offset?: number;
  readonly vad?: string;
  /** Windows of models without caches. */
  readonly left?: number;
  readonly chunk?: number;
  readonly right?: number;
  readonly calibration?: string;
}

/** The options of `LiveFlags`. */
export function liveOptions(): readonly Option[] {
  const seconds = numberBetween(0.01, 1e6);
  const fromZero = numberBetween(0, 1e6);
  const probability = numberBetween(0, 1);
  return [
    new Option("--endpoint <by>", "what tells that an utterance has ended")
      .choices(["decoder", "vad", "energy", "none"] satisfies EndpointFlag[])
      .default("decoder"),
    new Option("--min-silence <sec>", "silence that ends an utterance (default: 0.8)").argParser(seconds),
    new Option("--max-utterance <sec>", "longer ones end at the next word (default: 30)").argParser(seconds),
    new Option("--min-speech <sec>", "vad, energy: shorter sounds end no silence (default: 0.06)").argParser(fromZero),
    new Option("--onset <p>", "vad: speech begins at this probability (default: 0.5)").argParser(probability),
    new Option("--offset <p>", "vad: and ends below this one (default: 0.35)").argParser(probability),
    new Option("--vad <model>", "vad: the voice activity model (default: the bundled one)"),
    new Option("--left <sec>", "windows: sound heard before what each adds (default: 10)").argParser(fromZero),
    new Option("--chunk <sec>", "windows: what each adds (default: 2)").argParser(seconds),
    new Option("--right <sec>", "windows: sound behind it, which its words wait for (default: 2)").argParser(fromZero),
    new Option("--calibration <file>", "makes probabilities of confidences; eval --calibrate writes it"),
  ];
}

/** The flags that only some detectors read. */
const READ_BY: { readonly [Flag in keyof LiveFlags]?: readonly EndpointFlag[] } = {
  vad: ["vad"],
  onset: ["vad"],
  offset: ["vad"],
  minSpeech: ["vad", "energy"],
};

/** @throws UsageError for a flag that would do nothing */
function refuseIdle(silence: EndpointFlag, flags: Omit<LiveFlags, "endpoint">): void {
  for (const [name, kinds] of Object.entries(READ_BY)) {
    if (flags[name as keyof typeof flags] === undefined || kinds.includes(silence)) continue;
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new UsageError(
      `${flag}: expected --endpoint ${kinds.join(" or ")} with it, got ${silence}. Leave it out, or choose that.`,
    );
  }
}

/** When utterances end; what is not told is as the engine has it. @throws UsageError for a flag that would do nothing */
export function endpointOf({ endpoint: silence, ...flags }: LiveFlags): EndpointRules {
  refuseIdle(silence, flags);
  const { onset = DEFAULT_SPEECH.onset, offset = 0 } = flags;
  if (offset > onset)
    throw new UsageError(`--offset: expected at most the onset (${onset}), got ${offset}. Speech ends below it.`);
  const told = {
    minSilenceSec: flags.minSilence,
    maxUtteranceSec: flags.maxUtterance,
    minSpeechSec: flags.minSpeech,
    onset: flags.onset,
    offset: flags.offset,
  };
  return { silence, ...withoutUndefined(told) };
}

/** What an engine is opened with for such streams. */
export async function engineOptionsOf({
  vad,
  calibration,
  left: leftSec,
  chunk: chunkSec,
  right: rightSec,
}: LiveFlags): Promise<Pick<OpenEngineOptions, "vad" | "calibration" | "method" | "buffered">> {
  const buffered: BufferedOptions = withoutUndefined({ leftSec, chunkSec, rightSec });
  return {
    ...(vad === undefined ? {} : { vad }),
    ...(calibration === undefined ? {} : { calibration: await readCalibration(calibration) }),
    // Who says what windows hear wants windows.
    ...(Object.keys(buffered).length > 0 && { method: "buffered", buffered }),
  };
}

function withoutUndefined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
