import type { Head, Precision, SampleEncoding } from "@nemo-stt/core";
import { InvalidArgumentError, Option } from "commander";

/** What `--model` takes, for help texts. */
export const MODEL_FORMS = ".nemo file, exported folder, .onnx with its tokens beside it, or pulled name";

/** How weights are stored smaller. */
export type Quantize = "int8" | "fp16";

/** The options that choose what a model computes; the same in every command. */
export interface DecodingFlags {
  readonly head?: Head;
  readonly attContext?: number[];
}

/** What samples without a header are. */
export interface RawFlags {
  readonly rawEncoding?: SampleEncoding;
  readonly rawRate?: number;
  readonly rawChannels?: number;
}

const RAW_ENCODINGS = Object.keys({
  s16le: true,
  s16be: true,
  s8: true,
  u8: true,
  s24le: true,
  s24be: true,
  s32le: true,
  s32be: true,
  f32le: true,
  f32be: true,
  f64le: true,
  f64be: true,
  ulaw: true,
  alaw: true,
} satisfies Record<SampleEncoding, true>);

/** `--raw-encoding`, `--raw-rate`, `--raw-channels`. */
export const rawOptions = (): readonly Option[] => [
  new Option("--raw-encoding <encoding>", "samples without a header: what they are").choices(RAW_ENCODINGS),
  new Option("--raw-rate <hz>", "samples without a header: their rate").argParser(wholeNumber(1)),
  new Option("--raw-channels <n>", "samples without a header: how many channels take turns").argParser(wholeNumber(1)),
];

/** What the raw options say, where one of them was given. */
export function rawFormatOf({ rawEncoding, rawRate, rawChannels }: RawFlags) {
  const raw = {
    ...(rawEncoding ? { encoding: rawEncoding } : {}),
    ...(rawRate ? { sampleRateHz: rawRate } : {}),
    ...(rawChannels ? { numChannels: rawChannels } : {}),
  };
  return Object.keys(raw).length > 0 ? raw : undefined;
}

/** The options that tell the token of a gateway's HTTP port; the same in every command. */
export interface HttpTokenFlags {
  readonly httpToken?: string;
  readonly httpTokenFile?: string;
}

/** Where the token is looked for when no option tells it. */
export const HTTP_TOKEN_VARIABLE = "NEMO_STT_HTTP_TOKEN";

/** `--http-token`. */
export const httpTokenOption = (what: string): Option =>
  new Option(
    "--http-token <token>",
    `${what}; seen in the list of processes: a file or ${HTTP_TOKEN_VARIABLE} is better`,
  );

/** `--http-token-file`. */
export const httpTokenFileOption = (): Option => new Option("--http-token-file <file>", "a file that holds it");

/** `--head`: which head of a hybrid decodes. */
export const headOption = (): Option =>
  new Option("--head <head>", "which head of a hybrid decodes (default: the transducer)").choices([
    "ctc",
    "transducer",
  ] satisfies Head[]);

/** `--att-context`: which of a model's attention contexts. */
export const contextOption = (
  what = "one of the model's attention contexts, in encoder steps; inspect lists them",
): Option => new Option("--att-context <L,R>", what).argParser(parseContext);

/** `--quantize`: smaller weights. */
export const quantizeOption = (what: string): Option =>
  new Option("--quantize <kind>", what).choices(["int8", "fp16"] satisfies Quantize[]);

/** The precision behind a `--quantize` choice. */
export function precisionOf(quantize: Quantize | undefined): Precision {
  return quantize === "int8" ? "int8" : quantize === "fp16" ? "float16" : "float32";
}

/** Parses `L,R` (or `L,C,R`): an attention context in encoder steps. */
export function parseContext(text: string): number[] {
  const parts = text.split(",");
  const isContext = (parts.length === 2 || parts.length === 3) && parts.every((part) => /^\s*-?\d{1,6}\s*$/.test(part));
  if (isContext) return parts.map(Number);
  throw new InvalidArgumentError(`Expected L,R in encoder steps such as 70,13, got ${text}.`);
}

/** Parses a whole number from `min` up, or from `min` to `max`. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} up` : `${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number from ${range}, got ${text}.`);
  };
}

/** The largest number of a TCP port. */
export const MAX_PORT = 65_535;

/** Parses a number in `[min, max)`. */
export function numberBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= min && value < max) return value;
    throw new InvalidArgumentError(`Expected a number in [${min}, ${max}), got ${text}.`);
  };
}

/** Parses `mix`, `split` or the number of a channel, counted from 1 as in transcripts. */
export function parseChannels(text: string): "mix" | "split" | number {
  if (text === "mix" || text === "split") return text;
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`Expected mix, split or a channel's number from 1 up, got ${text}.`);
}
