import { checkContext } from "../config/contexts.ts";
import type { Hypothesis } from "../decoding/hypothesis.ts";
import { SpeechError } from "../errors.ts";
import { defaultContext } from "../export/layouts.ts";
import { createFeatureExtractor, type FeatureExtractor } from "../features/extractor.ts";
import { float32, int64, type Tensor } from "../tensor.ts";
import type { AcousticModel, Encoded, FeatureBatch } from "./acoustic.ts";
import { classifyWindows } from "./classifier.ts";
import { decodeRows, type Head } from "./head-decoder.ts";
import type { ModelPackage } from "./package.ts";
import { featureBatch } from "./recognizer.ts";

/** Everything between a waveform and its tokens, for one batch, as NeMo computes it. */
export interface Stages {
  readonly features: FeatureBatch;
  readonly encoded: Encoded;
  /** Per row, by head; empty for classifiers. */
  readonly hypotheses: Partial<Record<Head, readonly Hypothesis[]>>;
}

/**
 * Runs a model on a batch of waveforms and keeps what every stage gives.
 * @throws SpeechError `AUDIO_INVALID` when the waveforms are too short for the feature matrix to have a column, which
 * happens where the front end does not pad (`exact_pad`).
 */
export async function computeStages(
  acoustic: AcousticModel,
  extractor: FeatureExtractor,
  waveforms: readonly Float32Array[],
  context: readonly number[] = defaultContext(acoustic.spec),
): Promise<Stages> {
  const { ctc, transducer } = acoustic.spec.heads;
  const features = featureBatch(extractor, waveforms);
  if (features.numFrames === 0) {
    const { hopSamples } = extractor.spec;
    const longest = Math.max(0, ...waveforms.map((waveform) => waveform.length));
    throw new SpeechError(
      "AUDIO_INVALID",
      `features: expected at least ${hopSamples} samples, which one frame needs, got ${longest}. Give a longer recording.`,
    );
  }
  const encoded = await acoustic.encode(features, context);
  const heads: Head[] = [...(ctc ? (["ctc"] as const) : []), ...(transducer ? (["transducer"] as const) : [])];
  const hypotheses: Partial<Record<Head, readonly Hypothesis[]>> = {};
  for (const head of heads) hypotheses[head] = await decodeRows(acoustic, head, encoded);
  return { features, encoded, hypotheses };
}

/**
 * The tensors of every stage for one waveform, under the names and in the layouts of the reference files:
 * `features [1, mel, frame]`, `features_len`, `encoder [1, model, step]`, `encoder_len`,
 * `log_probs [1, step, vocabulary + 1]`, `ctc_tokens`, `transducer_tokens`, `transducer_frames`, `transducer_durations`;
 * for classifiers `logits` and `speech_probability`.
 */
export async function dumpStages(
  model: ModelPackage,
  acoustic: AcousticModel,
  waveform: Float32Array,
  context?: readonly number[],
): Promise<Map<string, Tensor>> {
  const { spec } = model;
  if (context) checkContext(spec, context);
  const extractor = createFeatureExtractor(spec.features, model.featureTensors);
  const { features, encoded, hypotheses } = await computeStages(acoustic, extractor, [waveform], context);
  const tensors = new Map<string, Tensor>();
  tensors.set("features", float32(features.data, [1, features.numMels, features.numFrames]));
  tensors.set("features_len", int64(features.lengths));
  const size = encoded.encoded.length / encoded.numSteps;
  tensors.set("encoder", float32(encoded.encoded, [1, size, encoded.numSteps]));
  tensors.set("encoder_len", int64(encoded.lengths));
  if (encoded.logProbs) {
    tensors.set(
      "log_probs",
      float32(encoded.logProbs, [1, encoded.numSteps, encoded.logProbs.length / encoded.numSteps]),
    );
  }
  const ctc = hypotheses.ctc?.[0];
  if (ctc) tensors.set("ctc_tokens", int64(ctc.tokens));
  const transducer = hypotheses.transducer?.[0];
  if (transducer) {
    tensors.set("transducer_tokens", int64(transducer.tokens));
    tensors.set("transducer_frames", int64(transducer.steps));
    if (transducer.durations) tensors.set("transducer_durations", int64(transducer.durations));
  }
  const { classifier } = spec.heads;
  if (classifier && encoded.logits) {
    const isFrame = classifier.kind === "frame";
    const dims = isFrame ? [1, encoded.numSteps, classifier.numClasses] : [1, classifier.numClasses];
    tensors.set("logits", float32(encoded.logits, dims));
    const { probability } = await classifyWindows(model, acoustic, waveform);
    if (probability)
      tensors.set("speech_probability", float32(probability, isFrame ? [1, probability.length] : [probability.length]));
  }
  return tensors;
}
