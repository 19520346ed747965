import { classifyWindows, openAcousticModel, SpeechError } from "@nemo-stt/core";
import { BUNDLED_MODELS, nodeRuntime, openModel } from "@nemo-stt/node";

/** A NeMo classifier that tells speech, on pieces of a signal. */
export interface SpeechProbability {
  readonly sampleRateHz: number;
  /** Distance of positions. */
  readonly hopSamples: number;
  /** Sound before and behind a position that its probability depends on. */
  readonly contextSec: number;
  /** Probabilities of a piece, and where in the piece the middle of the first position lies. */
  run(samples: Float32Array): Promise<{ probability: Float32Array; middleSamples: number }>;
  close(): Promise<void>;
}

/** MarbleNet's receptive field reaches 1.5 s to each side; what is beyond a second moves probabilities by less than 0.005. */
const FRAME_CONTEXT_SEC = 1;
/** NeMo's windows for pooled classifiers. */
const WINDOW_CONTEXT_SEC = 0.64;

/**
 * Opens a classifier; the bundled one unless a path is given.
 * @throws SpeechError `MODEL_UNSUPPORTED` where the model does not tell speech
 */
export async function openSpeechProbability(path: string = BUNDLED_MODELS.vad): Promise<SpeechProbability> {
  const model = await openModel(path);
  const acoustic = await openAcousticModel(model, nodeRuntime());
  const { sampleRateHz } = model.spec;
  try {
    const probe = await classifyWindows(model, acoustic, new Float32Array(sampleRateHz));
    if (!probe.probability) {
      const labels = probe.labels.slice(0, 5).join(", ");
      throw new SpeechError(
        "MODEL_UNSUPPORTED",
        `${path}: expected a classifier that tells speech, got one of ${labels}. Use a MarbleNet VAD model.`,
      );
    }
    const isFrame = model.spec.heads.classifier?.kind === "frame";
    return {
      sampleRateHz,
      hopSamples: Math.round(probe.hopSec * sampleRateHz),
      contextSec: isFrame ? FRAME_CONTEXT_SEC : WINDOW_CONTEXT_SEC,
      async run(samples) {
        const { probability, windowSec } = await classifyWindows(model, acoustic, samples);
        const middleSamples = Math.round((windowSec / 2) * sampleRateHz);
        return { probability: probability ?? new Float32Array(0), middleSamples };
      },
      close: () => acoustic.close(),
    };
  } catch (error) {
    await acoustic.close();
    throw error;
  }
}
