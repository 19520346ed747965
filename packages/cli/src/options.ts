import { InvalidArgumentError } from "commander";

/** Parses `L,R` (or `L,C,R`): an attention context in encoder steps. */
export function parseContext(text: string): number[] {
  const parts = text.split(",").map((part) => Number(part.trim()));
  if ((parts.length === 2 || parts.length === 3) && parts.every(Number.isInteger)) return parts;
  throw new InvalidArgumentError(`expected L,R in encoder steps such as 70,13, got ${text}.`);
}

/** Parses a whole number from `min` up. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`expected a whole number from ${min} up, got ${text}.`);
  };
}

/** Parses `mix`, `split` or the number of a channel, counted from 0. */
export function parseChannels(text: string): "mix" | "split" | number {
  if (text === "mix" || text === "split") return text;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError(`expected mix, split or a channel number, got ${text}.`);
}
