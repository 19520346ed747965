import { SpeechError } from "../errors.ts";
import type { ModelSpec } from "./spec.ts";
import { hasStreamMode } from "./streaming.ts";

/**
 * Checks a context against those the checkpoint was trained with. What can be streamed can be transcribed: of a model with
 * caches any smaller left context too.
 * @throws SpeechError `MODEL_UNSUPPORTED` naming the contexts it has
 */
export function checkContext(spec: ModelSpec, context: readonly number[]): void {
  const known = contextsOf(spec);
  if (known.length === 0) {
    throw new SpeechError(
      "MODEL_UNSUPPORTED",
      `attention context: expected none, because ${spec.encoder.kind === "graph" ? "the graph's own is fixed" : "the encoder has no attention"}, got [${context.join(",")}]. Leave it out.`,
    );
  }
  if (
    known.some((c) => c.length === context.length && c.every((v, i) => v === context[i])) ||
    hasStreamMode(spec, context)
  )
    return;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `attention context: expected one of ${known.map((c) => `[${c.join(",")}]`).join(" ")}, which the model was trained with, got [${context.join(",")}]. Choose one of these.`,
  );
}

/** Every attention context a model offers, the default first. */
export function contextsOf(spec: ModelSpec): readonly (readonly number[])[] {
  if (spec.encoder.kind !== "conformer") return [];
  const { style, contexts, chunkContexts } = spec.encoder.attention;
  if (style === "chunked_limited_with_rc") return [[-1, -1, -1], ...chunkContexts];
  return contexts.map((c) => [c.left, c.right]);
}
