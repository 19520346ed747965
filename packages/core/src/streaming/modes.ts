import type { ConformerSpec, ModelSpec } from "../config/spec.ts";
import { hasStreamMode, type StreamMode, streamMode, streamModes, streamObstacle } from "../config/streaming.ts";
import { SpeechError } from "../errors.ts";
import { defaultContext } from "../export/layouts.ts";
import type { StreamOptions } from "./stream.ts";

/**
 * The modes that read a stream: the one finals come from first.
 * @throws SpeechError `MODEL_UNSUPPORTED` for contexts that the model does not have, and for a second one that is no faster
 */
export function lanesOf(spec: ModelSpec, { attContext, fastAttContext }: StreamOptions): StreamMode[] {
  const slow = checkedMode(spec, attContext ?? defaultMode(spec));
  if (!fastAttContext) return [slow];
  const fast = checkedMode(spec, fastAttContext);
  if (fast.chunkSteps < slow.chunkSteps) return [slow, fast];
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `fastAttContext: expected a mode of shorter chunks than [${slow.attContext}], got [${fast.attContext}]. Its interims would not run ahead: choose a faster one, or leave it out.`,
  );
}

/** The checkpoint's default context where it can be streamed, else the first that can. */
function defaultMode(spec: ModelSpec): readonly number[] {
  const context = defaultContext(spec);
  const modes = streamModes(spec);
  const isListed = modes.some(({ attContext }) => attContext.every((value, i) => value === context[i]));
  return isListed ? context : modes[0].attContext;
}

/**
 * The mode of a context: its right part one that the checkpoint has, its left part any up to the largest it has.
 * @throws SpeechError `MODEL_UNSUPPORTED` naming those it has
 */
function checkedMode(spec: ModelSpec, context: readonly number[]): StreamMode {
  if (hasStreamMode(spec, context)) return streamMode(spec, [context[0], context[1]]);
  const list = streamModes(spec)
    .map(({ attContext }) => `[${attContext.join(",")}]`)
    .join(" ");
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `attention context: expected one of ${list}, or one of these with less to the left, for a stream, got [${context.join(",")}]. Choose one of these.`,
  );
}

/** What whoever calls the library can do with a model without caches. */
export const WINDOWS_ADVICE = "Open it with `openSpeechEngine`, which hears it in overlapping windows.";

/**
 * Refuses a model whose encoder cannot stream with caches.
 * @param name what the message calls it
 * @param advice what can be done with such a model instead
 * @throws SpeechError `MODEL_UNSUPPORTED` saying what keeps it from streaming
 */
export function checkStreamable(
  spec: ModelSpec,
  name: string,
  advice: string,
): asserts spec is ModelSpec & { encoder: ConformerSpec } {
  const obstacle = streamObstacle(spec);
  if (obstacle === undefined) return;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${name}: expected an encoder that looks ahead no further than its chunk, got ${obstacle}. ${advice}`,
  );
}
