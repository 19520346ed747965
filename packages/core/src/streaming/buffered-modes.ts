import { checkContext, contextsOf } from "../config/contexts.ts";
import { stepSec } from "../config/geometry.ts";
import type { ModelSpec } from "../config/spec.ts";
import { SpeechError } from "../errors.ts";
import { defaultContext } from "../export/layouts.ts";
import { checkSeconds, type WindowSteps, windowSteps } from "../recognition/long-form.ts";
import type { LatencyMode, StreamOptions } from "./stream.ts";

/** What overlapping windows hear; as NeMo's buffered inference has it unless told: 10 s, 2 s and 2 s. */
export interface BufferedOptions {
  /** Heard before what a window adds. */
  readonly leftSec?: number;
  /** What a window adds. */
  readonly chunkSec?: number;
  /** Heard behind what a window adds: with it, a word waits for up to `chunkSec + rightSec`. */
  readonly rightSec?: number;
}

/** Defaults of NeMo's `speech_to_text_streaming_infer_rnnt.py`. */
const NEMO = { leftSec: 10, chunkSec: 2, rightSec: 2 } as const;

/** One way of going over a stream in windows. */
export interface BufferedMode {
  readonly attContext: readonly number[];
  readonly sizes: WindowSteps;
}

/**
 * Every mode of a model: one for each attention context. A context of three (`chunked_limited_with_rc`: left, chunk, right)
 * says itself what a window hears, as NeMo's buffered inference takes it.
 * @throws RangeError for seconds that are none
 */
export function bufferedModes(spec: ModelSpec, options: BufferedOptions = {}): BufferedMode[] {
  const seconds = { ...NEMO, ...options };
  checkSeconds("buffered", { chunkSec: seconds.chunkSec }, seconds);
  const contexts = contextsOf(spec);
  const [first, ...rest] = contexts.length > 0 ? contexts : [defaultContext(spec)];
  return [first, ...rest].map((attContext) => ({ attContext, sizes: sizesOf(spec, attContext, seconds) }));
}

function sizesOf(spec: ModelSpec, context: readonly number[], seconds: Required<BufferedOptions>): WindowSteps {
  const [left, chunk, right] = context;
  const isWhole = context.length === 3 && left >= 0 && chunk > 0 && right >= 0;
  if (!isWhole) return windowSteps(spec, context, seconds);
  const secOfStep = stepSec(spec);
  // Windows begin with a chunk of the mask.
  const leftSec = Math.ceil(left / chunk) * chunk * secOfStep;
  return windowSteps(spec, context, { leftSec, chunkSec: chunk * secOfStep, rightSec: right * secOfStep });
}

/** A mode as an engine tells of it. */
export function latencyMode(spec: ModelSpec, { attContext, sizes }: BufferedMode): LatencyMode {
  const secOfStep = stepSec(spec);
  return {
    attContext,
    chunkSec: sizes.chunkSteps * secOfStep,
    latencySec: (sizes.chunkSteps + sizes.rightSteps) * secOfStep,
    method: sizes.method,
  };
}

/** The mode that a stream asks for. @throws SpeechError `MODEL_UNSUPPORTED` */
export function bufferedMode(
  spec: ModelSpec,
  modes: readonly BufferedMode[],
  { attContext, fastAttContext }: StreamOptions,
): BufferedMode {
  if (fastAttContext) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `${spec.className}: expected one attention context, got a second, faster one, which takes an encoder with caches. Leave it out: windows have one latency.`,
    );
  }
  if (!attContext) return modes[0];
  const mode = modes.find((each) => `${each.attContext}` === `${attContext}`);
  if (mode) return mode;
  checkContext(spec, attContext);
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `attention context: expected one that the model lists, for windows, got [${attContext.join(",")}], a smaller one. Choose a listed one.`,
  );
}
