import type { Head, Precision } from "@nemo-stt/core";
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

/** Parses a whole number from `min` up. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} up, got ${text}.`);
  };
}

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
