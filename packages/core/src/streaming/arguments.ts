import { checkArgument, checkNumbers, checkObject } from "../arguments.ts";
import { checkConfidence } from "../decoding/confidence.ts";
import type { StreamEvent, StreamOptions } from "./stream.ts";

/** Refuses what `open` of an engine cannot take. @throws ArgumentError */
export function checkOpenArguments(options: StreamOptions, onEvent: (event: StreamEvent) => void): void {
  checkObject("open: options", options);
  const isFunction = typeof onEvent === "function";
  checkArgument(
    isFunction,
    "open: onEvent",
    "a function",
    onEvent,
    "Give the receiver of events as the second argument.",
  );
  checkNumbers("open: options", options, ["sampleRateHz"]);
  for (const name of ["attContext", "fastAttContext"] as const) {
    const value: unknown = options[name];
    const isContext = Array.isArray(value) && value.every((part) => typeof part === "number");
    const advice = "Leave it out, or give one of the engine's `modes`.";
    checkArgument(value === undefined || isContext, `open: options.${name}`, "an array of numbers", value, advice);
  }
  const isHead = options.head === undefined || typeof options.head === "string";
  checkArgument(
    isHead,
    "open: options.head",
    "a head's name",
    options.head,
    "Leave it out, or give one the model has.",
  );
  const { endpoint, confidence } = options;
  if (endpoint !== undefined) {
    checkObject("open: options.endpoint", endpoint);
    const numbers = ["minSilenceSec", "maxUtteranceSec", "minSpeechSec", "onset", "offset"] as const;
    checkNumbers("open: options.endpoint", endpoint, numbers);
  }
  if (confidence !== undefined) checkConfidence("open: options.confidence", confidence);
}

/** Refuses a packet that is no array of floats, from any realm. @throws ArgumentError */
export function checkPacket(samples: Float32Array): void {
  const isFloats = Object.prototype.toString.call(samples) === "[object Float32Array]";
  const advice = "Divide samples of 16 bits by 32768; `decodeSamples` reads bytes of any encoding.";
  checkArgument(isFloats, "feed: samples", "a Float32Array of samples in [-1, 1]", samples, advice);
}
