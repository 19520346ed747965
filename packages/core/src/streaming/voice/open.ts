import type { ClassifierSpec } from "../../config/spec.ts";
import { SpeechError } from "../../errors.ts";
import { openAcousticModel } from "../../recognition/acoustic.ts";
import { speechClass } from "../../recognition/classifier.ts";
import type { ModelPackage } from "../../recognition/package.ts";
import type { Runtime } from "../../runtime.ts";
import { createFrameSource } from "./frames.ts";
import type { VoiceSource } from "./voice.ts";
import { createWindowSource } from "./windows.ts";

/** How a voice activity model hears live sound. */
export interface VoiceOptions {
  readonly numThreads?: number;
  /**
   * Sound behind a step that a frame classifier waits for; all that reaches it unless told (1.5 s with MarbleNet), which
   * gives the numbers of the whole recording.
   */
  readonly lookaheadSec?: number;
}

/**
 * Loads a voice activity model for live sound: any NeMo classifier, of frames or of windows, that has a class for speech.
 * @throws SpeechError `MODEL_UNSUPPORTED` for other models, `RUNTIME_FAILED` when a graph is refused
 */
export async function openVoiceModel(
  model: ModelPackage,
  runtime: Runtime,
  { numThreads = 1, lookaheadSec }: VoiceOptions = {},
): Promise<VoiceSource> {
  const classifier = checkVoiceModel(model);
  const acoustic = await openAcousticModel(model, runtime, numThreads);
  try {
    return classifier.kind === "frame"
      ? createFrameSource(model, acoustic, classifier, lookaheadSec)
      : createWindowSource(model, acoustic, classifier);
  } catch (error) {
    await acoustic.close();
    throw error;
  }
}

/**
 * The head of a model that tells speech from other sound.
 * @throws SpeechError `MODEL_UNSUPPORTED` for other models
 */
export function checkVoiceModel({ name, spec }: Pick<ModelPackage, "name" | "spec">): ClassifierSpec {
  const { classifier } = spec.heads;
  if (classifier && speechClass(classifier) !== undefined) return classifier;
  const got = classifier ? `one of ${classifier.labels.slice(0, 3).join(", ")}` : `${spec.className}`;
  throw new SpeechError(
    "MODEL_UNSUPPORTED",
    `${name}: expected a classifier that tells speech from other sound, got ${got}. Use a voice activity model.`,
  );
}
